"""Optical character recognition, and the distance between a text and what is read of it.

The OCR library is imported on first use, since that takes a second.
"""

import io
import math
import re
import unicodedata
from collections import Counter

from PIL import Image

_EXAM_HEADER = re.compile(r"(Question\s*\d+\s*\(\d+\s*points\)|第\s*\d+\s*题\s*[(（]\d+\s*分[)）])\s*(\n|\Z)")
"""The header that the exam layout puts above a question (prep.rendering.style)."""


class OcrEngine:
    """RapidOCR with `threads` threads; raises ImportError where it is not installed.

    Text is detected at the picture's own size, not at 736 pixels and more, which takes a quarter of the time.
    Upside-down text is not looked for.
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

    def read_lines(self, picture: Image.Image) -> list[str]:
        """The text in an RGB picture, row by row; none may be found."""
        import numpy

        found = self._engine(numpy.asarray(picture)[:, :, ::-1])  # it takes blue first
        if found.txts is None:
            return []
        return group_rows(list(zip(found.boxes.tolist(), found.txts, strict=True)))

    def read_page(self, data: bytes, max_pixels: int) -> str:
        """The text of an encoded page, scaled down to `max_pixels` as training does; no exam's header."""
        lines = self.read_lines(scale_down(Image.open(io.BytesIO(data)).convert("RGB"), max_pixels))
        return drop_exam_header("\n".join(lines))


def drop_exam_header(read: str) -> str:
    """What was read of a page, without the line that an exam has above a question."""
    header = _EXAM_HEADER.match(read)
    return read[header.end() :] if header else read


def group_rows(found: list[tuple[list[list[float]], str]]) -> list[str]:
    """Group (four corners, text) into rows from top to bottom; the texts of a row are joined by spaces.

    A text belongs to a row if its centre is within half the height of the row's first text.
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


def scale_down(picture: Image.Image, max_pixels: int) -> Image.Image:
    """The picture with at most `max_pixels` pixels."""
    factor = math.sqrt(max_pixels / (picture.width * picture.height))
    if factor >= 1:
        return picture
    return picture.resize((int(picture.width * factor), int(picture.height * factor)))


def count_errors(text: str, read: str, insertion: int = 1) -> tuple[int, int]:
    """The Levenshtein distance between a text and what was read, and the number of characters in the text.

    `insertion` is the cost of each character that was read and is not in the text.
    Blanks and compatibility forms (NFKC), such as wide letters, are ignored: OCR does not tell them apart.
    """
    from rapidfuzz.distance import Levenshtein

    wanted = _normalise(text)
    return Levenshtein.distance(wanted, _normalise(read), weights=(insertion, 1, 1)), len(wanted)


def count_unread(text: str, read: str) -> tuple[int, int]:
    """How many letters and digits of a text were not read, in any order, and how many there are.

    Tables and formulas have no order that OCR keeps. Their signs and Greek letters are unknown to it.
    """
    wanted, found = (Counter(filter(is_known, _normalise(each))) for each in (text, read))
    return (wanted - found).total(), wanted.total()


def is_known(character: str) -> bool:
    """Whether a character is a letter or digit of English or Chinese, which OCR knows."""
    return character.isalnum() and (character < "\u0250" or "\u4e00" <= character <= "\u9fff")


def _normalise(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
