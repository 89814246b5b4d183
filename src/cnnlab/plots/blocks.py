"""A building block of a network, drawn from the graph of its operations, from top to bottom.

Branches stand side by side between the operation that they come from and the one that joins them; a branch without an
operation, a shortcut, is a line at the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from cnnlab.models.block_graph import Operation
from cnnlab.plots.style import DPI, GREY

# inches; the axes have one unit for each, so that text keeps its size beside them
WIDTH, LINE, PAD = 2.25, 0.165, 0.17
GAP, BETWEEN, SHORTCUT, BUS = 0.3, 0.22, 0.3, 0.12
RADIUS = 0.17
MARGIN, HEAD = 0.3, 0.75
INK = "#333333"
_SIGNS = {"addition": "+", "multiplication": "×"}
_FILLS = {
    "depthwise convolution": "#CDE9DF", "grouped convolution": "#BFE0EE", "convolution": "#D5E5F2",
    "concatenation": "#F7DFA8", "addition": "#F7DFA8", "multiplication": "#F7DFA8",
    "channel shuffle": "#EBD3E1", "split": "#EBD3E1", "input": "#FFFFFF", "output": "#FFFFFF",
}  # fmt: skip
_POOLING, _OTHER = "#F9D9C6", "#EEEEEE"


def building_block(operations: Sequence[Operation], title: str, subtitle: str = "") -> Figure:
    """The graph of a block: see `models.block_graph.block_graph`.

    Args:
        operations: from the one of kind `input` to the one of kind `output`.
        title, subtitle: above the drawing.
    """
    drawing = _Drawing(operations)
    left, right, height = drawing.extent
    # the title needs room too
    side = max(0.0, (max(0.098 * len(title), 0.068 * len(subtitle)) - left - right) / 2)
    left, right = left + side + MARGIN, right + side + MARGIN
    figure = Figure(figsize=(left + right, height + HEAD + MARGIN), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-left, right)
    axes.set_ylim(-height - MARGIN, HEAD)
    axes.axis("off")
    middle = (right - left) / 2
    axes.text(middle, HEAD - 0.2, title, ha="center", va="center", fontsize=12, fontweight="bold", color=INK)
    axes.text(middle, HEAD - 0.45, subtitle, ha="center", va="center", fontsize=8.5, color=GREY)
    drawing.draw(axes)
    return figure


def label(operation: Operation) -> list[str]:
    """The lines that stand in an operation's box; maps are columns × rows × channels, kernels rows × columns."""
    entering, leaving = operation.channels
    height, width = (*operation.output[1:], 1, 1)[:2]
    kernel = "{}×{} ".format(*operation.kernel) if operation.kernel else ""
    same = f"{leaving} channels" if leaving else ""
    if operation.kind in ("input", "output"):
        return [operation.kind, f"{width}×{height}×{operation.output[0]}"]
    if operation.kind in _SIGNS:
        return [_SIGNS[operation.kind]]
    if operation.kind == "concatenation":
        return [f"concatenation, {operation.output[0]} channels"]
    if operation.kind == "split":
        return ["channel split", f"{entering} → {leaving} + {entering - leaving} channels"]
    if operation.kind == "channel shuffle":
        return ["channel shuffle", f"{operation.groups} groups"]
    if "convolution" in operation.kind:
        groups = f", {operation.groups} groups" if operation.kind.startswith("grouped") else ""
        stride = _stride(operation)
        first = f"{kernel}{operation.kind.removeprefix('grouped ')}{groups}"
        lines = [first, f"{entering} → {leaving} channels, {stride}"]
        return [*lines, ", ".join(operation.then)] if operation.then else lines
    if "pooling" in operation.kind:
        second = f"{same}, {_stride(operation)}" if operation.stride else f"{same}, {width}×{height}"
        return [kernel + operation.kind, second, *operation.then]
    return [", ".join([operation.kind, *operation.then]), same] if same else [operation.kind]


def _stride(operation: Operation) -> str:
    rows, columns = operation.stride
    return f"stride {rows}" if rows == columns else f"stride {rows}×{columns}"


@dataclass
class _Box:
    """Where an operation stands: the middle of its shape, which is `width` by `height`."""

    operation: Operation
    lines: list[str]
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0

    @property
    def sign(self) -> bool:
        return self.operation.kind in _SIGNS

    @property
    def top(self) -> float:
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        return self.y - self.height / 2


@dataclass
class _Split:
    """Branches side by side; `bare` if there is one without operations."""

    branches: list[list[_Box | _Split]]
    bare: bool
    offsets: list[float] = field(default_factory=list)  # axis of each branch, from that of the whole


Part = _Box | _Split


class _Drawing:
    def __init__(self, operations: Sequence[Operation]) -> None:
        self.after = {o.name: [n.name for n in operations if o.name in n.inputs] for o in operations}
        self.order = {o.name: place for place, o in enumerate(operations)}
        self.boxes = {o.name: _box(o) for o in operations}
        widest = max(box.width for box in self.boxes.values())
        for box in self.boxes.values():
            box.width = box.width if box.sign else widest
        self.meeting = self._meetings([o.name for o in operations])
        self.lines: list[list[tuple[float, float]]] = []  # each ends in an arrow
        self.column = self._column(operations[0].name, "")
        self.extent = self._extent(self.column)
        self._place(self.column, 0.0, 0.0)

    # ---- structure ---------------------------------------------------------------------------------------------------
    def _meetings(self, names: list[str]) -> dict[str, str]:
        """name -> the first operation that every way from it to the output goes through."""
        through: dict[str, set[str]] = {}
        for name in reversed(names):
            ways = [through[following] for following in self.after[name]]
            through[name] = {name} | (set.intersection(*ways) if ways else set())
        return {name: min(through[name] - {name}, key=self.order.get, default="") for name in names}

    def _column(self, name: str, stop: str, done: set[str] | None = None) -> list[Part]:
        """What comes one below the other from `name` to before `stop`."""
        parts: list[Part] = []
        done = set() if done is None else done
        while name != stop and name not in done:
            parts.append(self.boxes[name])
            done.add(name)
            following = self.after[name]
            if len(following) < 2:
                name = following[0] if following else stop
                continue
            meeting = self.meeting[name]
            branches = [self._column(n, meeting, done) for n in following if n != meeting]
            parts.append(_Split([branch for branch in branches if branch], meeting in following))
            name = meeting
        return parts

    # ---- sizes and places --------------------------------------------------------------------------------------------
    def _extent(self, parts: list[Part]) -> tuple[float, float, float]:
        """Inches to the left and to the right of a column's axis, and its height."""
        sizes = [self._size(part) for part in parts]
        heights = sum(size[2] for size in sizes) + GAP * (len(sizes) - 1)
        return max(size[0] for size in sizes), max(size[1] for size in sizes), heights

    def _size(self, part: Part) -> tuple[float, float, float]:
        if isinstance(part, _Box):
            return part.width / 2, part.width / 2, part.height
        extents = [self._extent(branch) for branch in part.branches]
        shortcut = SHORTCUT if part.bare else 0.0
        if len(extents) == 1:
            part.offsets = [0.0]
            left, right, height = extents[0]
            return left, right + shortcut, height
        edge, part.offsets = 0.0, []
        for left, right, _ in extents:
            part.offsets.append(edge + left)
            edge += left + right + BETWEEN
        edge -= BETWEEN
        middle = (part.offsets[0] + part.offsets[-1]) / 2
        part.offsets = [offset - middle for offset in part.offsets]
        return middle, edge - middle + shortcut, max(extent[2] for extent in extents) + 2 * BUS

    def _place(self, parts: list[Part], x: float, y: float) -> None:
        """Put a column's parts on the axis `x`, from `y` downwards, and draw the lines between them."""
        for index, part in enumerate(parts):
            _, right, height = self._size(part)
            if isinstance(part, _Box):
                part.x, part.y = x, y - height / 2
                if index and isinstance(parts[index - 1], _Box):
                    self._line((x, parts[index - 1].bottom), (x, part.top))
            else:
                for branch, offset in zip(part.branches, part.offsets, strict=True):
                    room = height - self._extent(branch)[2]
                    self._place(branch, x + offset, y - room / 2)
            y -= height + GAP
        for index, part in enumerate(parts):
            if isinstance(part, _Split):
                self._join(parts[index - 1], part, parts[index + 1], x, x + self._size(part)[1])

    def _join(self, source: _Box, split: _Split, target: _Box, x: float, right: float) -> None:
        """Lines from an operation into the branches below it, and from these to the operation that joins them."""
        ends = [(branch[0], branch[-1]) for branch in split.branches]
        fork = source.bottom - GAP / 2
        if target.operation.kind == "concatenation" and len(ends) > 1:
            target.width = max(target.width, ends[-1][1].x - ends[0][1].x + 0.8)
        for first, last in ends:
            self._line((x, source.bottom), (x, fork), (first.x, fork), (first.x, first.top))
            if last.x == x or (target.operation.kind == "concatenation" and abs(last.x - x) < target.width / 2):
                self._line((last.x, last.bottom), (last.x, target.top))
            else:
                side = target.x + target.width / 2 * (1 if last.x > x else -1)
                self._line((last.x, last.bottom), (last.x, target.y), (side, target.y))
        if split.bare:
            self._line((x, source.bottom), (x, fork), (right, fork), (right, target.y),
                       (target.x + target.width / 2, target.y))  # fmt: skip

    def _line(self, *points: tuple[float, float]) -> None:
        self.lines.append(list(points))

    # ---- ink ---------------------------------------------------------------------------------------------------------
    def draw(self, axes: Axes) -> None:
        for points in self.lines:
            axes.plot(*zip(*points, strict=True), color=INK, linewidth=1.1, solid_joinstyle="round", zorder=1)
            axes.annotate("", points[-1], points[-2], zorder=1, arrowprops={
                "arrowstyle": "-|>", "color": INK, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9,
            })  # fmt: skip
        for box in self.boxes.values():
            _draw_box(axes, box)


def _box(operation: Operation) -> _Box:
    lines = label(operation)
    if operation.kind in _SIGNS:
        return _Box(operation, lines, 2 * RADIUS, 2 * RADIUS)
    return _Box(operation, lines, max(WIDTH, 0.075 * max(map(len, lines)) + 0.25), PAD + LINE * len(lines))


def _draw_box(axes: Axes, box: _Box) -> None:
    kind = box.operation.kind
    fill = _FILLS.get(kind, _POOLING if "pooling" in kind else _OTHER)
    if box.sign:
        axes.add_patch(Circle((box.x, box.y), RADIUS, facecolor=fill, edgecolor=INK, linewidth=1.1, zorder=2))
        axes.text(box.x, box.y, box.lines[0], ha="center", va="center_baseline", fontsize=15, color=INK, zorder=3)
        return
    corner = (box.x - box.width / 2, box.bottom)
    axes.add_patch(FancyBboxPatch(
        corner, box.width, box.height, boxstyle="round,pad=0,rounding_size=0.06", facecolor=fill, edgecolor=INK,
        linewidth=0.9, zorder=2,
    ))  # fmt: skip
    for number, line in enumerate(box.lines):
        y = box.top - PAD / 2 - LINE * (number + 0.5)
        bold = "bold" if number == 0 else "normal"
        axes.text(box.x, y, line, ha="center", va="center", fontsize=8.5 if number == 0 else 8, fontweight=bold,
                  color=INK, zorder=3)  # fmt: skip
