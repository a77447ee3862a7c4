"""What can be read in a picture: optical character recognition, and how much of a known text it misses.

Its library is imported when it is first needed, which takes a second.
"""

import io
import math
import unicodedata

from PIL import Image

TRAINED = 262_144
"""Pixels that training scales a picture down to."""


class Reading:
    """An OCR engine; `threads` it may use. Raises ImportError where its library is not installed.

    Finding text at the picture's own size, not at 736 pixels and more, takes a quarter of the time;
    the look for upside-down text is left out.
    """

    def __init__(self, threads: int) -> None:
        import rapidocr

        self._engine = rapidocr.RapidOCR(
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

    def lines(self, picture: Image.Image) -> list[str]:
        """The text in an RGB picture, row by row; none may be found."""
        import numpy

        found = self._engine(numpy.asarray(picture)[:, :, ::-1])  # it takes blue first
        if found.txts is None:
            return []
        return rows(list(zip(found.boxes.tolist(), found.txts, strict=True)))

    def page(self, data: bytes) -> str:
        """The text of an encoded page, at the size that training keeps."""
        return "\n".join(self.lines(scaled(Image.open(io.BytesIO(data)).convert("RGB"))))


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


def scaled(picture: Image.Image) -> Image.Image:
    """The picture as training takes it: no larger than its budget."""
    pixels = picture.width * picture.height
    if pixels <= TRAINED:
        return picture
    factor = math.sqrt(TRAINED / pixels)
    return picture.resize((int(picture.width * factor), int(picture.height * factor)))


def errors(text: str, read: str) -> tuple[int, int]:
    """Characters that are wrong, missing or too many (Levenshtein's distance), and characters of the text.

    Blanks do not count, nor whether a form is wide or narrow (NFKC): neither is seen for sure.
    """
    import numpy as np

    wanted, found = _codes(text), np.array(_codes(read), dtype=np.int64)
    above = np.arange(len(found) + 1)
    for number, code in enumerate(wanted, start=1):
        row = np.minimum(above[:-1] + (found != code), above[1:] + 1)
        row = np.concatenate(([number], row)) - np.arange(len(found) + 1)
        above = np.minimum.accumulate(row) + np.arange(len(found) + 1)
    return int(above[-1]), len(wanted)


def _codes(text: str) -> list[int]:
    return [ord(c) for c in unicodedata.normalize("NFKC", text) if not c.isspace()]
