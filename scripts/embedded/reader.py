"""OCR of the pictures in a request."""

import base64
import binascii
import io
import threading

from PIL import Image

from prep.records.image_format import FORMATS, PILLOW_MAX_PIXELS
from prep.report.ocr import OcrEngine

_LONGEST_PX, _SHORTEST_PX = 1600, 240
"""Limits of a picture's longer side: above it takes too long, below letters are too small."""
_MAX_CHARS = 400
"""Of the text that is passed on: the model takes 10 ms for each token on one thread."""


class UnreadablePicture(ValueError):
    """A picture that cannot be read: not in the request, of another format, broken, or too large."""


class Reader:
    """Reads pictures, one at a time. The first loads the OCR models."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._engine: OcrEngine | None = None

    def read(self, url: str) -> str:
        """Return the text in the picture of a data URL, row by row, up to 400 characters; it may be empty.

        Raises UnreadablePicture; ImportError where the recognition library is not installed.
        """
        with self._lock:
            picture = _resize_picture(_decode_picture(url))
            if self._engine is None:
                self._engine = OcrEngine(self._threads)
            return _truncate_lines(self._engine.read_lines(picture))


def _truncate_lines(lines: list[str]) -> str:
    """Join the lines that fit into the limit."""
    text = ""
    for line in lines:
        if len(text) + len(line) > _MAX_CHARS:
            return text + "…"
        text += line + "\n"
    return text.rstrip("\n")


def _decode_picture(url: str) -> Image.Image:
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        raise UnreadablePicture("send it in the request, as data:image/…;base64,…")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise UnreadablePicture("its base64 is broken") from None
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
        if picture.width * picture.height > PILLOW_MAX_PIXELS:
            raise UnreadablePicture(f"it has more than {PILLOW_MAX_PIXELS} pixels")
        picture.draft("RGB", (_LONGEST_PX, _LONGEST_PX))
        picture.load()
    except UnreadablePicture:
        raise
    except Exception as error:  # Decoders meet broken files with nearly any exception.
        raise UnreadablePicture(f"it does not decode as one of {', '.join(FORMATS)}") from error
    return picture


def _resize_picture(picture: Image.Image) -> Image.Image:
    """Return the picture in RGB, on white where it is transparent, its longer side within the limits."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    longest = max(picture.size)
    scale = min(max(longest, _SHORTEST_PX), _LONGEST_PX) / longest
    if scale == 1:
        return picture
    return picture.resize([max(1, round(side * scale)) for side in picture.size])
