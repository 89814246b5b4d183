"""What a device can do."""

import torch


def native_bf16(device: str = "") -> bool:
    """Whether a processor multiplies in bfloat16 (elsewhere it is emulated and slower than 32 bit).

    Args:
        device: `cpu` or `cuda`; the one that trains unless given.
    """
    if device == "cuda" or (not device and torch.cuda.is_available()):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
