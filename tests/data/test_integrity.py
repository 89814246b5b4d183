"""Folders that were filled half way, and splits that share a picture."""

import json

import pytest
import torch

from cnnlab.data.folders import spread_evenly, spread_places
from cnnlab.data.imageset import ImageSet
from cnnlab.data.integrity import MARKER, mark, refuse_shared_pictures, refuse_unfinished
from cnnlab.errors import DataError


def test_a_folder_is_whole_when_its_marker_says_so_or_nobody_of_ours_made_it(tmp_path):
    refuse_unfinished(tmp_path / MARKER)  # there is none
    for text in ("no json", "[]", '{"made_by": "an older data_fetch"}'):
        (tmp_path / MARKER).write_text(text)
        refuse_unfinished(tmp_path / MARKER)
    mark(tmp_path / MARKER, {"seed": 3}, complete=False)
    with pytest.raises(DataError, match="made half way; give the command that was making it again, it goes on"):
        refuse_unfinished(tmp_path / MARKER)
    mark(tmp_path / MARKER, {"seed": 3}, complete=True)
    refuse_unfinished(tmp_path / MARKER)
    assert json.loads((tmp_path / MARKER).read_text()) == {"seed": 3, "complete": True}


def test_splits_with_a_picture_in_common_are_refused_and_copies_within_one_are_not(tmp_path):
    pictures = torch.randint(0, 255, (4, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def part(split: str, *chosen: int) -> ImageSet:
        names = [f"{i}.png" for i in chosen]
        return ImageSet(pictures[list(chosen)], torch.zeros(len(chosen), dtype=torch.long), ("a", "b"), "made", split,
                        names)  # fmt: skip

    refuse_shared_pictures(tmp_path, [part("train", 0, 1, 1), part("val", 2, 3)])
    with pytest.raises(DataError, match="1.png of train and 1.png of val are the same picture"):
        refuse_shared_pictures(tmp_path, [part("train", 0, 1), part("val", 2), part("test", 3), part("val", 1)])


@pytest.mark.parametrize("count", [0, 1, 5, 101])
@pytest.mark.parametrize("wanted", [1, 4, 100, 1000])
def test_places_are_spread_from_end_to_end_without_repeating_any(count, wanted):
    places = spread_places(count, wanted)
    assert len(places) == len(set(places)) == min(count, wanted) and places == sorted(places)
    if len(places) > 1:
        steps = [b - a for a, b in zip(places, places[1:], strict=False)]
        assert (places[0], places[-1]) == (0, count - 1) and max(steps) - min(steps) <= 1
    assert spread_evenly(range(count), wanted) == places
