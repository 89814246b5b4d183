"""docs/shortcuts.md: what the recorded runs of `shortcut_check` found, one column per data set; see tables.py."""

from __future__ import annotations

from collections.abc import Iterable

from cnnlab.evaluation.image_cues import CUES
from cnnlab.evaluation.near_duplicates import KINDS
from cnnlab.evaluation.shortcuts import CLEAR
from cnnlab.reports.records import Record
from cnnlab.reports.shortcuts import KIND_WORDS
from cnnlab.reports.text_tables import as_markdown

ENTRY_POINT = "shortcut_check"
_TEXT = f"""# What could give the class away

Made by `python -m cnnlab.reports.tables` from the records of `mlflow run . -e shortcut_check -P data=DIR`: the
balanced accuracy of a shallow tree on each cue alone, on held-out pictures. Bold: at least {100 * CLEAR:.0f} % of the
way from chance to perfection. Cues of kind *file* have nothing to do with what a picture shows; those of kind *pixels*
may well be what the classes are about. The report in each run says how to read them and lists the copies.

"""


def shortcut_page(records: Iterable[Record]) -> str:
    """The page, as Markdown, from records of `shortcut_check` (others are passed over)."""
    own = [record for record in records if record.entry_point.split(f"{ENTRY_POINT}_")[0] in ("", ENTRY_POINT)]
    rows = [{"cue": "pictures measured", "kind": ""} | {_name(r): f"{_mean(r, 'pictures_measured'):.0f}" for r in own}]
    rows.append({"cue": "chance", "kind": ""} | {_name(r): _percent(_mean(r, "chance")) for r in own})
    for cue in CUES:
        row = {"cue": cue.name.replace("_", " "), "kind": cue.kind}
        for record in own:
            accuracy, chance = _mean(record, f"{cue.name}_balanced_accuracy"), _mean(record, "chance") or 0.0
            named = accuracy is not None and accuracy - chance >= CLEAR * (1 - chance)
            row[_name(record)] = f"**{_percent(accuracy)}**" if named else _percent(accuracy)
        rows.append(row)
    for kind in KINDS:
        row = {"cue": f"{KIND_WORDS[kind]}, groups", "kind": ""}
        rows.append(row | {_name(r): f"{_mean(r, f'duplicates_{kind}'):.0f}" for r in own})
    if not own:
        return _TEXT + "No recorded run yet.\n"
    found = [f"- {record.note}\n" for record in own if record.note]
    return _TEXT + as_markdown(rows) + ("\n## What was found\n\n" + "".join(found) if found else "")


def _name(record: Record) -> str:
    return str(record.data["name"])


def _mean(record: Record, metric: str) -> float | None:
    return record.metrics[metric]["mean"] if metric in record.metrics else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
