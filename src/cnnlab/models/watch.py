"""Every layer of a forward pass, as it is run: see trace.py."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from cnnlab.models.arithmetic import Convolution, Pair
from cnnlab.models.field_rules import follow
from cnnlab.models.fields import Axis, Field

_POOLS = {
    "max_pool2d_with_indices": "max pooling", "max_pool2d": "max pooling", "avg_pool2d": "average pooling",
    "_adaptive_avg_pool2d": "adaptive average pooling", "adaptive_max_pool2d": "adaptive max pooling",
}  # fmt: skip
_MATRICES = {
    "addmm": ("mat1", "mat2"),
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "baddbmm": ("batch1", "batch2"),
}
_NORMS = {"batch_norm": "batch norm", "group_norm": "group norm", "layer_norm": "layer norm"}


@dataclass(frozen=True)
class Layer:
    """One operation with weights or a window, in the order of execution.

    Attributes:
        name: of the module that did it, as in `named_modules`; empty for the network itself.
        kind: such as `convolution`, `depthwise convolution`, `max pooling`, `linear`, `batch norm`.
        inputs, output: shape without the batch, (C, H, W) or (features,).
        kernel, stride, dilation: rows and columns; a linear layer and a norm have kernel 1.
        padding: rows before and after, columns before and after; that of an `F.pad` just before is included.
        groups: of a convolution.
        parameters: of this layer; 0 where an earlier one has the same.
        multiply_adds: for one picture; biases, norms and poolings are not counted.
        rows, columns: which pixels its units see, exactly and by the formula.
        gated: see `fields.Field`.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    output: tuple[int, ...]
    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int
    parameters: int
    multiply_adds: int
    rows: Axis
    columns: Axis
    gated: bool

    @property
    def receptive_field(self) -> Pair:
        """Rows and columns that a unit sees by the formula, far from any border: the largest over all paths."""
        return self.rows.size.__ceil__(), self.columns.size.__ceil__()

    @property
    def jump(self) -> tuple[Fraction, Fraction]:
        """Pixels between the parts of the picture that neighbouring units see."""
        return self.rows.jump, self.columns.jump

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) in pixels: what the middle unit sees, cut at the picture's border."""
        (top, bottom), (left, right) = self.rows.middle, self.columns.middle
        return left, top, right + 1, bottom + 1


class Watch(TorchDispatchMode):
    """Sees every operation of a forward pass; knows by hooks which module it belongs to."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.layers: list[Layer] = []
        self.fields = WeakTensorKeyDictionary()
        self._pads = WeakTensorKeyDictionary()  # tensors that were just padded: before and after, rows and columns
        self._turn: list[tuple[str, nn.Module]] = [("", model)]
        self._claimed: set[int] = set()
        self._hooks = ExitStack()

    def __enter__(self) -> "Watch":
        for name, module in self.model.named_modules():
            if module is not self.model:
                begin = module.register_forward_pre_hook(lambda m, _, name=name: self._turn.append((name, m)))
                end = module.register_forward_hook(lambda *_: self._turn.pop() and None, always_call=True)
                self._hooks.callback(begin.remove)
                self._hooks.callback(end.remove)
        return super().__enter__()

    def __exit__(self, *details: Any) -> None:
        self._hooks.close()
        super().__exit__(*details)

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        arguments = func._schema.arguments
        given = {a.name: a.default_value for a in arguments if a.has_default_value()}
        given |= dict(zip((a.name for a in arguments), args, strict=False)) | (kwargs or {})
        outputs = [t for t in (result if isinstance(result, list | tuple) else [result]) if isinstance(t, Tensor)]
        if outputs:
            self._note(func._schema.name.split("::")[1], given, outputs)
        return result

    def _field(self, value: Any) -> Field | None:
        return self.fields.get(value) if isinstance(value, Tensor) else None

    def _note(self, name: str, given: dict[str, Any], outputs: list[Tensor]) -> None:
        out = outputs[0]
        field = follow(name, given, self._field, out)
        if field is None:
            return
        several = name in ("split", "split_with_sizes", "chunk", "unbind")
        for output in outputs if several else outputs[:1]:
            self.fields[output] = field
        if name == "constant_pad_nd":
            left, right, top, bottom = [*given["pad"], 0, 0, 0, 0][:4]
            self._pads[out] = ((top, bottom), (left, right))
        if name == "convolution":
            self._convolution(given, out, field)
        elif name in _POOLS:
            self._pool(_POOLS[name], given, out, field)
        elif name == "mean" and given["self"].ndim == 4 and out.numel() < given["self"].numel():
            self._global_pool(given["self"], out, field)
        elif name in _MATRICES:
            self._matrix(*(given[key] for key in _MATRICES[name]), out, field)
        else:
            kind = next(
                (kind for key, kind in _NORMS.items() if key in name), "upsampling" if "upsample" in name else ""
            )
            if kind:
                self._add(kind, given.get("input", given.get("self")), out, field)

    # ---- kinds of layers ---------------------------------------------------------------------------------------------
    def _add(
        self, kind: str, x: Tensor, out: Tensor, field: Field, kernel: Pair = (1, 1), stride: Pair = (1, 1),
        padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1, multiply_adds: int = 0,
    ) -> None:  # fmt: skip
        name, module = self._turn[-1]
        # what was put around a transposed convolution's input lies between the pixels that it spreads
        before = self._pads.get(x, ((0, 0), (0, 0))) if "transposed" not in kind else ((0, 0), (0, 0))
        padded = tuple((a + p, b + p) for (a, b), p in zip(before, padding, strict=True))
        own = 0 if "pooling" in kind or kind == "upsampling" else self._claim(module)
        self.layers.append(Layer(
            name, kind, tuple(x.shape[1:]), tuple(out.shape[1:]), kernel, stride, (padded[0], padded[1]), dilation,
            groups, own, multiply_adds, field.rows, field.columns, field.gated,
        ))  # fmt: skip

    def _convolution(self, given: dict[str, Any], out: Tensor, field: Field) -> None:
        x, weight, groups = given["input"], given["weight"], given["groups"]
        if x.ndim != 4:
            return
        geometry = {key: tuple(given[key]) for key in ("stride", "padding", "dilation")}
        layer = Convolution(
            tuple(x.shape[1:]), out.shape[1], tuple(weight.shape[2:]), groups=groups, bias=given["bias"] is not None,
            transposed=given["transposed"], output_padding=tuple(given["output_padding"]), **geometry,
        )  # fmt: skip
        if layer.output != tuple(out.shape[1:]) or layer.weights != weight.numel():
            raise AssertionError(f"{self._turn[-1][0]}: the formula says {layer.output}, the network {out.shape[1:]}")
        kind = "transposed convolution" if layer.transposed else "convolution"
        if groups > 1:
            kind = ("depthwise " if groups == x.shape[1] else "grouped ") + kind
        self._add(kind, x, out, field, layer.kernel, groups=groups, multiply_adds=layer.multiply_adds, **geometry)

    def _pool(self, kind: str, given: dict[str, Any], out: Tensor, field: Field) -> None:
        x = given["self"]
        if "adaptive" in kind:
            kernel = tuple(-(-a // b) for a, b in zip(x.shape[2:], out.shape[2:], strict=True))
            stride = tuple(a // b for a, b in zip(x.shape[2:], out.shape[2:], strict=True))
            self._add(kind, x, out, field, kernel, stride)
            return
        kernel, stride, padding, dilation = (
            tuple(v * 2 if len(v) == 1 else v) if (v := list(given.get(key) or [])) else default
            for key, default in (("kernel_size", ()), ("stride", None), ("padding", (0, 0)), ("dilation", (1, 1)))
        )
        self._add(kind, x, out, field, kernel, stride or kernel, padding, dilation)

    def _global_pool(self, x: Tensor, out: Tensor, field: Field) -> None:
        if (
            out.shape[1] == x.shape[1]
            and self._field(x).dims == (2, 3)
            and field.rows.units == field.columns.units == 1
        ):
            self._add("global average pooling", x, out, field, tuple(x.shape[2:]))

    def _matrix(self, x: Tensor, weight: Tensor, out: Tensor, field: Field) -> None:
        known = self._field(x), self._field(weight)
        kind = "linear" if None in known else "matrix product"
        x = weight if known[0] is None else x
        self._add(kind, x, out, field, multiply_adds=out.numel() * (x.shape[-1] if known[0] else x.shape[-2]))

    # ---- parameters --------------------------------------------------------------------------------------------------
    def _own(self, module: nn.Module) -> list[nn.Parameter]:
        own = list(module.parameters(recurse=False))
        return own + list(module.parametrizations.parameters()) if hasattr(module, "parametrizations") else own

    def _claim(self, module: nn.Module) -> int:
        new = {id(p): p.numel() for p in self._own(module) if id(p) not in self._claimed}
        self._claimed |= new.keys()
        return sum(new.values())

    def unclaimed(self) -> Iterator[tuple[str, str, int]]:
        """Modules whose parameters belong to no layer."""
        for name, module in self.model.named_modules():
            if count := self._claim(module):
                yield name, type(module).__name__, count
