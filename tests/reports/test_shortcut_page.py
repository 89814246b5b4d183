"""The page on shortcuts is made from records alone."""

from dataclasses import replace

from cnnlab.reports.records import Record
from cnnlab.reports.shortcut_page import shortcut_page


def record(entry_point, name, **means):
    metrics = {key: {"mean": value, "std": 0.0, "n": 1} for key, value in means.items()}
    data = {"name": name, "digest": "d", "splits": {"all": 9}}
    return Record(entry_point, "r", "unknown", False, "2026-01-31", "2 cores", data, (0,), metrics, 1.0)


def test_named_cues_are_bold_and_a_heap_has_dashes():
    counts = dict(duplicates_two_classes=1, duplicates_across_splits=0, duplicates_within_split=4, pictures_measured=9)
    page = shortcut_page([
        record("shortcut_check_set", "set", chance=0.5, file_format_balanced_accuracy=0.9,
               sharpness_balanced_accuracy=0.52, **counts),
        record("shortcut_check_heap", "heap", **counts), record("face_train", "other", chance=0.5),
    ])  # fmt: skip
    assert "| cue | kind | set | heap |" in page and "other" not in page
    assert "| file format | file | **90.0 %** | – |" in page and "| sharpness | pixels | 52.0 % | – |" in page
    assert "| the same picture under two classes, groups |  | 1 | 1 |" in page
    assert "What was found" not in page
    noted = replace(record("shortcut_check_set", "set", **counts), note="Which class? set: none.")
    assert shortcut_page([noted]).endswith("## What was found\n\n- Which class? set: none.\n")
    assert "No recorded run" in shortcut_page([])
