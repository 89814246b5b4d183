"""data_fetch end to end, and what it says when the source is not there."""

import pytest

from cnnlab.data.fetch_miniature import make_camvid
from cnnlab.errors import DataError
from cnnlab.tracking import Run


@pytest.fixture
def fetch(load_program):
    return load_program("experiments/transfer/fetch")


@pytest.mark.parametrize(("dataset", "counts"), [("camvid", (2, 2, 1)), ("makeup", (12, 6))])
def test_a_miniature_goes_the_whole_way(tmp_path, monkeypatch, fetch, dataset, counts):
    monkeypatch.chdir(tmp_path)
    outcome = fetch.run(fetch.Config(dataset=dataset, quick=True, output="kept").shrunk(), Run.inactive())
    assert tuple(outcome.metrics.values()) == counts
    assert outcome.summary.startswith("A made miniature, which is not kept")
    assert not list(tmp_path.iterdir())


def test_a_source_that_is_not_there_ends_with_what_to_do(tmp_path, monkeypatch, fetch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="cannot be reached.*Or by hand"):
        fetch.run(fetch.Config(data="http://127.0.0.1:1/CamVid", retries=0), Run.inactive())


def test_other_pixels_than_the_courses_are_said(tmp_path, monkeypatch, fetch):
    monkeypatch.chdir(tmp_path)
    make_camvid(tmp_path / "made")
    monkeypatch.setattr(fetch, "COUNTS", {"train": 2, "val": 2})
    outcome = fetch.run(fetch.Config(data=str(tmp_path / "made")), Run.inactive())
    assert "Pixels of train and val are NOT those of the course's data" in outcome.summary
    assert (tmp_path / "data" / "CamVid" / "train.csv").exists()
