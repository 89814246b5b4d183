"""FaceScrub's lists: what is read, and that nothing hostile or damaged in them gets through."""

import re

import pytest

from cnnlab.data.face_list import COURSE, find_lists, read_lists, slug
from cnnlab.errors import DataError

SHA = "ab" * 32


def row(name="Alec Baldwin", picture="1", face="2", url="http://host/a.jpg", box="1,2,30,40", sha=SHA) -> str:
    return "\t".join([name, picture, face, url, box, sha])


@pytest.fixture
def read(tmp_path):
    def make(*rows, people=()):
        (tmp_path / "facescrub_actors.txt").write_text("\n".join(rows))
        return read_lists(find_lists(str(tmp_path)), people)

    return make


def test_a_line_of_the_list(read):
    listed = read("name\timage_id\tface_id\turl\tbbox\tsha256", row(sha=SHA.upper()) + "\r", "", people=COURSE[:1])
    (face,) = listed.faces
    assert (face.person, face.folder, face.face) == ("Alec Baldwin", "baldwin", 2)
    assert (face.url, face.box, face.sha256, face.area) == ("http://host/a.jpg", (1, 2, 30, 40), SHA, 29 * 38)
    assert listed.left_out == ()


@pytest.mark.parametrize(("line", "words"), [
    ("Alec Baldwin\t3\t4\thttp://host/cut", "4 fields instead of 6"),
    (row() + "\tmore", "7 fields"),
    (row(box="5,6,7"), "'5,6,7', not x1,y1,x2,y2"),
    (row(box="30,2,1,40"), "30,2,1,40 is empty"),
    (row(box="1,2,3e9,4"), "not x1,y1,x2,y2"),
    (row(sha="../../../etc/passwd"), "no SHA-256"),
    (row(sha=SHA[:-1] + "g"), "no SHA-256"),
    (row(face="../2"), "the face's number is '../2', no number"),
    (row(picture="x"), "the picture's number is 'x'"),
    (row(name="../.."), "no letter"),
    (row(url="file:///etc/passwd"), "no address of the web"),
    (row(url="http://[half"), "no address of the web"),
    (row(url="http://host/\x1b[2J"), "no address of the web"),
    (row(url="/etc/passwd"), "no address of the web"),
])  # fmt: skip
def test_a_damaged_line_is_left_out_with_one_sentence(read, line, words):
    listed = read(row(), line)
    assert len(listed.faces) == 1
    ((reason, sentence),) = listed.left_out
    assert reason == "damaged line" and words in sentence
    assert sentence.startswith("facescrub_actors.txt, line 2: ") and sentence.endswith("the line was left out.")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/root/x", "C:\\x", "a/../../b", "x\x00y", "Zoë .. ", "-rf", "…a"]
)
def test_a_name_makes_a_harmless_folder(name):
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", slug(name))


def test_who_is_wanted_by_name_or_surname(read):
    rows = [row(), row("Bill Hader", face="3"), row("Angie Harmon", face="4"), row("Angie Harmon\t1")]
    assert {face.folder for face in read(*rows, people=["hader", "ANGIE HARMON"]).faces} == {"hader", "harmon"}
    assert read(*rows, people=["hader"]).left_out == ()  # what is damaged of others is not told
    with pytest.raises(DataError, match="people=hadar: no line of .* has this name; did you mean hader"):
        read(*rows, people=["hadar"])
    with pytest.raises(DataError, match="people=roe: no line of the lists that can be read has this name"):
        read(*rows, "Bob Roe\t1\t2", people=["hader", "roe"])


def test_two_of_one_surname_are_told_apart(read):
    listed = read(row(), row("Stephen Baldwin", sha="cd" * 32))
    assert {face.folder for face in listed.faces} == {"alec_baldwin", "stephen_baldwin"}


def test_a_line_that_is_there_twice_counts_once(read):
    listed = read(row(), row(), row(face="3"), row(face="4", box="1,2,3,4"))
    assert [face.face for face in listed.faces] == [2, 4]
    assert [reason for reason, _ in listed.left_out] == ["listed twice"] * 2


def test_what_is_no_list(read, tmp_path):
    with pytest.raises(DataError, match="actors.txt: no list of FaceScrub, not one line has the fields name,"):
        read("<html>", "</html>")
    with pytest.raises(DataError, match="no list of FaceScrub there; expected facescrub_actors.txt"):
        find_lists(str(tmp_path / "else"))
    with pytest.raises(DataError, match="cannot be read"):
        read_lists([tmp_path / "absent.txt"])
