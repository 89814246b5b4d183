"""Data sets, held in memory as uint8.

Start with `faces.load_face_data`: it gives patches, photographs and full images of assignment A from the course's
folders, from photographs with boxes, from WIDER FACE, or from the pictures that installed packages carry (`embedded`).

- `imageset`: labelled images of one size.
- `images`, `boxes`: files to arrays, with one clear sentence when a file is bad.
- `faces`: photographs with face boxes, their split by photograph, the course's folders.
- `face_patches`: face and background patches of 48x48 pixels cut from photographs.
- `embedded`: face data for a machine that has nothing but its packages.
"""
