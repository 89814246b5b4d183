"""A file takes the place of an earlier one as a whole, or not at all."""

import os
import socket
import subprocess
import sys

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
    (tmp_path / f"a.txt.{socket.gethostname()}.{os.getpid()}.partial").symlink_to(precious)
    with pytest.raises(KeyboardInterrupt), replacing(str(path)) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier" and precious.read_text() == "kept"
    assert sorted(tmp_path.iterdir()) == [path, precious]


def test_two_writers_do_not_meet_and_what_a_killed_one_left_goes(tmp_path):
    path = tmp_path / "a.txt"
    program = (
        "import os, sys\nfrom cnnlab.files import replacing\n"
        "with replacing(sys.argv[1]) as partial:\n    partial.write_text('half')\n    os._exit(0)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with replacing(path) as partial:
        partial.write_text("whole")
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, env=environment)
        assert len(list(tmp_path.iterdir())) == 2, "its own and that of a process which ended in the middle"
    assert path.read_text() == "whole"
    with replacing(path) as partial:
        partial.write_text("newer")
    assert path.read_text() == "newer" and list(tmp_path.iterdir()) == [path]
