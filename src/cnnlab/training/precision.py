"""Precision and devices, by Lightning Fabric.

One process by default. Several come from Fabric's own launcher, which hands its choices over in the environment:

    fabric run --accelerator cpu --devices 2 --strategy ddp experiments/face/train.py
"""

import logging
import os

from lightning_fabric import Fabric

from cnnlab.devices import native_bf16

logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it would announce the precision at every fit
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def make_fabric(precision: str = "auto") -> Fabric:
    """A launched Fabric for `precision`; a setting of Fabric's launcher wins over ours."""
    if precision == "auto":
        precision = "bf16-mixed" if native_bf16() else "32-true"
    launched = "LT_CLI_USED" in os.environ
    settings = {} if launched else {"accelerator": "auto", "devices": 1}
    if "LT_PRECISION" not in os.environ:
        settings["precision"] = precision
    fabric = Fabric(**settings)
    if not launched:
        fabric.launch()
    return fabric
