"""The shortcut check in words: a sentence, a table, and a report that says how to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from cnnlab.data.picture_tree import PictureTree
from cnnlab.evaluation.near_duplicates import KINDS, DuplicateGroup
from cnnlab.evaluation.shortcuts import ALMOST_ALL, CLEAR, SIGNIFICANCE, CueResult
from cnnlab.reports.text_tables import as_markdown

KIND_WORDS = {
    "two_classes": "the same picture under two classes",
    "across_splits": "the same picture in two splits",
    "within_split": "the same picture twice in one split",
}
_MOST_LISTED = 40
_HOW_TO_READ = f"""## How to read it

For each cue a shallow decision tree sees the cue's measurements and nothing else. The accuracy is balanced (the mean
of the classes' recalls) and on pictures that the tree was not grown on; copies of one picture stay together. A cue is
named when two things hold: luck alone would hardly reach it (permuted labels, corrected for the number of cues; the
aim is one false alarm in {1 / SIGNIFICANCE:.0f} data sets without any cue, in small ones it can be two or three), and
it covers at least {100 * CLEAR:.0f} % of the way from chance to perfection; from {100 * ALMOST_ALL:.0f} % on it tells
almost all.

- Cues of kind **file** (format, size, alpha channel, compression, metadata) have nothing to do with what a picture
  shows. Where one is named, the classes were gathered or stored in different ways; a network may learn that instead.
- Cues of kind **pixels** (border, bars, sharpness, noise, brightness, colour) can be an accident of the gathering, or
  they can be what the classes are about: painters have palettes, ships float on blue. The figure cannot tell which.
  Look at the mean pictures, and let `explain` show where a trained network looks.

Pictures of one film, session or person are not independent of each other; with such data luck reaches further than the
test assumes. Quiet cues are no proof of honesty: a watermark in a corner is none of the cues here.
"""


def cue_rows(results: Sequence[CueResult]) -> list[dict[str, str]]:
    """One row of texts per cue, the most telling first."""
    return [
        {
            "cue": r.cue.name, "kind": r.cue.kind, "balanced accuracy": f"{r.accuracy:.4f}",
            "95 % interval": f"{r.interval[0]:.3f} to {r.interval[1]:.3f}", "chance": f"{r.chance:.4f}",
            "luck reaches": f"{r.noticeable:.3f}", "corrected p": f"{r.p_value:.4f}", "verdict": r.verdict,
            "differs most": r.by_class,
        }
        for r in results
    ]  # fmt: skip


def summary(name: str, results: Sequence[CueResult], groups: Sequence[DuplicateGroup], hashed: int) -> str:
    """What was found, the worst first."""
    parts = []
    counts = Counter(group.kind for group in groups)
    if counts["two_classes"]:
        parts.append(f"{counts['two_classes']} picture(s) stand under two classes: mend that first.")
    leaks = [r for r in results if r.cue.kind == "file" and r.level]
    looks = [r for r in results if r.cue.kind == "pixels" and r.level]
    if leaks:
        also = f"; also {', '.join(map(_named, leaks[1:]))}" if leaks[1:] else ""
        parts.append(f"The {_named(leaks[0])} {leaks[0].verdict} (chance {100 * leaks[0].chance:.1f} %){also}.")
    elif results:
        parts.append("No file-bound cue gives the class away.")
    if looks:
        also = f", then {', '.join(map(_named, looks[1:3]))}" if looks[1:] else ""
        chance = "" if leaks else f" (chance {100 * looks[0].chance:.1f} %)"
        parts.append(f"In the pixels {_named(looks[0])} tells most{chance}{also}: does the subject explain it?")
    elif results:
        parts.append("No pixel cue beats chance clearly.")
    rest = [f"{counts[kind]} x {KIND_WORDS[kind]}" for kind in KINDS[1:] if counts[kind]]
    parts.append(f"Near-duplicates among {hashed} pictures: {', '.join(rest) or 'no others' * bool(groups) or 'none'}.")
    return f"{name}: {' '.join(parts)}"


def _named(result: CueResult) -> str:
    return f"{result.cue.name.replace('_', ' ')} {100 * result.accuracy:.1f} %"


def report(
    tree: PictureTree, sentence: str, sampling: str, results: Sequence[CueResult], columns: Mapping[str, np.ndarray],
    labels: np.ndarray, duplicates: Sequence[Mapping[str, str]], unreadable: Sequence[str],
) -> str:
    """The whole report as Markdown.

    Args:
        tree: all pictures of the data set.
        sentence: the summary.
        sampling: how many pictures were measured.
        results: by cue, the most telling first; empty for a heap of pictures.
        columns: measurements of the pictures measured, (n,) each.
        labels: (n,) their classes.
        duplicates: rows of the groups of near-duplicates.
        unreadable: sentences about files that are no pictures.
    """
    text = [f"# Shortcut check of {tree.root.name}\n", sentence, f"\n{tree.question} {sampling}\n"]
    if tree.left_out:
        text.append(f"Left out, being neither splits nor classes: {', '.join(tree.left_out)}.\n")
    if unreadable:
        text += [f"{len(unreadable)} file(s) cannot be read:\n", *(f"- {line}" for line in unreadable[:10]), ""]
    text += ["## Pictures\n", as_markdown(_counts(tree))]
    if results:
        text += ["## Cues\n", as_markdown(cue_rows(results)), _remedies(results), _HOW_TO_READ]
        text += ["## What the files are\n", as_markdown(_formats(tree, columns, labels))]
    text.append(f"## Pictures that are there twice: {len(duplicates)} group(s)\n")
    if duplicates:
        text.append(as_markdown(duplicates[:_MOST_LISTED]))
        if len(duplicates) > _MOST_LISTED:
            text.append(f"The first {_MOST_LISTED}; all are in duplicates.csv.")
    return "\n".join(text) + "\n"


def _counts(tree: PictureTree) -> list[dict[str, str]]:
    if tree.target == "split":
        return [{"split": name, "pictures": str((tree.labels == k).sum())} for k, name in enumerate(tree.classes)]
    return [
        {"class": name}
        | {s: str(((tree.labels == k) & (tree.splits == i)).sum()) for i, s in enumerate(tree.split_names)}
        for k, name in enumerate(tree.classes)
    ]


def _formats(tree: PictureTree, columns: Mapping[str, np.ndarray], labels: np.ndarray) -> list[dict[str, str]]:
    """Formats, colour modes and sizes of the measured pictures, by class."""
    size = np.array([f"{w:.0f}x{h:.0f}" for w, h in zip(columns["width"], columns["height"], strict=True)])
    told = {"format": columns["format"], "mode": columns["mode"], "size": size}
    rows = []
    for k, name in enumerate(tree.classes):
        row = {tree.target: name}
        for key, values in told.items():
            common = Counter(values[labels == k].tolist()).most_common()
            more = f", {len(common) - 3} more" if len(common) > 3 else ""
            row[key] = ", ".join(f"{count} {value}" for value, count in common[:3]) + more
        rows.append(row)
    return rows


def _remedies(results: Sequence[CueResult]) -> str:
    lines = [f"- **{r.cue.name.replace('_', ' ')}**: {r.cue.remedy}" for r in results if r.level]
    return "\n".join(["## What to do\n", *lines, ""]) if lines else ""


def duplicate_rows(tree: PictureTree, groups: Sequence[DuplicateGroup]) -> list[dict[str, str]]:
    """One row of texts per group; `tree` holds the pictures that the groups' members index."""
    rows = []
    for group in groups:
        files = [tree.paths[i].relative_to(tree.root).as_posix() for i in group.members]
        more = f" and {len(files) - 8} more" if len(files) > 8 else ""
        alike = "byte for byte" if group.identical else "near-duplicates"
        rows.append({
            "what": KIND_WORDS[group.kind], "pictures": str(len(files)), "alike": alike,
            "files": ", ".join(files[:8]) + more,
        })  # fmt: skip
    return rows
