"""Measures of classification, segmentation and detection; no tracking, no training."""
