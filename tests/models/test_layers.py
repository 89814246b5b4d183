"""The layers that several networks share."""

import pytest
import torch
from torch import nn

from cnnlab.errors import ConfigError
from cnnlab.models.layers import ChannelShuffle, DepthwiseConv2d, conv_norm, round_channels


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_channels_are_dealt_out_in_either_memory_format(memory_format):
    x = torch.arange(6.0).view(1, 6, 1, 1).expand(2, 6, 3, 2).contiguous(memory_format=memory_format)
    out = ChannelShuffle(2)(x)
    assert out[1, :, 2, 1].tolist() == [0, 3, 1, 4, 2, 5]
    assert out.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(ChannelShuffle(3)(out), x)  # undone
    torch.testing.assert_close(out, nn.functional.channel_shuffle(x.contiguous(), 2))


def test_convolution_and_norm():
    layers = conv_norm(6, 6, 3, stride=2, groups=6)
    assert isinstance(layers.conv, DepthwiseConv2d) and [*layers._modules] == ["conv", "norm", "act"]
    x = torch.randn(2, 6, 9, 8)
    plain = nn.functional.conv2d(x, layers.conv.weight, stride=2, padding=1, groups=6)
    torch.testing.assert_close(layers.conv(x), plain)
    assert layers(x).shape == (2, 6, 5, 4)
    wide = conv_norm(6, 4, (1, 7), act=None)
    assert wide(x).shape == (2, 4, 9, 8) and [*wide._modules] == ["conv", "norm"] and wide.conv.bias is None
    assert conv_norm(6, 4, 3, padding=0)(x).shape == (2, 4, 7, 6)


@pytest.mark.parametrize(("channels", "rounded"), [(32, 32), (24 * 1.4, 32), (16 * 0.35, 8), (24 * 0.75, 24), (3, 8)])
def test_channels_are_rounded_without_losing_a_tenth(channels, rounded):
    assert round_channels(channels) == rounded
    with pytest.raises(ConfigError, match="the width must be greater than 0"):
        round_channels(0 * channels)
