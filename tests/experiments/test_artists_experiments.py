"""The experiments on paintings: what they cover, that each variant changes what it says, the answers in words."""

from dataclasses import replace

import pytest
import torch

from cnnlab.data.folds import five_folds
from cnnlab.data.imageset import ImageSet
from cnnlab.errors import ConfigError
from cnnlab.experiment import flatten, parse
from cnnlab.reports.ablation import changed_words
from cnnlab.reports.paintings import (
    BASIS,
    PaintingConfig,
    layout_variants,
    sizes_of_course,
    sizes_of_folds,
    sizes_of_nesting,
    training_variants,
)
from cnnlab.tracking import Run


def test_the_baseline_is_described_from_network_and_settings(load_program):
    baseline = load_program("experiments/artists/baseline")
    text = baseline.describe(PaintingConfig().build(11), BASIS, 50)
    assert "4 layers with weights, 181,467 parameters: 2 convolutional and 2 fully connected" in text
    assert "ReLU, behind every layer with weights but the last" in text
    assert "cross entropy between the softmax of the logits and the artist" in text
    assert "By SGD, learning rate 0.01 (constant schedule), no momentum, weight decay 0, in batches of 10" in text
    other = replace(BASIS, optimizer="adamw", lr=0.001, weight_decay=0.1)
    text = baseline.describe(PaintingConfig().build(11), other, 50)
    assert "By AdamW, learning rate 0.001" in text and "weight decay 0.1" in text


def test_a_record_tells_the_pictures_that_its_figures_are_of():
    labels = torch.arange(60) % 3
    pictures = ImageSet(torch.zeros(60, 3, 8, 8, dtype=torch.uint8), labels, ("a", "b", "c"), "made", "all")
    folds = five_folds(labels)
    config = PaintingConfig(seed=0)
    assert sizes_of_folds(pictures, folds) == {"train": 42, "val": 6, "test": 60}
    assert sizes_of_course(config, pictures, folds) == {"train": 48, "val": 12, "test": 60}
    assert sizes_of_nesting(pictures, folds) == {"train": 48, "val": 48, "test": 60}


def test_the_baseline_s_run_has_the_course_s_split(load_program, store):
    baseline = load_program("experiments/artists/baseline")
    config = baseline.Config(quick=True).shrunk()
    with Run.start("artists_baseline", {}, "", "test") as run:
        outcome = baseline.run(config, run)
    (data,) = run.datasets.values()
    course = baseline.course_split(baseline.load_paintings(config, Run.inactive())[0].labels)
    assert data["splits"] == {"train": len(course.train), "val": len(course.val), "test": 40}
    assert 0 < outcome.metrics["five_folds_seconds"]


def test_regularisation_covers_what_the_question_asks(load_program):
    asked = load_program("experiments/artists/regularization")
    assert asked.DROPOUTS == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert {change["schedule"] for change in asked.SCHEDULES.values()} == {"step", "cosine", "one_cycle", "plateau"}
    base = asked.Config()
    for name, config in training_variants(base, asked.OPTIMISERS | asked.STOPPING | asked.SCHEDULES).items():
        assert changed_words(base, config), name
        assert config.layout == base.layout and config.training.epochs == 50 and config.training.batch_size == 10
    for config in training_variants(base, asked.STOPPING).values():
        assert config.training.patience and config.training.monitor.startswith("val/")


@pytest.mark.parametrize("name, attribute", [("pooling", "POOLINGS"), ("pooling", "INSTEAD"), ("architecture", "")])
def test_every_layout_can_be_built_and_run(load_program, name, attribute):
    module = load_program(f"experiments/artists/{name}")
    groups = {attribute: getattr(module, attribute)} if attribute else module.CHANGES
    if not attribute:
        assert {"filter size", "stride", "depth", "number of layers", "shape"} <= set(groups)
    base = module.Config()
    for changes in groups.values():
        for config in layout_variants(base, changes).values():
            differing = {k for k, v in flatten(config).items() if v != flatten(base)[k]}
            assert differing and all(key.startswith("layout.") for key in differing)
            with torch.no_grad():
                assert config.build(11)(torch.rand(1, 3, 50, 50)).shape == (1, 11)


def test_settings_of_the_network_come_from_the_command_line(load_program):
    baseline = load_program("experiments/artists/baseline")
    config = parse(baseline.Config, "", ["--layout.kernels", "3 3", "--layout.norm", "batch", "--seeds", "2"])
    assert config.layout.kernels == (3, 3) and config.layout.norm == "batch" and config.training_seeds == [0, 1]


def test_what_cannot_be_built_is_refused_before_any_training():
    with pytest.raises(ConfigError, match="nothing is left of an image of 8x8"):
        PaintingConfig(size=8, layout=replace(PaintingConfig().layout, pool=3, pool_stride=3))
    with pytest.raises(ConfigError, match="seeds must be at least 1"):
        PaintingConfig(seeds=0)
