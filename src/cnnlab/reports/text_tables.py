"""Rows of texts as CSV and as Markdown, and shares as the words that tell them."""

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same keys as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["cue"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same keys as a Markdown table."""
    if not rows:
        return "(nothing)\n"
    return table_lines(rows[0], (row.values() for row in rows)) + "\n"


def table_lines(header: Collection[str], rows: Iterable[Iterable[object]]) -> str:
    """A heading and rows of cells as a Markdown table, without a newline at its end."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def percent(shares: Sequence[float] | np.ndarray, of: str = "", decimals: int = 1) -> str:
    """Shares in words: `86.7 ± 0.5 % (3 seeds)`, with `of` = "seeds"; a single one has no spread."""
    mean = f"{100 * np.mean(shares):.{decimals}f}"
    if len(shares) < 2:
        return f"{mean} %"
    return f"{mean} ± {100 * np.std(shares, ddof=1):.{decimals}f} %" + (f" ({len(shares)} {of})" if of else "")
