"""Data sets, held in memory as uint8.

Start with `faces.load_face_data`: it gives patches, photographs and full images of assignment A from the course's
folders, from photographs with boxes, from WIDER FACE, or from the pictures that installed packages carry (`embedded`).

- `imageset`: labelled images of one size.
- `images`, `boxes`: files to arrays, with one clear sentence when a file is bad.
- `faces`: where to start; `photos`: photographs with face boxes and their split by photograph.
- `face_patches`: face and background patches of 48x48 pixels cut from photographs.
- `course`, `wider`: the course's folders, and WIDER FACE.
- `embedded`: face data for a machine that has nothing but its packages.
"""
