"""What can be read in a picture: optical character recognition in place of eyes."""

import base64
import binascii
import io
import threading
from typing import Any

from PIL import Image

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
_PIXELS = 89_478_485
"""The most pixels that are decoded: Pillow's own limit."""
_LONGEST, _SHORTEST = 1600, 240
"""Limits of a picture's longer side before reading: time above, letters too small to be found below."""
_CHARACTERS = 400
"""The most text that is passed on: the model takes 10 ms for each token of it on one thread."""


class UnreadablePicture(ValueError):
    """A picture that cannot be had: not sent in the request, not a format we read, broken, too large."""


class Reader:
    """Reads pictures, one at a time; the recognition models are loaded at the first."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._engine: Any = None

    def read(self, url: str) -> str:
        """The text in the picture of a data URL, row by row, cut after some 400 characters; may be empty.

        Raises UnreadablePicture; ImportError where the recognition library is not installed.
        """
        with self._lock:
            picture = _fitted(_decoded(url))
            if self._engine is None:
                self._engine = _engine(self._threads)
            found = self._engine(_array(picture))
        if found.txts is None:
            return ""
        return _cut(rows(list(zip(found.boxes.tolist(), found.txts, strict=True))))


def rows(found: list[tuple[list[list[float]], str]]) -> list[str]:
    """Sort (four corners, text) into rows from the top, each from the left, joined by spaces.

    A text belongs to a row when its centre is less than half the height of the row's first text away.
    """
    spans = []
    for corners, text in found:
        heights = [y for _, y in corners]
        spans.append(((min(heights) + max(heights)) / 2, max(heights) - min(heights), corners[0][0], text))
    grouped: list[list[tuple[float, float, float, str]]] = []
    for span in sorted(spans):
        if grouped and span[0] - grouped[-1][0][0] < grouped[-1][0][1] / 2:
            grouped[-1].append(span)
        else:
            grouped.append([span])
    return [" ".join(text for *_, text in sorted(row, key=lambda span: span[2])) for row in grouped]


def _cut(lines: list[str]) -> str:
    """The lines as one text, without those that go beyond the limit."""
    text = ""
    for line in lines:
        if len(text) + len(line) > _CHARACTERS:
            return text + "…"
        text += line + "\n"
    return text.rstrip("\n")


def _decoded(url: str) -> Image.Image:
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        raise UnreadablePicture("send it in the request, as data:image/…;base64,…")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise UnreadablePicture("its base64 is broken") from None
    try:
        picture = Image.open(io.BytesIO(content), formats=_FORMATS)
        if picture.width * picture.height > _PIXELS:
            raise UnreadablePicture(f"it has more than {_PIXELS} pixels")
        picture.draft("RGB", (_LONGEST, _LONGEST))
        picture.load()
    except UnreadablePicture:
        raise
    except Exception as error:  # Decoders meet broken files with nearly any exception.
        raise UnreadablePicture(f"it does not decode as one of {', '.join(_FORMATS)}") from error
    return picture


def _fitted(picture: Image.Image) -> Image.Image:
    """The picture in RGB, on white where it is transparent, its longer side within the limits."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    longest = max(picture.size)
    scale = min(max(longest, _SHORTEST), _LONGEST) / longest
    if scale == 1:
        return picture
    return picture.resize([max(1, round(side * scale)) for side in picture.size])


def _array(picture: Image.Image) -> Any:
    """The picture as the engine takes it: rows of pixels, blue first."""
    import numpy

    return numpy.asarray(picture)[:, :, ::-1]


def _engine(threads: int) -> Any:
    """The recognition engine. Its import takes a second, so it waits for the first picture.

    Finding text at the picture's own size, not at 736 pixels and more, takes a quarter of the time;
    the look for upside-down text is left out.
    """
    import rapidocr

    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": 960,
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
