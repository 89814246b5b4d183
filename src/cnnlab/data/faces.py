"""The faces of assignment A: start here with `load_face_data`."""

from cnnlab.data.photos import (
    CLASSES,
    PATCH,
    FaceData,
    Photo,
    load_full_images,
    load_photos,
    split_photos,
)

__all__ = [
    "CLASSES", "PATCH", "FaceData", "Photo", "load_full_images", "load_photos", "split_photos",
]
