"""Glyph geometry: which characters of a PDF are too small, overlap, or cross the page's edge.

PDFium says where the ink of each character stands. OCR cannot read formulas, and so this tells whether a
reader could. Pixels are points, as in prep.rendering.engine.
"""

import contextlib
import ctypes
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

import pypdfium2
from pypdfium2 import raw as pdfium

from prep.rendering.fonts import is_visible

SMALLEST = 0.5
"""The font size of an index of an index, as a share of the formula's."""
OVERLAP = 0.5
"""The share of the smaller character's box that may be covered: a Q's tail reaches below its neighbour."""
_OVERLAPPING = re.compile("[Q√∛∜∫-∳—\ud83c-\ud83e\u0590-\u109f\u1200-\u1cff]")
"""Tails, roots, integrals, dashes, emoji, and scripts whose letters are joined or stand above others."""


@dataclass(frozen=True)
class Glyph:
    """A character, the box of its ink (left, bottom, right, top), and its font size."""

    character: str
    box: tuple[float, float, float, float]
    size: float


def find_faults(pdf: bytes, smallest_px: float) -> tuple[list[str], int]:
    """What is wrong with characters of a document, in words, and how many characters there are."""
    faults, count = [], 0
    with contextlib.closing(pypdfium2.PdfDocument(pdf)) as document:
        for page in document:
            glyphs = list(read_glyphs(page))
            count += len(glyphs)
            faults += _find_faults(glyphs, *page.get_size(), smallest_px)
    return faults, count


def read_glyphs(page: pypdfium2.PdfPage) -> Iterator[Glyph]:
    """The characters with ink on a page."""
    text = page.get_textpage()
    matrix = pdfium.FS_MATRIX()
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    for at in range(text.count_chars()):
        code = pdfium.FPDFText_GetUnicode(text, at)
        is_second_half = 0xDC00 <= code < 0xE000  # of a character in UTF-16
        if is_second_half or pdfium.FPDFText_IsGenerated(text, at) or not is_visible(chr(code)):
            continue
        pdfium.FPDFText_GetMatrix(text, at, matrix)
        pdfium.FPDFText_GetCharBox(text, at, left, right, bottom, top)
        size = pdfium.FPDFText_GetFontSize(text, at) * math.hypot(matrix.c, matrix.d)
        yield Glyph(chr(code), (left.value, bottom.value, right.value, top.value), size)


def _find_faults(glyphs: list[Glyph], width: float, height: float, smallest_px: float) -> Iterator[str]:
    for glyph in glyphs:
        left, bottom, right, top = glyph.box
        if glyph.size < SMALLEST * smallest_px - 0.01:
            yield f"{glyph.character} has {glyph.size:.1f} pixels"
        if left < 0 or bottom < 0 or right > width or top > height:
            yield f"{glyph.character} crosses the page's edge"
    apart = sorted((g for g in glyphs if not _may_overlap(g.character)), key=lambda glyph: glyph.box)
    for number, glyph in enumerate(apart, 1):
        for other in takewhile(
            lambda other, end=glyph.box[2]: other.box[0] < end, islice(apart, number, None)
        ):
            if _measure_overlap(glyph.box, other.box) > OVERLAP:
                yield f"{other.character} overlaps {glyph.character}"


def _may_overlap(character: str) -> bool:
    return bool(_OVERLAPPING.match(character)) or unicodedata.category(character)[0] == "M"


def _measure_overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The share of the smaller box that the other one covers; one glyph may stand for two characters."""
    if one == other:
        return 0.0
    across = min(one[2], other[2]) - max(one[0], other[0])
    if across <= 0:
        return 0.0
    down = min(one[3], other[3]) - max(one[1], other[1])
    if down <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return across * down / max(min(areas), 1e-6)
