import pytest
import torch

from cnnlab.detection.pyramid import as_images, levels, on_grid, pyramid_scales
from cnnlab.errors import ConfigError


def test_the_first_scale_brings_the_smallest_face_to_the_networks_smallest():
    scales = pyramid_scales(480, 640, min_face=20, face_range=(40, 50), factor=1.25)
    assert scales[0] == 2
    assert all(a / b == pytest.approx(1.25) for a, b in zip(scales, scales[1:], strict=False))


@pytest.mark.parametrize("face", [24, 30, 47, 100, 230, 400])
def test_every_face_size_falls_into_the_networks_range_at_some_scale(face):
    scales = pyramid_scales(450, 400, min_face=24, face_range=(20, 44), factor=2, smallest_side=8)
    assert any(20 <= face * scale <= 44 for scale in scales)


def test_a_small_image_is_enlarged_to_one_window():
    scales = pyramid_scales(20, 30, min_face=24, face_range=(40, 50), factor=1.25)
    assert scales[0] == pytest.approx(48 / 20)


def test_the_canvas_ends_where_the_last_cell_does():
    """Then the proportional mapping of the assignment is exact: cell j lies at j strides."""
    for side in (10, 48, 49, 57, 100, 101):
        canvas, [(start, rows, columns)] = on_grid([torch.zeros(1, 3, side, 60)], margin=16, window=48, stride=8)
        assert canvas.shape[-2:] == (49 + 8 * (rows - 1), 49 + 8 * (columns - 1))
        assert start == 0 and side + 32 <= canvas.shape[-2] <= max(49, side + 32 + 8)


def test_images_side_by_side_do_not_touch():
    images = [torch.full((1, 3, side, side + 3), float(i)) for i, side in enumerate((40, 30, 20), start=1)]
    canvas, places = on_grid(images, margin=16, window=48, stride=8)
    for image, (start, rows, columns) in zip(images, places, strict=True):
        part = canvas[..., : 49 + 8 * (rows - 1), start * 8 : start * 8 + 49 + 8 * (columns - 1)]
        assert part.unique().tolist() == sorted([0.5, image.max().item()])
        assert (part == image.max()).sum() == image.numel()


def test_halving_is_the_mean_of_four_pixels():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    _, (level, fx, fy) = levels(image, [1, 0.5])
    assert level.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert (fx, fy) == (0.5, 0.5)


def test_levels_tell_their_exact_factors():
    image = torch.rand(1, 3, 101, 67)
    shapes = [(tuple(level.shape[-2:]), fx, fy) for level, fx, fy in levels(image, [2, 1.5, 1, 0.5, 0.4])]
    assert shapes[0] == ((202, 134), 2, 2)
    assert shapes[1] == ((152, 100), 100 / 67, 152 / 101)
    assert shapes[2][0] == (101, 67)
    assert shapes[3] == ((50, 33), 0.5, 0.5)  # the odd row and column are left out, the factor stays one half
    assert shapes[4] == ((40, 27), 27 / 67, 40 / 101)


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match="min_face is 0"):
        pyramid_scales(100, 100, min_face=0)
    with pytest.raises(ConfigError, match="factor is 1"):
        pyramid_scales(100, 100, min_face=20, factor=1)
    with pytest.raises(ConfigError, match=r"uint8 of shape \(H, W, 3\)"):
        as_images(torch.zeros(5, 5), torch.device("cpu"))


def test_bytes_are_resized_like_floats_up_to_rounding():
    image = torch.randint(0, 256, (1, 3, 90, 70), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    scales = [1.5, 0.7, 0.35]
    for (a, *_), (b, *_) in zip(levels(image, scales), levels(image.float() / 255, scales), strict=True):
        assert (a - b).abs().max() < 1.5 / 255
