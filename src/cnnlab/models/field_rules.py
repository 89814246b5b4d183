"""How each operation of PyTorch passes on what its inputs see of the picture.

A convolution or pooling gathers neighbours, a sum or concatenation of branches sees what either branch sees, a matrix
product sees all. An operation that is not named here counts as one of each place by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from torch import Tensor

from cnnlab.models.fields import NOTHING, Axis, Field

Given = dict[str, Any]
Fields = Callable[[Any], Field | None]


def follow(name: str, given: Given, fields: Fields, out: Tensor) -> Field | None:
    """The field of an operation's result, or None if nothing of the picture is in it.

    Args:
        name: the operation, as ATen names it: `convolution`, `cat`, ...
        given: its arguments by name.
        fields: gives the field of a tensor, or None.
        out: the result, or the first of several.
    """
    rule = _RULES.get(name, _elementwise)
    found = rule(given, fields, out)
    if found and ("group_norm" in name or "layer_norm" in name or "softmax" in name):
        # a softmax over channels alone touches no neighbour
        over = given.get("dim")
        beside = "softmax" in name and over is not None and over % out.ndim not in found.dims
        return found if beside else replace(found, gated=True)
    return found


# ---- windows ---------------------------------------------------------------------------------------------------------
def _windows(field: Field | None, out: Tensor, taps: Callable[[int, Axis, int], tuple]) -> Field | None:
    """Both axes of a map (..., H, W) gathered by `taps(side, axis, units of the result) -> arguments of gather`."""
    if field is None:
        return None
    axes = []
    for side, axis in enumerate(field.axes):
        units = out.shape[side - 2]
        # a map that was made from a vector: all its units see what the vector sees
        same = field.dims[side] is None
        axes.append(axis.gather(np.zeros((units, 1), int)) if same else axis.gather(*taps(side, axis, units)))
    return Field(axes[0], axes[1], (out.ndim - 2, out.ndim - 1), field.gated)


def _pair(values: Any, default: Any = None) -> tuple[int, int]:
    values = default if values is None or (isinstance(values, list | tuple) and not values) else values
    values = list(values) if isinstance(values, list | tuple) else [values]
    return (values[-2], values[-1]) if len(values) > 1 else (values[0], values[0])


def _window(given: Given, fields: Fields, out: Tensor, kernel: tuple[int, int], field: Field | None) -> Field | None:
    stride, padding = _pair(given.get("stride"), kernel), _pair(given.get("padding"), 0)
    dilation = _pair(given.get("dilation"), 1)

    def taps(side: int, axis: Axis, units: int) -> tuple:
        reach = np.arange(kernel[side]) * dilation[side]
        first = np.arange(units)[:, None] * stride[side] - padding[side]
        return first + reach, (kernel[side] - 1) * dilation[side] + 1, stride[side]

    return _windows(field, out, taps)


def _convolution(given: Given, fields: Fields, out: Tensor) -> Field | None:
    kernel = tuple(given["weight"].shape[-2:])
    field = fields(given["input"])
    if not given["transposed"]:
        return _window(given, fields, out, kernel, field)
    stride, padding, dilation = (_pair(given[key]) for key in ("stride", "padding", "dilation"))

    def taps(side: int, axis: Axis, units: int) -> tuple:
        # tap t of input i lands on output i * stride - padding + t * dilation
        from_first = np.arange(units)[:, None] + padding[side] - np.arange(kernel[side]) * dilation[side]
        index = np.where(from_first % stride[side] == 0, from_first // stride[side], NOTHING)
        most = int((index != NOTHING).sum(1).max())
        return index, (most - 1) * dilation[side] + 1, Fraction(1, stride[side])

    return _windows(field, out, taps)


def _pool(given: Given, fields: Fields, out: Tensor) -> Field | None:
    return _window(given, fields, out, _pair(given["kernel_size"]), fields(given["self"]))


def _adaptive_pool(given: Given, fields: Fields, out: Tensor) -> Field | None:
    def taps(side: int, axis: Axis, units: int) -> tuple:
        index, most = [], -(-axis.units // units) + 1
        for unit in range(units):
            first, last = unit * axis.units // units, -(-(unit + 1) * axis.units // units)
            index.append([*range(first, last), *[NOTHING] * (most - last + first)])
        longest = max(sum(i != NOTHING for i in row) for row in index)
        return np.array(index), longest, Fraction(axis.units, units)

    return _windows(fields(given["self"]), out, taps)


def _upsample(neighbours: Sequence[int], given: Given, fields: Fields, out: Tensor) -> Field | None:
    def taps(side: int, axis: Axis, units: int) -> tuple:
        place = np.arange(units)
        if len(neighbours) == 1:
            where = place * axis.units / units
        elif given.get("align_corners"):
            where = place * (axis.units - 1) / max(units - 1, 1)
        else:
            where = (place + 0.5) * axis.units / units - 0.5
        index = np.floor(where + 1e-9).astype(int)[:, None] + np.array(neighbours)
        return index.clip(0, axis.units - 1), len(neighbours), Fraction(axis.units, units)

    return _windows(fields(given.get("self", given.get("input"))), out, taps)


# ---- borders and parts -----------------------------------------------------------------------------------------------
def _pad(kind: str, given: Given, fields: Fields, out: Tensor) -> Field | None:
    field = fields(given["self"])
    amounts = [*given.get("pad", given.get("padding")), 0, 0, 0, 0]
    if field is None or field.dims != (given["self"].ndim - 2, given["self"].ndim - 1):
        return _elementwise(given, fields, out)

    def taps(side: int, axis: Axis, units: int) -> tuple:
        index = np.arange(units) - amounts[2 - 2 * side]
        if kind == "replicate":
            index = index.clip(0, axis.units - 1)
        if kind == "reflect":
            index = axis.units - 1 - np.abs(axis.units - 1 - np.abs(index))
        return (index[:, None],)

    return _windows(field, out, taps)


def _slice(given: Given, fields: Fields, out: Tensor) -> Field | None:
    field, dim = fields(given["self"]), given["dim"] % given["self"].ndim
    if field is None or dim not in field.dims:
        return field
    side = field.dims.index(dim)
    start = given.get("start") or 0
    start = max(start + given["self"].shape[dim] * (start < 0), 0)
    step = given.get("step") or 1
    part = field.axes[side].gather((start + np.arange(out.shape[dim]) * step)[:, None], stride=step)
    return replace(field, **{("rows", "columns")[side]: part})


# ---- other shapes ----------------------------------------------------------------------------------------------------
def _reshape(given: Given, fields: Fields, out: Tensor) -> Field | None:
    """A side is kept where one dimension of the result holds it alone, else it is collapsed."""
    field, shape = fields(given["self"]), given["self"].shape
    if field is None:
        return None
    places: list[int | None] = []
    for dim in field.dims:
        before = np.prod(shape[:dim], dtype=int) if dim is not None else None
        found = [
            place for place, size in enumerate(out.shape)
            if dim is not None and size == shape[dim] and np.prod(out.shape[:place], dtype=int) == before
        ]  # fmt: skip
        places.append(found[-1] if found else None)
    if None not in places and places[0] == places[1]:  # a 1x1 map
        places = [None, None]
    lost = [side for side, place in enumerate(places) if place is None]
    return replace(field.collapsed(lost), dims=(places[0], places[1]))


def _permute(given: Given, fields: Fields, out: Tensor) -> Field | None:
    field, ndim = fields(given["self"]), given["self"].ndim
    if field is None:
        return None
    order = list(range(ndim))
    if "dims" in given:
        order = [dim % ndim for dim in given["dims"]]
    else:
        a, b = (given[key] % ndim for key in ("dim0", "dim1")) if "dim0" in given else (0, ndim - 1)
        order[a], order[b] = order[b], order[a]
    places = [None if dim is None else order.index(dim) for dim in field.dims]
    return replace(field, dims=(places[0], places[1]))


def _reduce(given: Given, fields: Fields, out: Tensor) -> Field | None:
    field, ndim = fields(given["self"]), given["self"].ndim
    if field is None:
        return None
    over = given.get("dim")
    over = range(ndim) if over is None else [over] if isinstance(over, int) else (over or range(ndim))
    over = {dim % ndim for dim in over}
    field = field.collapsed([side for side, dim in enumerate(field.dims) if dim in over])
    if given.get("keepdim"):
        return field
    places = [None if dim is None else dim - sum(gone < dim for gone in over) for dim in field.dims]
    return replace(field, dims=(places[0], places[1]))


# ---- branches --------------------------------------------------------------------------------------------------------
def _elementwise(given: Given, fields: Fields, out: Tensor) -> Field | None:
    """Also sums, products and concatenations over channels: each unit sees what the units at its place see."""
    tensors = [t for value in given.values() for t in (value if isinstance(value, list | tuple) else [value])]
    known = [(t, field) for t in tensors if isinstance(t, Tensor) and (field := fields(t)) is not None]
    maps, vectors = [], []
    for tensor, field in known:
        dims = [None if dim is None else dim + out.ndim - tensor.ndim for dim in field.dims]
        fits = all(d is not None and 0 <= d and out.shape[d] == a.units for d, a in zip(dims, field.axes, strict=True))
        if fits:
            maps.append(replace(field, dims=(dims[0], dims[1])))
        else:
            vectors.append(field.collapsed())
    if not known:
        return None
    joined, *others = maps or vectors
    for other in others:
        gated = joined.gated or other.gated
        rows, columns = joined.rows.union(other.rows), joined.columns.union(other.columns)
        joined = Field(rows, columns, joined.dims, gated)
    return replace(joined, gated=joined.gated or bool(maps and vectors))


def _bind(rule: Callable, first: Any) -> Callable[[Given, Fields, Tensor], Field | None]:
    return lambda given, fields, out: rule(first, given, fields, out)


_RULES: dict[str, Callable[[Given, Fields, Tensor], Field | None]] = {
    "convolution": _convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "avg_pool3d"), _pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d"), _adaptive_pool),
    **dict.fromkeys(("upsample_nearest2d", "_upsample_nearest_exact2d"), _bind(_upsample, (0,))),
    "upsample_bilinear2d": _bind(_upsample, (0, 1)),
    "upsample_bicubic2d": _bind(_upsample, (-1, 0, 1, 2)),
    "constant_pad_nd": _bind(_pad, "zeros"),
    "replication_pad2d": _bind(_pad, "replicate"),
    "reflection_pad2d": _bind(_pad, "reflect"),
    "slice": _slice,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "var", "std"), _reduce),
}  # fmt: skip
