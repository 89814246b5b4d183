"""Layouts of picture folders, and what is said of folders that have none."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.picture_tree import read_tree
from cnnlab.errors import ConfigError, DataError


def fill(root, *folders, count=3):
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(root / folder / f"{number}.png")
    return root


def test_class_folders(tmp_path):
    tree = read_tree(fill(tmp_path, "dogs", "cats"))
    assert (tree.target, tree.classes, tree.split_names) == ("class", ("cats", "dogs"), ("all",))
    assert [tree.paths[i].parent.name for i in (0, 3)] == ["cats", "dogs"] and tree.labels.tolist() == [0] * 3 + [1] * 3


def test_splits_of_class_folders_below_a_folder_that_holds_nothing_else(tmp_path):
    fill(tmp_path, "set/test/b", "set/test/a", "set/training/a", "set/training/b", "set/notes")
    tree = read_tree(tmp_path)
    assert (tree.root.name, tree.target, tree.classes) == ("set", "class", ("a", "b"))
    assert tree.split_names == ("training", "test") and tree.left_out == ("notes",) and len(tree.paths) == 12
    by_split = read_tree(tmp_path, target="split")
    assert by_split.classes == ("training", "test") and by_split.labels.tolist() == tree.splits.tolist()


def test_splits_without_classes_stand_in_for_them(tmp_path):
    tree = read_tree(fill(tmp_path, "train", "val", "trainannot"))
    assert (tree.target, tree.classes, tree.left_out) == ("split", ("train", "val"), ("trainannot",))
    assert "split" in tree.question


def test_one_heap_of_pictures_has_nothing_to_tell_apart(tmp_path):
    assert read_tree(fill(tmp_path, "images")).target == "none"
    with pytest.raises(DataError, match="no class folders"):
        read_tree(tmp_path, target="class")
    with pytest.raises(DataError, match="no two split folders"):
        read_tree(tmp_path, target="split")


def test_a_draw_takes_as_many_of_each_class(tmp_path):
    fill(tmp_path, "a", count=30)
    fill(tmp_path, "b", count=6)
    tree = read_tree(tmp_path)
    drawn = tree.draw(20, seed=0)
    assert np.bincount(tree.labels[drawn]).tolist() == [10, 6] and len(set(drawn.tolist())) == 16
    assert drawn.tolist() == tree.draw(20, seed=0).tolist() != tree.draw(20, seed=1).tolist()
    assert len(tree.subset(drawn).paths) == 16


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ((), "no pictures and no class folders"),
        (("x/deep/er", "y/deep/er"), "Name the folder of one data set"),
        (("a", "b/one", "b/two"), "a/ holds pictures but b/ holds folders"),
        (("train/a", "train/b", "val"), "val: no class folders, though train/ has them"),
    ],
)
def test_other_folders_are_refused_with_a_remedy(tmp_path, folders, said):
    with pytest.raises(DataError, match=said):
        read_tree(fill(tmp_path, *folders))


def test_missing_folders_small_classes_and_unknown_targets_are_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere.*no such folder"):
        read_tree(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="target=colour"):
        read_tree(tmp_path, target="colour")
    fill(tmp_path, "a", "b")
    fill(tmp_path, "c", count=1)
    with pytest.raises(DataError, match="c: one image only"):
        read_tree(tmp_path)
    (tmp_path / "c" / "0.png").unlink()
    with pytest.raises(DataError, match="c: no images"):
        read_tree(tmp_path)
