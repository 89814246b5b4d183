"""The paper report: the modules' words, what runs and records hold, sentences that say no more than the figures."""

from dataclasses import replace

import mlflow
import pytest

from cnnlab.errors import DataError
from cnnlab.experiment import RESUMED, join_remarks
from cnnlab.models.families import FAMILIES, family
from cnnlab.reports.paper_page import index_page, paper_page
from cnnlab.reports.paper_runs import Evidence, Measured, collect, rank_budget
from cnnlab.reports.paper_tables import claim_rows, count, small_model, stage_rows
from cnnlab.reports.paper_words import (
    Relation,
    accuracy_sentences,
    against_published,
    cost_sentences,
    ordinal,
    relation_sentence,
)
from cnnlab.reports.papers import BLOCKS, CIFAR10_ERRORS, CLAIMS, PARAGRAPHS, RELATIONS, paragraphs, read_paper
from cnnlab.reports.records import Record


def measured(model: str, accuracy: float, **more) -> Measured:
    figures = {"parameters": 1e6, "multiply_adds": 1e8, "train_images_per_second": 100.0, "latency_ms": 5.0}
    one = Measured(
        model, "cifar10_rank run 12345678", accuracy, 0.0, (0,), 10_000, figures | more.pop("figures", {}),
        "8 minutes of training (last state judged)", "official", "cifar10", "abcdef", "0123456789", "2 cores, no GPU",
    )  # fmt: skip
    return replace(one, **more)


# ---- the modules -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FAMILIES)
def test_every_module_tells_its_paper(name):
    paper = read_paper(name)
    for text in (paper.motivation, paper.method, paper.claims, paper.drawbacks):
        assert len(text) > 100 and not any(f"\n{word}:" in text for word in PARAGRAPHS)
    assert "arxiv.org" in paper.source and paper.title.lower().replace("-", "_") == name


@pytest.mark.parametrize("name", FAMILIES)
def test_what_the_report_holds_against_a_paper_is_in_its_module(name):
    paper = read_paper(name)
    words = " ".join(f"{paper.motivation} {paper.claims} {paper.drawbacks}".split())
    for claim in CLAIMS.get(name, ()):
        assert claim.quote in words and family(claim.model) == name
    for model, (error, table) in CIFAR10_ERRORS.items():
        assert family(model) != name or (error in words and table in words)
    for relation in RELATIONS.get(name, ()):
        numbers = [word for word in relation.claim.replace("%", "").split() if word.replace(".", "").isdigit()]
        assert numbers and all(number in words for number in numbers)


def test_every_paper_has_a_block_of_its_own():
    assert tuple(BLOCKS) == FAMILIES
    assert all(family(block.model) == name for name, blocks in BLOCKS.items() for block in blocks)
    names = [block.name for blocks in BLOCKS.values() for block in blocks]
    assert len(names) == len(set(names))


def test_paragraphs_begin_at_their_words():
    source, parts = paragraphs("A title.\n\nMotivation: Why\nso?\n\nMethod: Thus: it is.\n\nClaims: 1 %\nDrawbacks: 2")
    assert source == "A title."
    assert parts == {"Motivation": "Why\nso?", "Method": "Thus: it is.", "Claims": "1 %", "Drawbacks": "2"}


def test_an_unknown_paper_is_refused():
    with pytest.raises(DataError, match="alexnet.*Known: vgg"):
        read_paper("alexnet")


# ---- runs and records ------------------------------------------------------------------------------------------------
RANKED = {"entry_point": "cifar10_rank", "quick": "false", "embedded_data": "false", "pixels": "official",
          "data.digest": "abc", "hardware": "2 cores, no GPU", "commit": "0123456789abcdef",
          "dirty": "true"}  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return mlflow.MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db")  # made once: it takes seconds


@pytest.fixture
def runs(client, request):
    experiment = client.create_experiment(request.node.name)

    class Runs:
        time = 1000
        at = client

        def add(self, tags, params, metrics, finished=True):
            Runs.time += 1000
            run = client.create_run(experiment, start_time=Runs.time, tags=tags).info.run_id
            for key, value in params.items():
                client.log_param(run, f"cfg/{key}", value)
            for key, value in metrics.items():
                client.log_metric(run, key, value)
            if finished:
                client.set_terminated(run)
            return run

        def rank(self, accuracies, minutes=8.0, seed=0, finished=True, **tags):
            parent = self.add(RANKED | tags, {"minutes": minutes, "budget": "auto", "seed": seed}, {}, finished)
            for model, accuracy in accuracies.items():
                self.add({"mlflow.parentRunId": parent, "model": model}, {}, {"test_accuracy": accuracy})
            return parent

    yield Runs()
    client.delete_experiment(experiment)


def test_finished_networks_of_a_broken_off_ranking_count(runs):
    parent = runs.rank({"resnet18": 0.8, "xception": 0.7}, finished=False)
    runs.add({"mlflow.parentRunId": parent, "model": "googlenet"}, {}, {"test_accuracy": 0.1}, finished=False)
    evidence = collect(runs.at, {})
    assert [(m.model, m.accuracy) for m in evidence.ranking] == [("resnet18", 0.8), ("xception", 0.7)]
    one = evidence.ranking[0]
    assert one.budget == "8 minutes of training (last state judged)" and one.pixels == "official"
    assert one.commit == "0123456789 with changes" and one.seeds == (0,)


def test_the_newest_counts_and_seeds_are_taken_together(runs):
    runs.rank({"resnet18": 0.5, "xception": 0.7})
    runs.rank({"resnet18": 0.8})
    runs.rank({"resnet18": 0.9}, seed=1)
    best, other = collect(runs.at, {}).ranking
    assert (best.model, best.seeds, best.accuracy) == ("resnet18", (0, 1), pytest.approx(0.85))
    assert best.std == pytest.approx(0.0707, abs=1e-4) and "±" in best.shown and other.accuracy == 0.7


def test_another_budget_is_not_set_beside_and_made_up_data_not_at_all(runs):
    runs.rank({"resnet18": 0.9, "xception": 0.95}, minutes=100)
    runs.rank({"resnet18": 0.8})
    runs.rank({"vgg16_bn": 1.0}, quick="true")
    runs.rank({"vgg16_bn": 1.0}, embedded_data="true")
    evidence = collect(runs.at, {})
    assert [m.model for m in evidence.ranking] == ["resnet18"] and [m.model for m in evidence.others] == ["xception"]
    assert not evidence.of("vgg") and [m.accuracy for m in evidence.of("resnet")] == [0.8]


def test_single_trainings_are_found(runs):
    tags = RANKED | {"entry_point": "cifar10_train", "model": "resnet20", "summary": "resnet20: 91 %."}
    metrics = {"test_accuracy": 0.91, "test_accuracy_std": 0.004}
    runs.add(tags, {"training.epochs": 30, "seed": 2, "seeds": 2}, metrics)
    runs.add(tags, {"training.epochs": 30}, {"test_accuracy": 0.99}, finished=False)
    (one,) = collect(runs.at, {}).others
    assert (one.accuracy, one.seeds, one.budget) == (0.91, (2, 3), "30 epochs (the best on validation judged)")
    assert one.note == "resnet20: 91 %." and one.shown == "91.00 ± 0.40 % (2 seeds)"


def test_a_spread_that_nobody_stored_is_not_said_to_be_zero(runs):
    tags = RANKED | {"entry_point": "cifar10_train", "model": "resnet20"}
    runs.add(tags, {"training.epochs": 30, "seeds": 2}, {"test_accuracy": 0.91})
    (one,) = collect(runs.at, {}).others
    assert one.std is None and one.shown == "91.00 % (95 % interval 90.42 to 91.55)"
    assert one.above(replace(one, accuracy=0.5))[0] > 0.39


def test_a_ranking_with_several_seeds_has_a_child_for_each(runs):
    parent = runs.add(RANKED, {"minutes": 8.0, "budget": "auto", "seed": 3, "seeds": 2}, {})
    for seed, accuracy in ((3, 0.8), (4, 0.9)):
        tags = {"mlflow.parentRunId": parent, "model": "resnet18", "seed": str(seed)}
        runs.add(tags, {}, {"test_accuracy": accuracy})
    (one,) = collect(runs.at, {}).ranking
    assert one.seeds == (3, 4) and one.shown == "85.00 ± 7.07 % (2 seeds)"


def record(entry_point: str, **metrics: float) -> Record:
    figures = {name: {"mean": value, "std": 0.0, "n": 1} for name, value in metrics.items()}
    data = {"name": "cifar10", "digest": "abc", "splits": {"train": 45000, "test": 10000}}
    return Record(entry_point, "1" * 32, "0123456789", False, "2026-01-31", "2 cores", data, (0,), figures, 60.0)


def test_records_stand_in_for_runs(runs):
    ranked = record("cifar10_rank", test_accuracy_resnet18=0.8, test_accuracy_xception=0.7, latency_ms_xception=9.0)
    records = {"cifar10_rank": ranked, "cifar10_train_resnet20": record("cifar10_train_resnet20", test_accuracy=0.9)}
    evidence = collect(runs.at, records)
    assert [m.model for m in evidence.ranking] == ["resnet18", "xception"]
    assert evidence.ranking[1].figures == {"latency_ms": 9.0} and evidence.ranking[0].source.startswith("results/")
    assert [m.model for m in evidence.others] == ["resnet20"]
    runs.rank({"resnet18": 0.6})
    evidence = collect(runs.at, records)
    assert [(m.model, m.accuracy) for m in evidence.ranking] == [("resnet18", 0.6)]
    assert {m.model for m in evidence.others} == {"xception", "resnet20"}


def test_a_network_that_diverged_with_one_seed_is_not_ranked_by_the_other(runs):
    parent = runs.rank({"resnet18": 0.8, "xception": 0.7})
    runs.add({"mlflow.parentRunId": parent, "model": "xception", "seed": "1", "diverged": "in epoch 3"}, {}, {})
    assert [m.model for m in collect(runs.at, {}).ranking] == ["resnet18"]


def test_a_record_says_its_pixels_and_its_budget_whatever_else_its_note_says(runs):
    seen = {f"images_seen_{name}": 90_000.0 for name in ("resnet18", "xception")}
    spent = {"train_seconds_resnet18": 100.0, "train_seconds_xception": 900.0}
    ranked = record("cifar10_rank", test_accuracy_resnet18=0.8, test_accuracy_xception=0.7, **seen, **spent)
    first, second = collect(runs.at, {"cifar10_rank": replace(ranked, note=RESUMED)}).ranking
    assert first.pixels == second.pixels == "official", "a run that was resumed saw no other pixels"
    assert first.budget == second.budget == "2 epochs (last state judged)", "equal epochs, whatever time they took"
    caveat = "folders of images (.jpg), not the official pixels"
    other = collect(runs.at, {"cifar10_rank": replace(ranked, note=join_remarks(caveat, RESUMED))}).ranking[0]
    assert other.pixels == caveat


def test_a_single_training_has_its_record_beside_a_ranking_of_the_same_network(runs):
    records = {"cifar10_rank": record("cifar10_rank", test_accuracy_resnet18=0.8),
               "cifar10_train_resnet18": record("cifar10_train_resnet18", test_accuracy=0.9, epochs=30.0)}  # fmt: skip
    runs.rank({"xception": 0.6})
    evidence = collect(runs.at, records)
    assert sorted(m.accuracy for m in evidence.others) == [0.8, 0.9]


def test_the_budget_in_words():
    assert rank_budget({"cfg/budget": "auto", "cfg/minutes": "8.0"}, "2 cores, no GPU").startswith("8 minutes")
    assert rank_budget({"cfg/budget": "auto", "cfg/epochs": "200"}, "16 cores, NVIDIA X").startswith("200 epochs")


# ---- sentences -------------------------------------------------------------------------------------------------------
RANKING = [
    measured("resnet18", 0.80, figures={"parameters": 11e6, "train_images_per_second": 90.0}),
    measured("googlenet", 0.75, figures={"parameters": 6e6, "train_images_per_second": 120.0}),
    measured("xception", 0.745, figures={"parameters": 20e6, "train_images_per_second": 20.0}),
]


def test_a_network_that_others_beat_at_less_cost_hears_it():
    good, bad = accuracy_sentences(RANKING[2], RANKING)
    assert any(s.startswith("inaccurate: test accuracy 74.50 %") and "3rd of 3; 1 of the other 2" in s for s in bad)
    assert "shown to be more accurate with faster training: resnet18" in bad  # the half point of googlenet is not shown
    assert not any("fewer parameters" in s for s in good)


def test_the_best_is_called_so():
    good, bad = accuracy_sentences(RANKING[0], RANKING)
    assert good[0].startswith("accurate:") and "0 of the other 2 shown to be above it, 2 below" in good[0]
    assert "no other of the 3 is more accurate with fewer parameters" in good[1] and not bad


def test_costs_are_placed():
    good, bad = cost_sentences("xception", {m.model: m.figures for m in RANKING})
    assert not good and bad[0] == "many parameters: 20.00 M, 3rd of 3 (median 11.00 M)"
    assert "slow to train: 20 images/s, 3rd of 3 (median 90 images/s)" in bad
    assert cost_sentences("googlenet", {m.model: m.figures for m in RANKING})[0][0].startswith("few parameters: 6.00 M")


def test_ordinals():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21)] == ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st"]


def test_a_claim_about_two_networks_is_asked_of_the_ranking():
    claim = Relation("xception", "googlenet", "test_accuracy", 1, "better")
    assert relation_sentence(claim, RANKING).endswith("no difference shown.")
    assert relation_sentence(replace(claim, second="resnet18"), RANKING).endswith("the other way round.")
    slower = replace(claim, figure="train_images_per_second", sign=-1)
    assert relation_sentence(slower, RANKING).endswith(
        "xception 20 images/s, googlenet 120 images/s: the same way round."
    )
    assert relation_sentence(replace(claim, second="vgg16"), RANKING) == ""


def test_a_published_accuracy_is_set_beside_with_its_conditions():
    text = against_published(measured("resnet20", 0.85, pixels="folders of images (.jpg)"), 91.25, "table 6")
    assert "6.25 points below the paper; budget, pixels, recipe differ" in text and "8 minutes" in text
    assert "within the interval" in against_published(measured("resnet20", 0.912), 91.25, "table 6")


# ---- pages -----------------------------------------------------------------------------------------------------------
CHAPTERS = ["## 1. Motivation", "## 2. Method", "## 3. Evaluation", "## 4. Reproduction"]


@pytest.fixture(scope="module")
def resnet20():
    return count("resnet20")


def page(variants, evidence) -> str:
    costs = {"resnet20": {"parameters": 269_722.0, "multiply_adds": 4e7}}
    return paper_page(read_paper("resnet"), "resnet20", variants, costs, evidence, {"resnet20": 92.0})


def test_a_page_without_runs_says_so_and_stays_useful(resnet20):
    text = page([resnet20], Evidence())
    assert [line for line in text.splitlines() if line.startswith("## ")] == CHAPTERS
    assert "No finished run" in text and "cifar10_rank" in text and "269,722" in text
    assert "figures/block_resnet_basic.png" in text and "no run to set beside them" in text and "92 %" in text


def test_a_page_with_runs_shows_them(resnet20):
    text = page([resnet20], Evidence([measured("resnet20", 0.85), *RANKING]))
    assert "1 of 4" in text and "85.00 % (95 % interval 84.29 to 85.69), 10,000 images" in text
    assert "6.25 points below the paper" in text and "Advantages seen" in text and "No finished run" not in text


def test_the_index_leads_to_the_pages():
    text = index_page(
        [read_paper("resnet")], {"resnet": "resnet18"},
        {"resnet18": {"parameters": 11173962.0, "multiply_adds": 555422720.0}}, Evidence(RANKING[:1]),
    )  # fmt: skip
    assert "| [ResNet](resnet.md) | `resnet18` | 11,173,962 | 555,422,720 | 1 | 80.00 %" in text


def test_stages_add_up_to_the_network(resnet20):
    rows = stage_rows(small_model("resnet20"), resnet20.small)
    for key, total in (("parameters", 269_722), ("multiply-adds", resnet20.small.multiply_adds)):
        values = [int(row[key].replace(",", "")) for row in rows]
        assert sum(values[:-1]) == values[-1] == total
    assert [row["part"] for row in rows[:2]] == ["`features.conv1`", "`features.conv2_x`"]


def test_costs_are_held_to_the_paper():
    rows = claim_rows(CLAIMS["densenet"])
    assert [row["verdict"] for row in rows] == ["agrees", "agrees"]
    verdicts = {row["network"]: row["verdict"] for row in claim_rows(CLAIMS["resnet"])}
    # the stride of a stage is in the 3x3 convolution here, in the 1x1 before it in the paper: 4.1 against 3.8 billion
    assert verdicts.pop("`resnet50`") == "differs by +8 %" and set(verdicts.values()) == {"agrees"}
