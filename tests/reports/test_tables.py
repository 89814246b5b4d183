"""The tables in README.md and in the docstrings come from results/ and from nowhere else."""

import ast
from dataclasses import replace

import pytest

from cnnlab.errors import DataError
from cnnlab.reports import Record, write_record
from cnnlab.reports.tables import (
    BEGIN,
    END,
    NO_RECORD,
    fill_docstring,
    fill_readme,
    in_order,
    main,
    markdown_table,
    summary_table,
)

RECORD = Record(
    entry_point="face_train",
    run_id="0123456789abcdef",
    commit="abcdef0123" + "0" * 30,
    dirty=False,
    date="2026-01-31",
    hardware="2 CPU cores, no GPU",
    data={"name": "photos", "digest": "ab12", "splits": {"train": 600, "val": 80, "test": 140}},
    seeds=(0, 1, 2),
    metrics={
        "test_ap50": {"mean": 0.91312, "std": 0.0042, "n": 3},
        "images_per_second": {"mean": 1570.4, "std": 0.0, "n": 1},
    },
    seconds=61.23,
)
MODULE = '''"""A1 · Train.

    mlflow run . -e face_train

Result: old figures
    over two lines

More words.
"""

result = """Result: not a docstring"""
'''


@pytest.fixture
def project(tmp_path):
    """A small project: a README, one experiment, one study."""
    (tmp_path / "README.md").write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nEnd.\n")
    (tmp_path / "MLproject").write_text(
        "name: p\nentry_points:\n"
        "  face_train: {command: 'PYTHONPATH=src python experiments/face/train.py --data 1'}\n"
        "  face_improve: {command: 'python studies/face_improve.py'}\n"
    )
    for name in ("experiments/face/train.py", "studies/face_improve.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(MODULE)
    return tmp_path


def test_the_markdown_table():
    lines = markdown_table([RECORD]).split("\n")
    assert lines[0].startswith("| entry point | metric | mean ± std (n) | samples | seeds |")
    assert lines[2] == (
        "| `face_train` | `test_ap50` | 0.9131 ± 0.0042 (3) | 140 | 0, 1, 2 | photos "
        "| 2 CPU cores, no GPU | `abcdef0123` |"
    )
    assert lines[3].startswith("|  | `images_per_second` | 1570 (1) |  |")
    assert {line.count("|") for line in lines} == {9}


def test_a_tree_with_changes_is_named():
    assert "`abcdef0123 with changes`" in markdown_table([replace(RECORD, dirty=True)])


def test_the_readme_has_what_the_question_asks_for_in_the_order_of_the_menu():
    figures = {name: {"mean": 0.5, "std": 0.0, "n": 1} for name in ("val_loss", "val_accuracy", "test_accuracy")}
    first, second = (replace(RECORD, entry_point=f"z_train_{x}", metrics=figures, note="Same.") for x in "ab")
    report = replace(RECORD, entry_point="z_report")
    bench = replace(RECORD, entry_point="a_bench", metrics={**figures, "speed_ratio": figures["val_loss"]})
    ordered = in_order([bench, second, report, RECORD, first], ["z_report", "z_train", "face_train"])
    lines = summary_table(ordered).split("\n")
    rows = [line.split(" | ") for line in lines[2:] if line.startswith("|")]
    assert [row[0] for row in rows] == ["| `z_train_a`", "| `z_train_b`", "| `face_train`", "| `a_bench`"]
    assert rows[0][1] == "`test_accuracy` 0.5000 (1) on 140<br>`val_accuracy` 0.5000 (1) on 80"
    assert rows[3][1].startswith("`speed_ratio` 0.5000 (1)<br>`test_accuracy`")
    assert lines[-1] == "- `z_train_a`, `z_train_b`: Same."


def test_without_records_the_block_says_so():
    assert fill_readme(f"{BEGIN}{END}", []) == f"{BEGIN}\n{NO_RECORD}\n{END}"


@pytest.mark.parametrize("text", ["nothing", f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}"])
def test_readme_without_markers_is_refused(text):
    with pytest.raises(DataError, match="README.md must hold"):
        fill_readme(text, [])


def test_the_docstring_paragraph_is_replaced_and_nothing_else():
    filled = fill_docstring(MODULE, [RECORD])
    assert "old figures" not in filled and "over two lines" not in filled
    assert 'result = """Result: not a docstring"""' in filled
    doc = ast.get_docstring(ast.parse(filled))
    assert "Result: face_train on photos (train 600, val 80, test 140), seeds 0, 1, 2" in doc
    figures = "    test_ap50          0.9131 ± 0.0042 (3) on 140 samples\n    images_per_second  1570 (1)\n\n"
    assert figures + "More words." in doc
    assert fill_docstring(filled, [RECORD]) == filled
    assert max(map(len, filled.split("\n"))) <= 120


@pytest.mark.parametrize(
    "source", ['"""One line.\n\nResult: old"""\nx = 1\n', "'''One line.\n\nResult: old\n'''\nx = 1\n"]
)
def test_closing_quotes_stay(source):
    filled = fill_docstring(source, [replace(RECORD, hardware='a "fast" \\ machine')])
    assert ast.parse(filled).body[1].value.value == 1
    assert "a 'fast' / machine" in ast.get_docstring(ast.parse(filled))
    assert fill_docstring(filled, []) == source.replace("old", NO_RECORD)


@pytest.mark.parametrize("source", ["x = 1\n", '"""No such paragraph."""\n', ""])
def test_a_module_without_the_paragraph_is_left_alone(source):
    assert fill_docstring(source, [RECORD]) == source


def test_check_names_what_differs_and_writes_nothing(project, capsys):
    write_record(RECORD, project / "results")
    assert main(["--check", "--root", str(project)]) == 1
    out = capsys.readouterr().out
    assert all(name in out for name in ("README.md", "experiments/face/train.py", "studies/face_improve.py"))
    assert "old figures" in (project / "experiments/face/train.py").read_text()


def test_after_writing_the_check_is_content(project):
    write_record(RECORD, project / "results")
    assert main(["--root", str(project)]) == 0
    assert "| `face_train` |" in (project / "README.md").read_text()
    assert "0.9131 ± 0.0042" in (project / "experiments/face/train.py").read_text()
    assert f"Result: {NO_RECORD}\n" in (project / "studies/face_improve.py").read_text()
    assert main(["--check", "--root", str(project)]) == 0


def test_the_wrong_folder_is_named(tmp_path, capsys):
    assert main(["--root", str(tmp_path)]) == 2
    assert "MLproject cannot be read" in capsys.readouterr().err
