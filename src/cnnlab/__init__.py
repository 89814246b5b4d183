"""cnnlab: an experiment-tracked laboratory for learning and judging convolutional networks.

Start with `cnnlab.experiment` (what an experiment is), then `cnnlab.training` (the loop) and `cnnlab.tracking`
(what a run stores). `cnnlab.models`, `cnnlab.detection` and `cnnlab.evaluation` know neither MLflow nor Optuna and can
be lifted out.
"""

__version__ = "0.1.0"
