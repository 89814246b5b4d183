"""Boxes, as detectors need them, and the face detector itself. Start at detector.py for `FaceDetector`.

The lecture's building blocks, each alone: iou.py (IoU, GIoU), regression.py (the four functions of a box and their
inverse), anchors.py (reference boxes, who is to find what), nms.py (suppression step by step, and soft), roi.py
(pooling and align). The sliding window: boxes.py (where a cell looks), pyramid.py (the sizes at which an image is
searched), loss.py (the loss of a map of cells). The second stage on its proposals: rcnn.py, `RCNN`.
"""

from cnnlab.detection.anchors import anchor_grid, assign, base_anchors
from cnnlab.detection.boxes import cell_boxes
from cnnlab.detection.detector import FaceDetector
from cnnlab.detection.iou import giou, iou
from cnnlab.detection.nms import nms, nms_steps, soft_nms, suppress
from cnnlab.detection.pyramid import pyramid_scales
from cnnlab.detection.regression import decode, encode
from cnnlab.detection.roi import roi_features

__all__ = [
    "FaceDetector",
    "anchor_grid",
    "assign",
    "base_anchors",
    "cell_boxes",
    "decode",
    "encode",
    "giou",
    "iou",
    "nms",
    "nms_steps",
    "pyramid_scales",
    "roi_features",
    "soft_nms",
    "suppress",
]
