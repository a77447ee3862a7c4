"""Image formats that may be decoded, Pillow's pixel limit, and the EXIF orientation."""

from PIL import ExifTags, Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
"""The only decoders that a picture is ever handed to (Pillow's EPS reader, for one, calls a program)."""

PILLOW_MAX_PIXELS = 89_478_485
"""Pillow's own limit, 256 MB of RGB; `images.max_pixels` in config.yaml begins with the same."""


def has_orientation(picture: Image.Image) -> bool:
    """Whether `datasets` turns a loaded picture before anyone sees it (ImageOps.exif_transpose).

    See `Image.decode_example` in datasets/features/image.py, which is the same since version 2.21. Raises
    whatever Pillow raises on broken metadata, which ends a training.
    """
    return picture.getexif().get(ExifTags.Base.Orientation) is not None
