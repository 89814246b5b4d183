"""Why a network decided so: saliency, guided back-propagation and Grad-CAM, for a batch of images and a class.

Start with `attribution.explain`. Plain PyTorch and captum; the network that is asked comes back as it was.
"""

from cnnlab.explain.attribution import (
    Attributions,
    class_shares,
    explain,
    find_cam_layer,
    grad_cam,
    guided_backprop,
    saliency,
    share_within,
)

__all__ = [
    "Attributions",
    "class_shares",
    "explain",
    "find_cam_layer",
    "grad_cam",
    "guided_backprop",
    "saliency",
    "share_within",
]
