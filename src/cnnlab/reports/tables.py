"""Fill README.md and the experiments' docstrings with the figures of `results/*.json`.

    python -m cnnlab.reports.tables             # write
    python -m cnnlab.reports.tables --check     # write nothing; exit 1 and name the files that differ

In README.md the table stands between `<!-- results:begin -->` and `<!-- results:end -->`. In a module of experiments/
or studies/ it is the paragraph of the module's docstring that begins with `Result:`; MLproject tells which module
belongs to which entry point. Both leave out details, and the README has the two figures of each run that its question
asks for; docs/results.md has every figure, docs/shortcuts.md those of `shortcut_check`.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import floor, log10
from pathlib import Path
from textwrap import wrap

import yaml

from cnnlab.errors import DataError, UserError
from cnnlab.reports.records import Record, owner, read_records
from cnnlab.reports.shortcut_page import ENTRY_POINT as SHORTCUTS
from cnnlab.reports.shortcut_page import shortcut_page
from cnnlab.reports.text_tables import table_lines

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
NO_RECORD = "no recorded run yet"
_WIDTH = 118
_FIRST = 2  # figures of a record that the README shows
_ASKED = ("ratio", "test_")  # parts of names, those of the figures that a question asks for before all others
_GATHERS = "_report"  # how entry points end whose figures are those of other records
# figures of single classes and views, of memory and waiting, and what each of many networks costs: docs/results.md has
# them
_DETAIL = re.compile(
    r"_iou_|_accuracy_plain$|data_wait|memory_mb|^share_|_strongest$|"
    r"^(val_accuracy|parameters|multiply_adds|latency_ms|train_images_per_second|train_seconds|images_seen)_"
)
_RESULTS_PAGE = """# All recorded figures

Made by `python -m cnnlab.reports.tables` from `results/*.json`, which the runs themselves wrote.

"""
_MODULE = re.compile(r"(?:experiments|studies)/[\w/]+\.py")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cnnlab.reports.tables", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that differ")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder (default: this one)")
    options = parser.parse_args(arguments)
    try:
        changed = outdated(options.root)
        if not options.check:
            for path, text in changed.items():
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for path in changed:
        name = path.relative_to(options.root)
        advice = f"{name} differs from results/: run python -m cnnlab.reports.tables"
        print(advice if options.check else f"filled {name}")
    return 1 if options.check and changed else 0


def outdated(root: Path) -> dict[Path, str]:
    """The files under `root` whose tables differ from its results/, with the text they should have.

    Raises:
        DataError: no MLproject, a bad record, or a README.md without its two markers.
    """
    records = read_records(root / "results")
    owners = _entry_points(root)
    every = [name for names in owners.values() for name in names]
    wanted = {}
    readme = root / "README.md"
    if readme.exists():
        wanted[readme] = fill_readme(readme.read_text(encoding="utf-8"), in_order(records.values(), every), readme)
        wanted[root / "docs" / "results.md"] = _RESULTS_PAGE + markdown_table(records.values()) + "\n"
        wanted[root / "docs" / "shortcuts.md"] = shortcut_page(records.values())
    modules = [*sorted((root / "experiments").rglob("*.py")), *sorted((root / "studies").glob("*.py"))]
    for path in modules:
        names = owners.get(path.relative_to(root).as_posix(), [])
        own = [record for name in names for record in records.values() if owner(record.entry_point, every) == name]
        wanted[path] = fill_docstring(path.read_text(encoding="utf-8"), own)
    return {path: text for path, text in wanted.items() if not path.exists() or text != path.read_text("utf-8")}


def headlines(records: Iterable[Record]) -> list[Record]:
    """The records without their details, and without `shortcut_check`, whose figures have a page of their own."""
    kept = [record for record in records if not record.entry_point.startswith(SHORTCUTS)]
    shown = [{k: v for k, v in record.metrics.items() if not _is_detail(k, record)} for record in kept]
    return [replace(record, metrics=metrics or record.metrics) for record, metrics in zip(kept, shown, strict=True)]


def in_order(records: Iterable[Record], entry_points: Sequence[str]) -> list[Record]:
    """The records in the order of their entry points; what has none, such as a benchmark, stands last."""
    places = {name: place for place, name in enumerate(entry_points)}
    return sorted(records, key=lambda r: (places.get(owner(r.entry_point, entry_points), len(places)), r.entry_point))


def _is_detail(metric: str, record: Record) -> bool:
    # an ablation has one figure of its own and one for each variant, which are details; a ranking has the latter alone
    variant = metric.startswith("test_accuracy_") and "test_accuracy" in record.metrics
    return variant or bool(_DETAIL.search(metric))


def fill_readme(text: str, records: Iterable[Record], source: str | Path = "README.md") -> str:
    """`text` with the table of all records between the two markers.

    Raises:
        DataError: a marker is missing, there twice, or in the wrong order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise DataError(f"{source} must hold {BEGIN} once and below it {END} once, around the place of the table")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{summary_table(headlines(records))}\n{END}{after}"


def summary_table(records: Iterable[Record]) -> str:
    """One row per record with the figures that its question asks for; notes stand below, equal ones together."""
    header = ("entry point", "measured", "seeds", "data", "hardware", "commit")
    rows: list[tuple[str, ...]] = []
    notes: dict[str, list[str]] = {}
    for record in records:
        if record.entry_point.endswith(_GATHERS):
            continue
        lines = []
        for name in _asked(record)[:_FIRST]:
            samples = _samples(record, name)
            lines.append(f"`{name}` {_figure(record.metrics[name])}" + f" on {samples}" * bool(samples))
            if (plain := f"{name}_plain") in record.metrics:  # the first figure is an average over several views
                lines[-1] += f"; in a single view {_figure(record.metrics[plain])}"
        if record.note:
            notes.setdefault(record.note, []).append(f"`{record.entry_point}`")
        data = record.data["name"] + " *" * bool(record.note)
        cells = ("<br>".join(lines), _seeds(record), data, record.hardware, f"`{_commit(record)}`")
        rows.append((f"`{record.entry_point}`", *cells))
    if not rows:
        return NO_RECORD
    told = [f"- {', '.join(names)}: {note}" for note, names in notes.items()]
    return "\n".join([table_lines(header, rows), *([""] if told else []), *told])


def _asked(record: Record) -> list[str]:
    """The names of a record's figures, those first that its question asks for and losses last."""
    def place(name: str) -> int:
        return next((i for i, part in enumerate(_ASKED) if part in name), len(_ASKED) + name.endswith("_loss"))

    return sorted(record.metrics, key=place)


def markdown_table(records: Iterable[Record]) -> str:
    """One row per metric; what holds for the whole run stands in its first row only."""
    header = ("entry point", "metric", "mean ± std (n)", "samples", "seeds", "data", "hardware", "commit")
    rows = []
    for record in records:
        data = record.data["name"] + (f" ({record.note})" if record.note else "")
        shared = (_seeds(record), data, record.hardware, f"`{_commit(record)}`")
        for place, (name, figures) in enumerate(record.metrics.items()):
            first = place == 0
            entry_point = f"`{record.entry_point}`" if first else ""
            tail = shared if first else ("",) * len(shared)
            rows.append((entry_point, f"`{name}`", _figure(figures), _samples(record, name), *tail))
    return table_lines(header, rows) if rows else NO_RECORD


def fill_docstring(source: str, records: list[Record]) -> str:
    """`source` with the `Result:` paragraph of its module docstring made from `records`; unchanged without one."""
    body = ast.parse(source).body
    if not (body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)):
        return source
    lines = source.split("\n")
    first, last = body[0].lineno - 1, body[0].end_lineno or body[0].lineno
    begin = next((i for i in range(first, last) if lines[i].lstrip().startswith("Result:")), None)
    if begin is None:
        return source
    end = begin
    while end < last and lines[end].strip() and not lines[end].lstrip().startswith(('"""', "'''")):
        end += 1
    # where the closing quotes follow the paragraph on its last line, they keep that place
    closing = re.search(r"(\"\"\"|''').*$", lines[end - 1]) if end == last else None
    paragraph = _paragraph(records)
    if closing:
        paragraph[-1] += closing.group(0)
    return "\n".join([*lines[:begin], *paragraph, *lines[end:]])


def _paragraph(records: list[Record]) -> list[str]:
    """The lines of a docstring's result."""
    if records and not headlines(records):
        return ["Result: docs/shortcuts.md, made from the recorded runs"]
    if not records:
        return [f"Result: {NO_RECORD}"]
    lines = []
    for record in headlines(records):
        splits = ", ".join(f"{name} {size}" for name, size in record.data["splits"].items())
        data = record.data["name"] + (f" ({splits})" if splits else "")
        head = (
            f"{record.entry_point} on {data}, seeds {_seeds(record)}, {record.hardware}, "
            f"{record.seconds:.0f} s, {record.date[:10]}, commit {_commit(record)}:"
        )
        lines += wrap(head, _WIDTH, initial_indent="" if lines else "Result: ", subsequent_indent="    ")
        width = max(map(len, record.metrics))
        for name, figures in record.metrics.items():
            samples = _samples(record, name)
            lines.append(f"    {name:{width}}  {_figure(figures)}" + (f" on {samples} samples" if samples else ""))
        if record.note:
            lines += wrap(record.note, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    # the text stands inside of a Python string
    return [line.replace("\\", "/").replace('"', "'").rstrip() for line in lines]


def _figure(figures: Mapping[str, float]) -> str:
    """`0.913 ± 0.004 (3)`: as many decimals as the spread bears; without a spread four significant digits."""
    mean, std, n = figures["mean"], figures["std"], int(figures["n"])
    scale, digits = (std, 1) if std > 0 else (abs(mean), 3)
    decimals = min(max(digits - floor(log10(scale)), 0), 5) if scale > 0 else 0
    spread = f" ± {std:.{decimals}f}" if n > 1 else ""
    return f"{mean:.{decimals}f}{spread} ({n})"


def _samples(record: Record, metric: str) -> str:
    """The size of the split that the metric's name begins with; empty where it names none."""
    split = max((s for s in record.data["splits"] if metric.startswith((f"{s}_", f"{s}/"))), key=len, default="")
    return str(record.data["splits"][split]) if split else ""


def _seeds(record: Record) -> str:
    seeds = list(record.seeds)
    if len(seeds) > 3 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _commit(record: Record) -> str:
    return record.commit[:10] + (" with changes" if record.dirty else "")


def _entry_points(root: Path) -> dict[str, list[str]]:
    """Module path -> entry points, as MLproject's commands say."""
    path = root / "MLproject"
    try:
        project = yaml.safe_load(path.read_text(encoding="utf-8"))
        commands = {name: point["command"] for name, point in project["entry_points"].items()}
    except OSError as error:
        raise DataError(f"{path} cannot be read: run this in the project's folder or give it with --root") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} does not list entry_points with a command each: {error}") from error
    owners: dict[str, list[str]] = {}
    for name, command in commands.items():
        for module in dict.fromkeys(_MODULE.findall(command)):
            owners.setdefault(module, []).append(name)
    return owners


if __name__ == "__main__":
    sys.exit(main())
