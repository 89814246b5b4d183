"""Street scenes: files read and mapped, what is wrong with them named, random crops, and the drawn stand-in."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.camvid import (
    COLOURS,
    IGNORED,
    SCENE_CLASSES,
    VOID,
    SceneCrops,
    SceneSet,
    load_camvid,
    read_mask,
    three_classes,
)
from cnnlab.data.scene_classes import THREE_CLASSES
from cnnlab.data.street_scenes import draw_scenes
from cnnlab.errors import ConfigError, DataError

HEIGHT, WIDTH = 24, 32


def write(folder, table=True, splits=("train", "val")):
    """A small CamVid: every mask holds 0 to 11 in columns, every image tells its number by its red."""
    columns = np.arange(WIDTH) * 12 // WIDTH
    for split in splits:
        (folder / split).mkdir(parents=True)
        (folder / f"{split}annot").mkdir()
        rows = ["image,annotation"]
        for number in range(3):
            image = np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)
            image[..., 1] = len(split)
            image[..., 2] = columns * 20
            name = f"{split}_{number:02d}.png"
            Image.fromarray(image).save(folder / split / name)
            Image.fromarray(np.tile(columns, (HEIGHT, 1)).astype(np.uint8)).save(folder / f"{split}annot" / name)
            rows.append(f"{split}/{name},{split}annot/{name}")
        if table:
            (folder / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def camvid(tmp_path):
    return write(tmp_path / "CamVid")


def save_mask(folder, values, mode=None, name="mask.png"):
    picture = Image.fromarray(np.asarray(values, np.uint8))
    (picture.convert(mode) if mode else picture).save(folder / name)
    return folder / name


def test_reads_the_courses_layout(camvid):
    data = load_camvid(str(camvid))
    assert data.name == "CamVid" and not data.embedded and data.test is None
    assert data.splits == {"train": 3, "val": 3}
    assert data.train.images.shape == (3, 3, HEIGHT, WIDTH) and data.train.images.dtype == torch.uint8
    assert data.train.images.is_contiguous(memory_format=torch.channels_last)
    assert data.train.masks.unique().tolist() == [*range(11), IGNORED]  # void is ignored
    assert data.train.classes == SCENE_CLASSES and data.train.names[1] == "train/train_01.png"
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 10, 20]
    images, masks = data.val.__getitems__([2, 0])
    assert images.dtype == torch.uint8 and masks.dtype == torch.int64 and images[0, 0, 0, 0] == 20
    assert torch.equal(data.val[2][1], masks[0])


def test_the_folder_or_its_parent_the_same_data(camvid):
    data = load_camvid(str(camvid.parent))
    assert data.digest == load_camvid(str(camvid)).digest != load_camvid(str(camvid), classes=3).digest


def test_without_tables_files_pair_by_name_and_test_is_read(tmp_path):
    data = load_camvid(str(write(tmp_path, table=False, splits=("train", "val", "test"))))
    assert data.splits == {"train": 3, "val": 3, "test": 3} and data.test.split == "test"
    shutil.rmtree(tmp_path / "testannot")
    assert load_camvid(str(tmp_path)).test is None  # images without truth


def test_a_table_from_another_computer(camvid):
    """Without a header, with a drive and backslashes, an absolute path and blank lines: the names count."""
    rows = [rf"D:\hw4\CamVid\train\train_0{i}.png,/content/CamVid/trainannot/train_0{i}.png" for i in (2, 0)]
    (camvid / "train.csv").write_text("\n".join(rows) + "\n\n", encoding="utf-8-sig")
    assert load_camvid(str(camvid)).train.names == ["train/train_02.png", "train/train_00.png"]


def test_three_classes_are_mapped_while_reading(camvid):
    eleven, three = load_camvid(str(camvid)), load_camvid(str(camvid), classes=3)
    raw = np.asarray(Image.open(camvid / "valannot" / "val_00.png"))
    assert np.array_equal(three.val.masks[0].numpy(), THREE_CLASSES[raw])
    assert [THREE_CLASSES[i] for i in (0, 8, 9, 10)] == [0, 2, 2, 2]
    assert set(THREE_CLASSES[[1, 2, 3, 4, 5, 6, 7, VOID]]) == {1}  # void belongs to the second class
    assert three.val.masks.max() == 2 and len(three.val.colours) == 4
    mapped = three_classes(eleven.val)
    assert torch.equal(mapped.masks, three.val.masks) and mapped.classes == three.val.classes
    assert mapped.images.data_ptr() == eleven.val.images.data_ptr()  # no second copy
    labelled = three_classes(eleven.val, ignore_void=True)
    assert torch.equal(labelled.masks == IGNORED, eleven.val.masks == IGNORED)


def test_another_number_of_classes(camvid):
    with pytest.raises(ConfigError, match="classes is 32; street scenes have 11 classes or, grouped, 3"):
        load_camvid(str(camvid), classes=32)


def test_quick_is_a_handful_of_small_scenes(tmp_path):
    root = write(tmp_path)
    for path in [*root.glob("*/*.png")]:
        Image.open(path).resize((320, 240), Image.Resampling.NEAREST).save(path)
    data = load_camvid(str(root), quick=True)
    assert data.train.images.shape[-2:] == (120, 160) and data.train.masks.shape[-2:] == (120, 160)
    assert data.train.masks.unique().tolist() == [*range(11), IGNORED]


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_masks_with_numbers_in_any_mode(tmp_path, mode):
    values = np.tile(np.arange(12, dtype=np.uint8), (3, 1))
    if mode == "P":
        picture = Image.fromarray(values)
        picture.putpalette([v for i in range(256) for v in (i, 255 - i, 7)])  # colours for the eye only
        picture.save(tmp_path / "mask.png")
        path = tmp_path / "mask.png"
    else:
        path = save_mask(tmp_path, values, mode)
    assert read_mask(path, (3, 12))[0].tolist() == [*range(11), IGNORED]
    assert read_mask(path, classes=3)[0].tolist() == THREE_CLASSES.tolist()


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_masks_in_the_courses_colours(tmp_path, mode):
    values = np.tile(np.arange(12, dtype=np.uint8), (3, 1))
    if mode == "P":
        order = np.roll(np.arange(12), 5)  # the palette says what an index means
        picture = Image.fromarray(np.argsort(order)[values].astype(np.uint8))
        picture.putpalette(COLOURS[order].flatten().tolist())
        picture.save(tmp_path / "mask.png")
        path = tmp_path / "mask.png"
    else:
        path = save_mask(tmp_path, COLOURS[values], mode)
    assert read_mask(path)[0].tolist() == [*range(11), IGNORED]


def test_another_palette_is_for_the_eye_whatever_a_file_shows(tmp_path):
    """VOC's palette shares black, two reds and a grey with the code: a file of these alone is read as any other."""
    voc = [[128 * (i >> bit & 1) + 64 * (i >> bit + 3 & 1) for bit in range(3)] for i in range(256)]
    for number, shown in enumerate(([0, 1, 3, 7], [0, 1, 3, 7, 8])):
        picture = Image.fromarray(np.array([shown], np.uint8))
        picture.putpalette([value for colour in voc for value in colour])
        picture.save(tmp_path / f"{number}.png")
        assert read_mask(tmp_path / f"{number}.png")[0].tolist() == shown


def test_other_colours_are_refused(tmp_path):
    mask = COLOURS[np.zeros((4, 4), int)].copy()
    mask[2, 3] = (1, 2, 3)
    with pytest.raises(DataError, match=r"mask\.png: the colour \(1, 2, 3\) at row 2, column 3 is not in the course's"):
        read_mask(save_mask(tmp_path, mask))


def test_values_outside_of_the_table(camvid):
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[0, :3] = (12, 255, 255)
    save_mask(camvid / "valannot", values, name="val_01.png")
    message = r"val_01\.png: the mask holds the values 12, 255 \(3 pixels\); allowed are 0 to 10 for Sky to Bicyclist"
    with pytest.raises(DataError, match=message + " and 11 for void"):
        load_camvid(str(camvid))


def test_a_mask_of_another_size(camvid):
    save_mask(camvid / "trainannot", np.zeros((HEIGHT, 30)), name="train_02.png")
    with pytest.raises(DataError, match=r"train_02\.png: the mask is 30x24 pixels but its image is 32x24"):
        load_camvid(str(camvid))


def test_images_of_several_sizes(camvid):
    Image.new("RGB", (16, 16)).save(camvid / "train" / "train_02.png")
    save_mask(camvid / "trainannot", np.zeros((16, 16)), name="train_02.png")
    with pytest.raises(DataError, match=r"train_02\.png: the image is 16x16 pixels but train_00\.png is 32x24"):
        load_camvid(str(camvid))


def test_a_frame_in_two_splits_or_twice_in_a_table_is_refused(camvid):
    text = (camvid / "val.csv").read_text()
    (camvid / "val.csv").write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(DataError, match=r"val.csv: lists a frame more than once \(val/val_00.png\)"):
        load_camvid(str(camvid))
    (camvid / "val.csv").write_text((camvid / "train.csv").read_text())
    with pytest.raises(DataError, match="train/train_00.png of train and val/train_00.png of val are the same picture"):
        load_camvid(str(camvid))


def test_two_files_of_one_name_are_refused(tmp_path):
    root = write(tmp_path, table=False)
    Image.open(root / "trainannot/train_00.png").save(root / "trainannot/train_00.gif")
    with pytest.raises(DataError, match="trainannot: train_00.gif and train_00.png have one name"):
        load_camvid(str(root))


def test_images_and_masks_that_do_not_pair(tmp_path):
    root = write(tmp_path, table=False)
    (root / "trainannot" / "train_01.png").rename(root / "trainannot" / "other.png")
    message = r"trainannot/ do not pair: 1 image without a mask \(train_01\.png\) and 1 mask without an image \(other"
    with pytest.raises(DataError, match=message):
        load_camvid(str(root))


def test_a_table_that_lists_what_is_not_there(camvid):
    (camvid / "valannot" / "val_00.png").unlink()
    with pytest.raises(DataError, match=r"val\.csv: lists a file that is not there \(valannot/val_00\.png\)"):
        load_camvid(str(camvid))


@pytest.mark.parametrize("text", ["", "image,annotation\n", "train/train_00.png\n"])
def test_a_table_that_is_none(camvid, text):
    (camvid / "train.csv").write_text(text)
    with pytest.raises(DataError, match=r"train\.csv: expected two columns, image and annotation"):
        load_camvid(str(camvid))


def test_missing_folders(camvid, tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such folder; give data=embedded or the folder of CamVid"):
        load_camvid("nowhere")
    shutil.rmtree(camvid / "valannot")
    with pytest.raises(DataError, match=r"CamVid: valannot/ missing; expected images in train/ and val/.*data_fetch"):
        load_camvid(str(tmp_path))


@pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"no image", "truncated, damaged or no image")])
def test_a_damaged_mask_is_named(camvid, content, message):
    (camvid / "trainannot" / "train_00.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"trainannot/train_00\.png: .*{message}"):
        load_camvid(str(camvid))


# ---- crops ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes():
    """Scenes whose pixels tell their class: grey value = 20 * class."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 11, (4, 6, 8))
    masks = np.kron(coarse, np.ones((1, 20, 20), int)).astype(np.uint8)
    images = np.repeat(masks[:, None] * 20, 3, axis=1)
    return SceneSet(
        torch.from_numpy(images), torch.from_numpy(masks), SCENE_CLASSES, COLOURS, "made", "train", ["a", "b", "c", "d"]
    )


@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.5, 2.0), (3.0, 3.0)])
def test_crops_keep_image_and_mask_together(scenes, scales):
    crops = SceneCrops(scenes, (64, 96), scales, flip=0.5, length=12, stretch=0.1)
    images, masks = crops.__getitems__(range(12))
    assert images.shape == (12, 3, 64, 96) and images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert masks.shape == (12, 64, 96) and masks.dtype == torch.int64
    inside = masks != IGNORED
    near = (images[:, 0].long() - 20 * masks).abs() <= 10  # all but the blurred borders between blocks
    assert near[inside].float().mean() > 0.8
    assert set(masks[inside].unique().tolist()) <= set(range(11))


def test_a_crop_at_scale_one_is_a_part_of_the_scene(scenes):
    crops = SceneCrops(scenes, (60, 80), (1.0, 1.0), flip=0.0)
    image, mask = crops[1]
    windows = scenes.masks[1].long().unfold(0, 60, 1).unfold(1, 80, 1)
    assert (windows == mask).all(-1).all(-1).any()
    assert torch.equal(image[0].long(), 20 * mask)


def test_crops_larger_than_the_scene_are_padded_and_ignored_there(scenes):
    image, mask = SceneCrops(scenes, (120, 160), (0.5, 0.5), flip=0.0)[0]
    inside = mask != IGNORED
    assert int(inside.sum()) == 60 * 80  # the whole scene at half size
    assert image[:, ~inside].unique(dim=1).tolist() == [[124], [116], [104]]


def test_epochs_differ_and_repeat(scenes):
    crops = SceneCrops(scenes, (40, 40), length=8, seed=3)
    first = crops.__getitems__(range(8))
    crops.set_epoch(1)
    second = crops.__getitems__(range(8))
    assert not torch.equal(first[0], second[0])
    crops.set_epoch(0)
    assert all(torch.equal(a, b) for a, b in zip(first, crops.__getitems__(range(8)), strict=True))
    assert torch.equal(crops[5][1], first[1][5]) and len(crops) == 8
    assert not torch.equal(SceneCrops(scenes, (40, 40), length=8, seed=4).__getitems__(range(8))[0], first[0])


def test_every_scene_is_cut_equally_often(scenes):
    """Over four epochs of three crops each of the four scenes is seen three times."""
    marked = SceneSet(
        torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 120, 160).contiguous(), scenes.masks,
        SCENE_CLASSES, COLOURS, "made", "train", scenes.names,
    )  # fmt: skip
    crops = SceneCrops(marked, (20, 20), (1.0, 1.0), length=3)
    seen = []
    for epoch in range(4):
        crops.set_epoch(epoch)
        seen += crops.__getitems__(range(3))[0][:, 0, 0, 0].tolist()
    assert sorted(seen) == sorted([0, 1, 2, 3] * 3)


def test_mirrored_crops_mirror_both(scenes):
    plain, mirrored = (SceneCrops(scenes, (40, 60), flip=flip, seed=1).__getitems__(range(4)) for flip in (0.0, 1.0))
    assert all(torch.equal(a.flip(-1), b) for a, b in zip(plain, mirrored, strict=True))


def test_rare_crops_hold_the_drawn_class():
    masks = torch.zeros(5, 90, 120, dtype=torch.uint8)
    masks[3, 80, 110] = 10  # one pixel of one scene
    images = torch.zeros(5, 3, 90, 120, dtype=torch.uint8)
    scenes = SceneSet(images, masks, SCENE_CLASSES, COLOURS, "made", "train", list("abcde"))
    for share, low, high in ((0.0, 0.0, 0.1), (1.0, 0.3, 0.7)):
        _, cut = SceneCrops(scenes, (24, 32), (1.0, 1.5), length=60, rare=share).__getitems__(range(60))
        found = (cut == 10).flatten(1).any(1).float().mean()
        assert low <= found <= high  # of two classes that occur one


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": (0, 10)}, "height and width must be at least 1"),
        ({"scales": (2.0, 1.0)}, "give the smallest, above 0, and then the largest"),
        ({"scales": (0.0, 1.0)}, "give the smallest, above 0"),
        ({"flip": 1.5}, "are shares from 0 to 1"),
        ({"length": 0}, "an epoch needs at least 1 crop"),
    ],
)
def test_settings_out_of_range(scenes, settings, message):
    with pytest.raises(ConfigError, match=message):
        SceneCrops(scenes, **settings)


def test_a_scene_set_that_contradicts_itself(scenes):
    with pytest.raises(DataError, match="made/train: images .* do not fit masks"):
        SceneSet(scenes.images, scenes.masks[:, :50], SCENE_CLASSES, COLOURS, "made", "train", scenes.names)
    with pytest.raises(DataError, match="The train split of made holds no image"):
        scenes.take([])
    assert scenes.take([2, 0]).names == ["c", "a"]
    assert scenes.pixel_counts().sum() == scenes.masks.numel()


# ---- the drawn stand-in ----------------------------------------------------------------------------------------------


def test_drawn_scenes_show_every_class():
    data = load_camvid("embedded", quick=True)
    assert data.embedded and data.name == "street scenes" and data.splits == {"train": 12, "val": 6}
    for scenes in (data.train, data.val):
        assert (scenes.pixel_counts() > 0).all()
    assert (data.train.masks == IGNORED).any()
    assert not set(data.train.names) & set(data.val.names)
    assert not torch.equal(data.train.images[:6], data.val.images)


def test_drawn_scenes_depend_on_the_seed_alone():
    first, again, other = (draw_scenes(2, (60, 80), seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[0][0], first[0][1])
    images, masks = draw_scenes(1, (360, 480))
    assert images.shape == (1, 360, 480, 3) and masks.shape == (1, 360, 480) and masks.max() <= VOID


@pytest.mark.real_data
def test_the_real_camvid(data_dir):
    data = load_camvid(str(data_dir), quick=True)
    assert data.name == "CamVid" and data.splits == {"train": 12, "val": 6}
    assert data.train.images.shape[2:] == (90, 120)
    assert (data.train.pixel_counts() > 0).all() and (data.val.pixel_counts() > 0).all()
    image, mask = data.val.images[0], data.val.masks[0]
    assert image[:, mask == 0].float().mean() > image[:, mask == 3].float().mean()  # the sky is brighter than the road
