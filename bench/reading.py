"""How well drawn pages can be read: an OCR engine reads them at the size that training keeps."""

import io
import math
import sys
import unicodedata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import numpy as np
from PIL import Image

from embedded import reader

TRAINED = 262_144
"""Pixels that training scales a picture down to."""


class Reading:
    """An OCR engine that reads pages; `threads` it may use."""

    def __init__(self, threads: int) -> None:
        self._engine = reader._engine(threads)

    def read(self, page: bytes) -> str:
        """The text of an encoded page, row by row."""
        picture = scaled(Image.open(io.BytesIO(page)).convert("RGB"))
        found = self._engine(np.asarray(picture)[:, :, ::-1])
        if found.txts is None:
            return ""
        return "\n".join(reader.rows(list(zip(found.boxes.tolist(), found.txts, strict=True))))


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
    wanted, found = (_codes(one) for one in (text, read))
    above = np.arange(len(found) + 1)
    for number, code in enumerate(wanted, start=1):
        row = np.minimum(above[:-1] + (found != code), above[1:] + 1)
        row = np.concatenate(([number], row)) - np.arange(len(found) + 1)
        above = np.minimum.accumulate(row) + np.arange(len(found) + 1)
    return int(above[-1]), len(wanted)


def _codes(text: str) -> np.ndarray:
    return np.array([ord(c) for c in unicodedata.normalize("NFKC", text) if not c.isspace()], dtype=np.int64)
