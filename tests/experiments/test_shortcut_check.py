"""The entry point from folder to report: what is stored, what is said, and what bad input gets."""

import shutil

import mlflow
import pytest
from PIL import Image

from cnnlab.data.made_leak import make_leaky_folder
from cnnlab.errors import ConfigError, DataError
from cnnlab.experiment import execute
from cnnlab.tracking import Run


@pytest.fixture
def shortcuts(load_program):
    return load_program("experiments/transfer/shortcuts")


def check(shortcuts, folder, **settings):
    return shortcuts.run(shortcuts.Config(data=str(folder), **settings), Run.inactive())


def test_the_drawn_leak_is_named_and_stored(shortcuts, store):
    outcome = execute(
        shortcuts.run, shortcuts.Config(quick=True), entry_point="shortcut_check", question="B", doc=shortcuts.__doc__
    )
    assert "file format 100.0 % gives the class away" in outcome.summary and outcome.variant == ""
    assert outcome.metrics["dropped_transparency_balanced_accuracy"] == 1 and outcome.metrics["warnings_file"] == 4
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    client = mlflow.MlflowClient()
    names = {a.path for folder in ("", "figures") for a in client.list_artifacts(run.info.run_id, folder)}
    assert {"shortcuts.md", "cues.csv", "cues.md", "duplicates.csv"} <= names
    assert {"figures/cues.png", "figures/class_means.png", "figures/examples.png"} <= names


def test_without_the_leak_nothing_is_named(shortcuts):
    outcome = shortcuts.run(shortcuts.Config(leak=False, quick=True), Run.inactive())
    assert outcome.metrics["warnings_file"] == outcome.metrics["warnings_pixels"] == 0
    assert "No file-bound cue" in outcome.summary and "No pixel cue" in outcome.summary


def test_copies_are_told_the_contradiction_first(shortcuts, tmp_path):
    made = make_leaky_folder(tmp_path / "my set", leak=False, train=8, val=4)
    shutil.copy(made / "train/beepers/0000.jpg", made / "train/pockets/copy.jpg")
    with Image.open(made / "train/pockets/0003.jpg") as picture:
        picture.resize((70, 70)).save(made / "val/pockets/small.jpg", quality=50)
    outcome = check(shortcuts, made)
    assert outcome.summary.startswith("my set: 1 picture(s) stand under two classes")
    assert "1 x the same picture in two splits" in outcome.summary and outcome.variant == "my_set"
    assert [outcome.metrics[f"duplicates_{k}"] for k in ("two_classes", "across_splits", "within_split")] == [1, 1, 0]


def test_unreadable_files_are_counted_and_named(shortcuts, tmp_path):
    made = make_leaky_folder(tmp_path, leak=False, train=6, val=3)
    (made / "train/beepers/0001.jpg").write_text("no picture")
    outcome = check(shortcuts, made)
    assert outcome.metrics["unreadable"] == 1 and outcome.metrics["pictures_measured"] == 17


def test_a_heap_is_searched_for_copies_alone(shortcuts, tmp_path):
    made = make_leaky_folder(tmp_path, leak=False, train=6, val=3)
    shutil.copy(made / "train/pockets/0000.jpg", made / "train/pockets/again.jpg")
    outcome = check(shortcuts, made / "train/pockets")
    assert outcome.metrics["duplicates_within_split"] == 1 and "chance" not in outcome.metrics


def test_at_most_so_many_pictures_are_measured(shortcuts, tmp_path):
    made = make_leaky_folder(tmp_path, leak=False, train=20, val=5)
    metrics = check(shortcuts, made, max_images=20, max_hashed=30).metrics
    assert (metrics["pictures_measured"], metrics["pictures_hashed"]) == (20, 30)


def test_bad_input_is_one_sentence(shortcuts, tmp_path):
    with pytest.raises(ConfigError, match="max_images=5"):
        shortcuts.Config(max_images=5)
    with pytest.raises(DataError, match="no such folder"):
        check(shortcuts, tmp_path / "none")
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.png").write_text("no picture")
    with pytest.raises(DataError, match="None of the 4 pictures can be read"):
        check(shortcuts, tmp_path)


@pytest.mark.real_data
def test_the_course_s_portraits_hold_no_file_bound_cue(shortcuts, data_dir):
    if not (data_dir / "heavy_makeup_CelebA").is_dir():
        pytest.skip("needs heavy_makeup_CelebA")
    outcome = check(shortcuts, data_dir / "heavy_makeup_CelebA", max_images=400, max_hashed=400)
    assert outcome.metrics["warnings_file"] == 0 and outcome.metrics["unreadable"] == 0
