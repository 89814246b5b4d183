"""facescrub_fetch end to end on its made miniature, and what it says of settings and lists that cannot be."""

import pytest

from cnnlab.errors import ConfigError, DataError
from cnnlab.tracking import Run


@pytest.fixture
def fetch(load_program):
    return load_program("experiments/facescrub/fetch")


def test_a_miniature_goes_the_whole_way(tmp_path, monkeypatch, fetch):
    monkeypatch.chdir(tmp_path)
    outcome = fetch.run(fetch.Config(quick=True, output="kept", size=64).shrunk(), Run.inactive())
    assert outcome.metrics["training_images"] == 30 and outcome.metrics["photographs"] == 62
    assert min(outcome.metrics[f"{split}_images"] for split in ("validation", "test")) >= 12
    assert outcome.summary.startswith("A made miniature, which is not kept")
    for reason in ("status 404", "web page", "wrong bytes", "box outside its picture", "damaged line", "by looks"):
        assert reason in outcome.summary
    assert not list(tmp_path.iterdir())


def test_settings_and_lists_that_cannot_be(tmp_path, monkeypatch, fetch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="workers=0: at least 1 is needed"):
        fetch.run(fetch.Config(workers=0), Run.inactive())
    with pytest.raises(DataError, match="there is no such list; name the folder that holds the lists"):
        fetch.run(fetch.Config(data="absent"), Run.inactive())
