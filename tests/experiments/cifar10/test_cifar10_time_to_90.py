"""The benchmark of the time to 90 %: when the clock stops, and for whom."""

import pytest
import torch
from made_cifar10 import fitted

from cnnlab.errors import ConfigError
from cnnlab.tracking import Run


@pytest.fixture
def benchmark(load_program, train):
    load_program("experiments/cifar10/speedrun")
    return load_program("benchmarks/cifar10_time_to_90")


def test_the_clock_stops_at_the_first_time_at_the_target(benchmark):
    curve = [(1.0, 0.5), (2.0, 0.91), (3.0, 0.89), (4.0, 0.95)]
    assert benchmark.time_to(curve, 0.9) == 2.0 and benchmark.time_to(curve, 0.99) is None


def answers(share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of 100 images in two classes, of which this share are right, and the labels."""
    right = torch.arange(100) < round(100 * share)
    return torch.stack((~right, right), 1).float(), torch.ones(100, dtype=torch.long)


def test_the_recipe_is_stopped_at_the_target_or_at_the_limit(benchmark, data, store, monkeypatch):
    ours = fitted(epochs=2, seconds=10.0)
    ours.history[1]["val/accuracy"] = 0.95
    monkeypatch.setattr(benchmark, "load_cifar10", lambda *args, **kwargs: data)
    monkeypatch.setattr(benchmark.speedrun, "untrained", lambda *args: None)
    monkeypatch.setattr(benchmark.speedrun, "train_once", lambda *args: (None, ours))
    monkeypatch.setattr(benchmark, "predict_views", lambda *args: answers(in_views))
    asked, in_views = [], 0.96

    def recipe(config, data, deadline, reached=0.0):
        for step in range(1, 1 + round(deadline // 15)):
            asked.append(step)
            yield 15.0 * step, reached if step == 4 else 0.4
        yield deadline, 0.4

    monkeypatch.setattr(benchmark, "recipe", lambda *args: recipe(*args, 0.92))
    outcome = benchmark.run(benchmark.Config(), Run.inactive())
    assert asked[-1] == 4 and outcome.metrics["recipe_reached_target"] == 1.0
    assert (
        outcome.metrics["speed_ratio"] == pytest.approx(3.0, rel=0.01) and "needed 60 s: 3.0 times" in outcome.summary
    )
    assert outcome.note == data.caveat
    monkeypatch.setattr(benchmark, "recipe", recipe)
    outcome = benchmark.run(benchmark.Config(limit=5), Run.inactive())
    assert outcome.metrics["speed_ratio"] == pytest.approx(5) and "at least 5.0 times" in outcome.summary
    assert outcome.metrics["recipe_reached_target"] == 0.0 and "the ratio is a lower bound" in outcome.note
    ours.history[1]["val/accuracy"] = 0.89
    outcome = benchmark.run(benchmark.Config(limit=5), Run.inactive())
    assert outcome.metrics["cnnlab_seconds"] == pytest.approx(20, abs=1), "several views get there as well"
    in_views = 0.6
    with pytest.raises(ConfigError, match="Ours ended at 0.600, below target=0.9"):
        benchmark.run(benchmark.Config(), Run.inactive())


def test_the_recipe_trains_a_real_network(benchmark, data, monkeypatch):
    monkeypatch.setattr(benchmark, "cifar_model", lambda name, classes: torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(3072, classes)))  # fmt: skip
    points = list(benchmark.recipe(benchmark.Config(epochs=2, workers=0), data, 1000.0))
    seconds = [second for second, _ in points]
    assert len(points) == 2 and 0 < seconds[0] < seconds[1] and all(0 <= share <= 1 for _, share in points)
    stopped = list(benchmark.recipe(benchmark.Config(epochs=2, workers=0), data, seconds[0] * 1e-3))
    assert len(stopped) == 1, "one look after the limit, and no more training"
