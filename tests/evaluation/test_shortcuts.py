"""The judgement of cues: known answers, quiet on nothing, and the planted leaks of the drawn worlds."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.images import map_threads
from cnnlab.data.made_leak import make_leaky_folder
from cnnlab.data.picture_tree import read_tree
from cnnlab.errors import DataError
from cnnlab.evaluation.image_cues import COLUMNS, Cue, measure_file
from cnnlab.evaluation.shortcuts import design, holm, judge_cues

TEXT = Cue("kind", "file", ("text",), "")
NUMBER = Cue("number", "pixels", ("value",), "")


def judged(folder) -> dict:
    tree = read_tree(folder)
    measured = map_threads(measure_file, tree.paths)
    columns = {name: np.array([m.columns[name] for m in measured]) for name in COLUMNS}
    return {result.cue.name: result for result in judge_cues(columns, tree.labels, tree.classes)}


def named(results) -> set[str]:
    return {name for name, result in results.items() if result.level}


def test_holm_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_texts_become_categories_and_constant_columns_vanish():
    columns = {"text": np.array(["a", "b", "c", "a"]), "value": np.ones(4)}
    assert design(TEXT, columns).tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
    assert design(NUMBER, columns).shape == (4, 0)


def test_a_cue_that_is_the_class_reaches_everything_and_a_constant_one_chance():
    labels = np.arange(60) % 3
    columns = {"text": np.array(["x", "y", "z"])[labels], "value": np.ones(60)}
    best, flat = judge_cues(columns, labels, ("a", "b", "c"), cues=(NUMBER, TEXT))
    assert (best.cue, best.accuracy, best.level, best.skill) == (TEXT, 1.0, 2, 1.0)
    assert best.verdict == "gives the class away" and best.by_class.startswith("x: ")
    assert flat.accuracy == pytest.approx(1 / 3) and flat.constant and flat.verdict == "the same in every picture"


def test_classes_of_unequal_size_are_not_mistaken_for_a_cue():
    labels = (np.arange(400) < 20).astype(int)
    columns = {"value": np.random.default_rng(0).normal(size=400)}
    (result,) = judge_cues(columns, labels, ("much", "rare"), cues=(NUMBER,))
    assert result.level == 0 and result.chance == 0.5 and abs(result.accuracy - 0.5) < 0.15


def test_pixel_cues_are_worded_as_questions():
    labels = np.arange(300) % 2
    value = labels + np.random.default_rng(0).normal(0, 1, 300)
    (result,) = judge_cues({"value": value}, labels, ("a", "b"), cues=(NUMBER,))
    assert result.level == 1 and "subject" in result.verdict
    assert result.interval[0] < result.accuracy < result.interval[1]
    assert result.noticeable < result.accuracy


def test_copies_of_a_picture_do_not_make_a_cue():
    """Ten pictures of ten copies each: by heart the cue would tell all, honestly it tells nothing."""
    groups = np.repeat(np.arange(20), 10)
    labels = np.random.default_rng(3).permutation(np.arange(20) % 2)[groups]
    value = np.random.default_rng(1).normal(size=20)[groups]
    by_heart, honest = (
        judge_cues({"value": value}, labels, ("a", "b"), given, cues=(NUMBER,))[0] for given in (None, groups)
    )
    assert by_heart.accuracy > 0.7 > honest.accuracy


def test_copies_do_not_make_luck_a_finding():
    """Ten copies of each picture leave the verdict as it is without them, and do not make it ten times as sure."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels, value = rng.permutation(np.arange(20) % 2), rng.normal(size=20)
        once, often = (
            judge_cues({"value": value[of]}, labels[of], ("a", "b"), of, cues=(NUMBER,))[0]
            for of in (np.arange(20), np.repeat(np.arange(20), 10))
        )
        assert (once.accuracy, once.p_value, once.interval) == (often.accuracy, often.p_value, often.interval)
        assert (once.level, once.noticeable) == (often.level, often.noticeable)


def test_luck_with_few_pictures_is_no_finding_and_a_leak_among_them_is():
    """Ten pictures of each class, sets in which permuted answers of grown trees call luck a finding."""
    cues = [Cue(f"cue{i}", "pixels", tuple(f"{i}{k}" for k in range(1 + i % 3)), "") for i in range(15)]
    labels = np.arange(20) % 2
    for seed in (0, 1, 7, 25):
        rng = np.random.default_rng(seed)
        columns = {name: rng.normal(size=20) for cue in cues for name in cue.columns}
        assert not any(result.level for result in judge_cues(columns, labels, ("a", "b"), cues=cues))
    best, *others = judge_cues(columns | {"00": labels + 0.1 * columns["00"]}, labels, ("a", "b"), cues=cues)
    assert best.cue.name == "cue0" and best.level == 2 and not any(result.level for result in others)


@pytest.mark.parametrize("classes", [2, 7])
def test_random_labels_are_hardly_ever_warned_of(classes):
    """A test at 1 % is allowed a false alarm now and then, so the rate is held and not every single data set."""
    cues = [Cue(f"cue{i}", "pixels", (f"a{i}", f"b{i}"), "") for i in range(6)]
    alarms = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        columns = {name: rng.normal(size=210) for cue in cues for name in cue.columns}
        results = judge_cues(columns, rng.integers(0, classes, 210), [str(k) for k in range(classes)], cues=cues)
        alarms += any(result.level for result in results)
    assert alarms <= 1


def test_the_planted_background_is_found(tmp_path):
    results = judged(make_leaky_folder(tmp_path, leak=True, train=25, val=5, background="black"))
    assert {"file_format", "border_colour", "mean_colour"} <= named(results)
    assert results["border_colour"].accuracy == 1 and results["border_colour"].level == 2
    assert results["picture_size"].constant and results["colour_mode"].constant


def test_a_class_of_transparent_pictures_is_found(tmp_path):
    results = judged(make_leaky_folder(tmp_path, leak=True, train=25, val=5))
    assert all(results[name].level == 2 for name in ("file_format", "colour_mode", "dropped_transparency"))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_creatures_without_the_leak_stay_quiet(tmp_path, seed):
    assert named(judged(make_leaky_folder(tmp_path, leak=False, seed=seed, train=40, val=10))) == set()


def test_a_class_stored_at_another_quality_is_found(tmp_path):
    make_leaky_folder(tmp_path, leak=False, train=25, val=5)
    for path in tmp_path.glob("*/beepers/*.jpg"):
        with Image.open(path) as picture:
            picture.load()
        picture.save(path, quality=60)
    results = judged(tmp_path)
    assert results["jpeg_compression"].level == 2 and not results["file_format"].level
    assert results["jpeg_compression"].by_class.count("beepers") == 1


def test_a_class_with_one_readable_picture_is_refused():
    with pytest.raises(DataError, match="rare: 1 different picture"):
        judge_cues({"value": np.arange(5.0)}, np.array([0, 0, 0, 0, 1]), ("much", "rare"), cues=(NUMBER,))
    with pytest.raises(DataError, match="only one"):
        judge_cues({"value": np.arange(5.0)}, np.zeros(5, int), ("one",), cues=(NUMBER,))
