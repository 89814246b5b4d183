"""Box files of every accepted form give the same boxes; a bad one is named with its line."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.boxes import check_boxes, read_boxes
from cnnlab.errors import DataError

BOXES = np.array([[10, 20, 40, 60], [1, 2, 3.5, 4]], np.float32)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (80, 70)).save(folder / "a.jpg")
    return folder


def write(path, text):
    path.write_text(text)
    return path


def test_csv_of_corners_and_of_sizes_are_the_same(tmp_path):
    corners = write(tmp_path / "c.csv", "image,x1,y1,x2,y2\na.jpg,10,20,40,60\na.jpg,1,2,3.5,4\n")
    sizes = write(tmp_path / "s.csv", "height, width,y,x,Image\n40,30,20,10,a.jpg\n2,2.5,2,1,a.jpg\n")
    for path in (corners, sizes):
        np.testing.assert_array_equal(read_boxes(path)["a.jpg"], BOXES)


def test_detections_with_scores_are_read_too(tmp_path):
    path = write(tmp_path / "d.csv", "image,x1,y1,x2,y2,score\na.jpg,1,2,3,4,0.5\n")
    assert read_boxes(path)["a.jpg"].tolist() == [[1, 2, 3, 4]]


def test_a_name_alone_is_a_photograph_without_faces(tmp_path):
    assert read_boxes(write(tmp_path / "c.csv", "image,x1,y1,x2,y2\na.jpg,,,,\n"))["a.jpg"].shape == (0, 4)


@pytest.mark.parametrize("separator", [" ", ",", ", ", "\t"])
def test_text_per_image(tmp_path, images, separator):
    folder = tmp_path / "full_boxes"
    folder.mkdir()
    write(folder / "a.txt", "# x1 y1 x2 y2\n" + "\n".join(separator.join(map(str, box)) for box in BOXES.tolist()))
    np.testing.assert_array_equal(read_boxes(folder, images)["a.jpg"], BOXES)
    np.testing.assert_array_equal(read_boxes(folder)["a"], BOXES)


@pytest.mark.parametrize("array", [BOXES, BOXES.astype(np.float64), BOXES[0].astype(np.int64)])
def test_npy_per_image(tmp_path, images, array):
    np.save(tmp_path / "a.npy", array)
    boxes = read_boxes(tmp_path / "a.npy", images)["a.jpg"]
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, np.atleast_2d(array))


def test_an_empty_box_file_says_no_faces(tmp_path):
    write(tmp_path / "a.txt", "")
    assert read_boxes(tmp_path / "a.txt")["a"].shape == (0, 4)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "1 2 3 4\n5 6 seven 8\n", r"a\.txt, line 2: '5 6 seven 8'"),
        ("a.txt", "1 2 3\n", r"a\.txt, line 1: 3 numbers, expected four"),
        ("a.txt", "30 2 20 4\n", r"a\.txt, line 1: box \(30, 2, 20, 4\) has x2 <= x1"),
        ("a.txt", "1 2 nan 4\n", r"a\.txt, line 1: .*no finite number"),
        ("c.csv", "image,x1,y1,x2,y2\na.jpg,1,2,x,4\n", r"c\.csv, line 2: 1,2,x,4 is not four numbers"),
        ("c.csv", "image,x1,y1,x2,y2\na.jpg,1,2\n", r"c\.csv, line 2: .* is not four numbers"),
        ("c.csv", "image,x,y,width,height\na.jpg,1,2,-3,4\n", r"c\.csv, line 2: .*x2 <= x1"),
        ("c.csv", "photo,left,top\na.jpg,1,2\n", r"c\.csv: columns photo, left, top; expected a first line"),
        ("c.csv", "", r"c\.csv: columns \(none\)"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read_boxes(write(tmp_path / name, text))


def test_unreadable_box_files(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"not numpy")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "e.npy").touch()
    np.save(tmp_path / "d.npy", np.array([{"boxes": 1}], dtype=object))
    np.save(tmp_path / "f.npy", np.zeros((3, 5)))
    for name, message in {
        "a.npy": "numpy.save",
        "b.txt": "not a text file",
        "c.csv": "not a csv file",
        "d.npy": "numpy.save",
        "e.npy": "numpy.save",
        "f.npy": r"shape \(3, 5\), expected \(N, 4\)",
    }.items():
        with pytest.raises(DataError, match=rf"{name}: .*{message}"):
            read_boxes(tmp_path / name)


def test_missing_box_files(tmp_path):
    with pytest.raises(DataError, match="there is no such box file or folder"):
        read_boxes(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="no box files in this folder"):
        read_boxes(tmp_path)


def test_boxes_of_an_image_that_is_not_there(tmp_path, images):
    with pytest.raises(DataError, match=r"b\.csv: boxes for 'b\.jpg', but no such image"):
        read_boxes(write(tmp_path / "b.csv", "image,x1,y1,x2,y2\nb.jpg,1,2,3,4\n"), images)
    folder = tmp_path / "full_boxes"
    folder.mkdir()
    write(folder / "c.txt", "1 2 3 4")
    with pytest.raises(DataError, match="boxes for 'c', but no such image"):
        read_boxes(folder, images)


def test_two_images_with_one_stem_are_not_guessed(tmp_path, images):
    Image.new("RGB", (80, 70)).save(images / "a.png")
    with pytest.raises(DataError, match=r"fit several images \(a\.jpg, a\.png\)"):
        read_boxes(write(tmp_path / "a.txt", "1 2 3 4"), images)


def test_check_boxes_clips_rounding_and_refuses_more():
    np.testing.assert_array_equal(check_boxes(np.array([[-1, 0, 50, 41]]), 50, 40, "a.jpg"), [[0, 0, 50, 40]])
    for box in ([-2, 0, 50, 40], [0, 0, 52, 40], [60, 0, 70, 40], [50, 0, 50.5, 40]):
        with pytest.raises(DataError, match=r"a\.jpg: .*outside the image of 50x40 pixels"):
            check_boxes(np.array([box]), 50, 40, "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: box \(9, 0, 5, 4\) has x2 <= x1"):
        check_boxes(np.array([[9, 0, 5, 4]]), 50, 40, "a.jpg")
    assert check_boxes(np.zeros((0, 4)), 50, 40, "a.jpg").shape == (0, 4)
