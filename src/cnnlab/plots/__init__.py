"""Every figure that a run stores: each function returns a `matplotlib.figure.Figure` and touches no global state.

Start with `learning_curves` (training.py); `detections` (detections.py) draws boxes; `ablation` (studies.py)
compares configurations. Colours and the figure's frame live in style.py.
"""

from cnnlab.plots.classification import (
    accuracies,
    augmentation_sheet,
    class_grid,
    confusion_matrices,
    confusion_matrix,
)
from cnnlab.plots.detections import detection_sheet, detections
from cnnlab.plots.operating_point import precision_recall
from cnnlab.plots.studies import ablation, study_history
from cnnlab.plots.training import compared_curves, learning_curves

__all__ = [
    "ablation",
    "accuracies",
    "augmentation_sheet",
    "class_grid",
    "compared_curves",
    "confusion_matrices",
    "confusion_matrix",
    "detection_sheet",
    "detections",
    "learning_curves",
    "precision_recall",
    "study_history",
]
