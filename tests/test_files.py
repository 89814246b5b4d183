"""A file takes the place of an earlier one as a whole, or not at all."""

import pytest

from cnnlab.files import replacing


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with replacing(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path, precious = tmp_path / "a.txt", tmp_path / "precious"
    path.write_text("earlier")
    precious.write_text("kept")
    (tmp_path / "a.txt.partial").symlink_to(precious)
    with pytest.raises(KeyboardInterrupt), replacing(str(path)) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier" and precious.read_text() == "kept"
    assert sorted(tmp_path.iterdir()) == [path, precious]
