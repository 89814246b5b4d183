"""From a network's map of scores to boxes in an image. Start at detector.py.

boxes.py: cells to boxes, box offsets, suppression; pyramid.py: the sizes at which an image is searched; loss.py: the
loss of a map of cells; detector.py: `FaceDetector`.
"""

from cnnlab.detection.boxes import cell_boxes, decode, encode, suppress
from cnnlab.detection.detector import FaceDetector
from cnnlab.detection.pyramid import pyramid_scales

__all__ = ["FaceDetector", "cell_boxes", "decode", "encode", "pyramid_scales", "suppress"]
