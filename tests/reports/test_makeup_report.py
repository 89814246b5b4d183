"""The report on the five AlexNet commands: what it collects, and that its sentences follow the figures."""

import dataclasses

import mlflow
import numpy as np
import pytest

from cnnlab.experiment import RESUMED, join_remarks
from cnnlab.reports.makeup import COMMANDS, Measured, collect, read_predictions
from cnnlab.reports.makeup_words import (
    compare,
    difference,
    discuss_augmentation,
    discuss_improvement,
    discuss_training,
    markdown,
    missing_sentence,
    verdict,
)
from cnnlab.reports.records import Record, aggregate, write_record


def measured(question: str, accuracy: float, seed: int = 0, count: int = 400, **changes) -> Measured:
    """Three seeds of which each gets the same share right, on portraits of its own choosing."""
    rng = np.random.default_rng([seed, *question.encode()])
    right = np.stack([rng.permutation(count) < accuracy * count for _ in range(3)])
    heavy = int(accuracy * count * 1.5)
    rest = count * 3 // 2
    confusion = np.array([[heavy, rest - heavy], [rest - heavy, heavy]])
    one = Measured(
        COMMANDS[question], accuracy, 0.0, 3, count, "digest", f"run {question}", (accuracy,) * 3, right, confusion,
        tuple(map(str, range(count))), ({"epoch": 1, "train/accuracy": accuracy, "val/accuracy": accuracy},),
        weights="random" if question == "Q1-3" else "complete", data="made",
    )  # fmt: skip
    return dataclasses.replace(one, **changes)


def five(features=0.85, finetune=0.85, scratch=0.85, whole_features=0.85, whole_finetune=0.85):
    values = (features, finetune, scratch, whole_features, whole_finetune)
    return {q: measured(q, value) for q, value in zip(COMMANDS, values, strict=True)}


def test_equal_accuracies_make_no_difference_that_can_be_told():
    same = five()
    text = markdown(same)
    assert text.count("no difference can be told") == 6
    assert " gains " not in text and " loses " not in text
    assert "What the pretrained weights are worth does not show here." in text
    assert "Crops that seldom show a face wholly cost nothing that these portraits can prove." in text
    assert "On 400 portraits an accuracy is known to about ±3.5 points; each figure is the mean of 3 seeds." in text
    assert "Not the assignment's" not in text and "No finished run" not in text


def test_a_clear_gain_is_named_with_its_interval():
    figures = five(features=0.75, finetune=0.90, scratch=0.65, whole_features=0.85, whole_finetune=0.90)
    training, augmentation = " ".join(discuss_training(figures)), " ".join(discuss_augmentation(figures))
    assert "Fine-tuning every layer gains 25.0 points against training from scratch (95 % interval +" in training
    assert "The pretrained layers are worth that much" in training
    assert "the features had to be adapted" in training
    assert "Training from scratch loses 10.0 points against the last layer alone" in training
    assert "The last layer alone with whole faces gains 10.0 points" in augmentation
    assert "Seeing lips, eyes and skin together is worth more" in augmentation
    assert "Between fine-tuning every layer with heavy crops and fine-tuning every layer with whole" in augmentation


def test_a_loss_is_called_one():
    figures = five(finetune=0.70, features=0.80, scratch=0.80)
    text = " ".join(discuss_training(figures))
    assert "Fine-tuning every layer loses 10.0 points against training from scratch" in text
    assert "The pretrained start hindered" in text and "the many weights lost" in text


def test_incomplete_weights_are_no_experiment_of_the_assignment():
    figures = five()
    for question in ("Q1-1", "Q1-2", "Q1-5", "Q1-6"):
        figures[question] = dataclasses.replace(
            figures[question], weights="convolutions only", sentence="alexnet starts from weights not complete."
        )
    text = markdown(figures)
    assert text.count("Not the assignment's experiment: of the pretrained network only the convolutions") == 2
    assert text.count("random projection") == 2
    assert "| Q1-1 | features | heavy | convolutions only |" in text and "| Q1-3 | scratch | heavy | random |" in text
    assert "alexnet starts from weights not complete." in text


def test_which_class_is_missed_and_what_the_curves_say():
    tilted = measured("Q1-2", 0.85, confusion=np.array([[580, 20], [160, 440]]),
                      history=({"epoch": 9, "train/accuracy": 0.99, "val/accuracy": 0.85},))  # fmt: skip
    text = " ".join(discuss_training({"Q1-2": tilted}))
    assert "those without: it calls too many of them no_heavy_makeup" in text
    assert "73.3% of the portraits with heavy makeup and 96.7% of those without" in text
    assert "begun to learn its portraits by heart" in text
    easy = measured("Q1-1", 0.85, history=({"epoch": 9, "train/accuracy": 0.70, "val/accuracy": 0.85},))
    assert "harder than the whole ones" in " ".join(discuss_training({"Q1-1": easy}))


def test_a_missing_command_is_named_and_the_rest_is_reported():
    some = {q: m for q, m in five().items() if q != "Q1-3"}
    assert missing_sentence(some).endswith("for Q1-3 (makeup_scratch, augmentation=heavy).")
    text = markdown(some)
    assert "from scratch" not in text.replace("makeup_scratch", "") and "Q1-6" in text


def test_without_predictions_the_interval_is_wider_and_says_so():
    first, second = measured("Q1-1", 0.80), measured("Q1-2", 0.86)
    _, low, high, paired = difference(first, second)
    bare = dataclasses.replace(first, right=None)
    _, low_bare, high_bare, paired_bare = difference(bare, second)
    assert paired and not paired_bare and high_bare - low_bare > high - low
    assert "without pairing" in compare(bare, second, "one", "the other")
    assert verdict(first, second) == 1 and verdict(second, first) == -1


def test_predictions_are_read_back():
    text = "portrait,true,seed_0,seed_1\na.jpg,heavy_makeup,0.9,0.2\nb.jpg,no_heavy_makeup,0.4,0.6\n"
    names, labels, probabilities = read_predictions(text)
    assert names == ["a.jpg", "b.jpg"] and labels.tolist() == [1, 0]
    assert probabilities.tolist() == [[0.9, 0.4], [0.2, 0.6]]


def stored(client, command: str, digest: str, right: float, status: str = "FINISHED", quick: str = "false") -> str:
    run = client.create_run("0", tags={"command": command, "quick": quick, "data.digest": digest, "data": "made"})
    rows = [f"{i}.jpg,{'heavy_makeup' if i % 2 else 'no_heavy_makeup'}," for i in range(20)]
    heavy = ["0.9" if (i % 2) == (i < 20 * right) else "0.1" for i in range(20)]
    text = "portrait,true,seed_0\n" + "\n".join(row + p for row, p in zip(rows, heavy, strict=True))
    client.log_text(run.info.run_id, text, "predictions.csv")
    client.log_metric(run.info.run_id, "val/accuracy", 0.5, step=1)
    client.log_metric(run.info.run_id, "train/accuracy", 0.6, step=1)
    client.set_terminated(run.info.run_id, status)
    return run.info.run_id


def test_collect_takes_the_newest_finished_runs_on_the_same_data(store):
    client = mlflow.MlflowClient()
    stored(client, "features heavy", "new", 0.5)
    stored(client, "finetune heavy", "old", 0.5)
    newest = stored(client, "features heavy", "new", 0.9)
    client.log_param(newest, "cfg/seed", 3)
    stored(client, "features heavy", "new", 0.1, status="FAILED")
    quick = stored(client, "features heavy", "other", 0.1, quick="true")
    found = collect(client)
    assert list(found) == ["Q1-1"] and found["Q1-1"].place == newest
    one = found["Q1-1"]
    assert one.count == one.confusion.sum() == 20 and one.mean == pytest.approx(0.9)
    assert (one.first_seed, one.seeds) == (3, 1)
    assert one.history == ({"epoch": 1, "train/accuracy": 0.6, "val/accuracy": 0.5},)
    assert collect(client, quick=True)["Q1-1"].place == quick


def test_a_run_in_settings_of_its_own_answers_no_question(store, capsys):
    client = mlflow.MlflowClient()
    usual, short = (stored(client, "features heavy", "same", right) for right in (0.9, 0.5))
    client.set_tag(short, "own_settings", "training.epochs=1")
    assert collect(client)["Q1-1"].place == usual and not capsys.readouterr().out
    client.set_tag(usual, "own_settings", "size=64")
    assert collect(client) == {} and "passed over: training.epochs=1." in capsys.readouterr().out


def test_a_record_stands_in_for_a_run_that_the_store_does_not_hold(store):
    record = Record(
        "makeup_scratch_heavy", "0" * 32, "abcdef0", False, "2026-01-01", "made", seeds=(5, 6),
        metrics=aggregate({"val_accuracy": [0.7, 0.8]}), seconds=1.0,
        data={"name": "made", "digest": "new", "splits": {"train": 2000, "val": 400}},
    )  # fmt: skip
    write_record(record, store / "results")
    note = join_remarks("alexnet starts from weights which are not complete", RESUMED)
    partly = dataclasses.replace(record, entry_point="makeup_finetune_heavy", note=note)
    write_record(partly, store / "results")
    write_record(dataclasses.replace(record, entry_point="makeup_features_heavy", note=RESUMED), store / "results")
    found = collect(mlflow.MlflowClient())
    assert list(found) == ["Q1-1", "Q1-2", "Q1-3"]
    assert (found["Q1-1"].weights, found["Q1-1"].sentence) == ("complete", ""), "to be resumed says nothing of weights"
    assert found["Q1-2"].sentence == "alexnet starts from weights which are not complete"
    assert (found["Q1-3"].first_seed, found["Q1-3"].seeds) == (5, 2)
    assert found["Q1-3"].mean == pytest.approx(0.75) and found["Q1-3"].count == 400 and found["Q1-3"].right is None
    assert (found["Q1-2"].weights, found["Q1-3"].weights) == ("convolutions only", "random")
    assert "Q1-2" in markdown(found)


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [
        (0.97, "above the required 89.5 % (surely): 97.0 ± 0.0 %"),
        (0.90, "above the required 89.5 % (by less than these portraits can prove)"),
        (0.80, "not above the required 89.5 % (surely)"),
    ],
)
def test_the_discussion_of_the_study_follows_its_figures(accuracy, words):
    metrics = {
        "val_accuracy": [accuracy] * 3, "val_network_accuracy": [accuracy - 0.02] * 3, "best_trial_accuracy": 0.9,
        "val_network_single_view_accuracy": [accuracy - 0.03] * 3, "val_seeds_together_accuracy": 0.91,
        "val_machine_accuracy": [0.885],
    }  # fmt: skip
    plain = {"network": "a", "lr": 0.1}
    text = discuss_improvement(metrics, plain | {"network": "b"}, plain, 400, 800)
    assert words in text and "b and a kernel machine is " in text and "changed network=b." in text
    assert "changed that by +1.0 points, the machine beside it (alone 88.5 %) by +2.0." in text
    assert "The plain fine-tuning itself was the best." in discuss_improvement(metrics, plain, plain, 400, 800)
    gap = {0.97: "validation portraits are easier", 0.90: "no difference can be told (+0.0", 0.80: "are harder (+10.0"}
    assert gap[accuracy] in text


def test_without_the_fully_connected_weights_no_conclusion_is_drawn_on_the_features():
    figures = five(features=0.75, finetune=0.90)
    figures["Q1-1"] = dataclasses.replace(figures["Q1-1"], weights="convolutions only")
    training = " ".join(discuss_training(figures))
    assert "cannot be told apart here" in training and "had to be adapted" not in training
