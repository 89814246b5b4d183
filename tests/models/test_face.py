import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models import build_model, list_models
from cnnlab.models.face import fold_batch_norm

# Layer, output shape for a 48x48 patch, parameters: counted by hand from the assignment's text.
LAYERS = [
    (nn.Conv2d, (1, 32, 46, 46), 896),
    (nn.MaxPool2d, (1, 32, 23, 23), 0),
    (nn.LeakyReLU, (1, 32, 23, 23), 0),
    (nn.Conv2d, (1, 64, 21, 21), 18496),
    (nn.MaxPool2d, (1, 64, 10, 10), 0),
    (nn.LeakyReLU, (1, 64, 10, 10), 0),
    (nn.Conv2d, (1, 64, 8, 8), 36928),
    (nn.MaxPool2d, (1, 64, 4, 4), 0),
    (nn.LeakyReLU, (1, 64, 4, 4), 0),
    (nn.Conv2d, (1, 128, 3, 3), 32896),
    (nn.LeakyReLU, (1, 128, 3, 3), 0),
    (nn.Conv2d, (1, 256, 1, 1), 295168),
    (nn.LeakyReLU, (1, 256, 1, 1), 0),
    (nn.Conv2d, (1, 2, 1, 1), 514),
]


def test_face_fcn_is_the_assignments_table():
    model, x = build_model("face_fcn"), torch.zeros(1, 3, 48, 48)
    assert len(model) == len(LAYERS)
    for layer, (kind, shape, parameters) in zip(model, LAYERS, strict=True):
        x = layer(x)
        assert type(layer) is kind
        assert tuple(x.shape) == shape
        assert sum(p.numel() for p in layer.parameters()) == parameters
        if kind is nn.LeakyReLU:
            assert layer.negative_slope == 0.2
        if kind is nn.Conv2d:
            assert layer.padding == (0, 0) and layer.stride == (1, 1)
    assert [layer.ceil_mode for layer in model if isinstance(layer, nn.MaxPool2d)] == [True, False, False]


@pytest.mark.parametrize(("name", "channels"), [("face_fcn", 2), ("face_net", 6)])
def test_a_patch_gives_one_cell_and_eight_pixels_one_more(name, channels):
    model = build_model(name).eval()
    assert model(torch.rand(5, 3, 48, 48)).shape == (5, channels, 1, 1)
    assert model(torch.rand(1, 3, 48 + 16, 48 + 40)).shape == (1, channels, 3, 6)


@pytest.mark.parametrize("name", ["face_fcn", "face_net"])
def test_shifting_the_image_by_the_stride_shifts_the_map(name):
    torch.manual_seed(0)
    model, image = build_model(name).eval(), torch.rand(1, 3, 96, 104)
    with torch.no_grad():
        whole, shifted = model(image), model(image[..., 8:])
    torch.testing.assert_close(whole[..., 1:], shifted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("settings", [{"norm": "none"}, {"norm": "group"}, {"depth": 2}, {"activation": "silu"},
                                      {"dropout": 0.3}, {"widths": (8, 8, 8, 8, 8, 8)}])  # fmt: skip
def test_face_net_settings_keep_the_geometry(settings):
    assert build_model("face_net", boxes=False, **settings)(torch.rand(2, 3, 48, 48)).shape == (2, 2, 1, 1)


def test_folding_batch_norm_changes_no_output():
    torch.manual_seed(0)
    model = build_model("face_net", depth=1)
    images = torch.rand(8, 3, 64, 64)
    model(images)  # moves the running statistics off their start
    model.eval()
    with torch.no_grad():
        before = model(images)
        after = fold_batch_norm(model)(images)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-3)


def test_unknown_names_are_refused_with_the_nearest():
    assert {"face_fcn", "face_net"} <= set(list_models())
    with pytest.raises(ConfigError, match="Unknown model 'face_fcm'. Did you mean 'face_fcn'"):
        build_model("face_fcm")
    with pytest.raises(ConfigError, match="no setting 'droput'. Did you mean 'dropout'"):
        build_model("face_net", droput=0.1)
    with pytest.raises(ConfigError, match="six positive widths"):
        build_model("face_net", widths=(8, 8))
    with pytest.raises(ConfigError, match="Unknown activation 'tanhh'"):
        build_model("face_net", activation="tanhh")


def test_a_model_remembers_what_it_was_built_from():
    assert build_model("face_net", depth=1).architecture == ("face_net", {"num_classes": 2, "depth": 1})
