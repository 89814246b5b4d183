"""The training loop and what it needs: settings, optimisers and schedules, precision, checkpoints.

Start with `loop.fit`. It knows nothing of MLflow or Optuna: both listen through its `on_epoch` callback.
"""

from cnnlab.training.config import Training
from cnnlab.training.inference import predict
from cnnlab.training.loop import Fit, fit
from cnnlab.training.objective import Classification, Objective, Segmentation
from cnnlab.training.precision import make_fabric

__all__ = ["Classification", "Fit", "Objective", "Segmentation", "Training", "fit", "make_fabric", "predict"]
