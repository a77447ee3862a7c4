"""Page layouts and textures: what is drawn in a greyscale page's margins and behind its text.

They are drawn once the text stands, in the margins that a layout asks for (style.LAYOUTS), so that they cost
the text no room. Every shade is one of a PNG's sixteen, and none covers ink.
"""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageChops, ImageDraw

FAINT = 238
"""The shade behind text: the lightest of a PNG besides paper."""

_BAR, _BUTTON, _LINE, _DARK = 221, 204, 170, 119
"""Shades of what stands in the margins."""

_ALL = slice(None)
_DOTS = [slice(first, None, 24) for first in (11, 12)]
_PITCH, _BELOW, _ABOVE = 30, 6, 8
"""In pixels: between ruled lines without text; from text to the one below it at most; to the one above it."""

_TEXTURES = {
    "grid": [(slice(None, None, 32), _ALL), (_ALL, slice(None, None, 32))],
    "dots": [(rows, columns) for rows in _DOTS for columns in _DOTS],
}
"""The rows and columns of pixels that have the texture's shade: lines, or dots of two by two."""


def add_texture(page: Image.Image, texture: str) -> Image.Image:
    """The page with a texture behind its text."""
    if texture == "plain":
        return page
    shades = np.array(page)
    ruled = ((row, _ALL) for row in _find_rules(shades))
    for rows, columns in ruled if texture == "ruled" else _TEXTURES[texture]:
        part = shades[rows, columns]
        np.minimum(part, FAINT, out=part)
    return Image.fromarray(shades)


def _find_rules(shades: np.ndarray) -> Iterator[int]:
    """The rows of ruled lines: one below each line of text, none across it, and more where there is none."""
    is_blank = np.concatenate(([False], shades.min(axis=1) == 255, [False]))
    edges = np.flatnonzero(is_blank[1:] != is_blank[:-1]).tolist()
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        first = start + min(_BELOW, (end - start) // 2) if start else _PITCH - 1
        last = end - _ABOVE if end < len(shades) else end
        if start and end - start > 2:
            yield first
            first += _PITCH
        yield from range(first, last, _PITCH)


def add_layout(page: Image.Image, layout: str, margin: int) -> Image.Image:
    """The page within its layout; a plain page and an exam's text stand alone."""
    if layout not in _LAYOUTS:
        return page
    if layout == "notebook":
        page = add_texture(page, "ruled")
    ground = Image.new("L", page.size, 255)
    _LAYOUTS[layout](ImageDraw.Draw(ground), *page.size, margin)
    return ImageChops.darker(page, ground)


def _draw_exam(draw: ImageDraw.ImageDraw, width: int, height: int, margin: int) -> None:
    """The binding line of a sheet: dashes in the left margin."""
    x = margin // 3
    for y in range(0, height, 14):
        draw.line((x, y, x, y + 8), fill=_LINE)


def _draw_screenshot(draw: ImageDraw.ImageDraw, width: int, height: int, margin: int) -> None:
    """A window: three buttons and an address in a title bar, and a frame."""
    bar = margin - 13
    middle = bar // 2
    draw.rectangle((0, 0, width - 1, bar), fill=_BAR)
    for number in range(3):
        x = 12 + 15 * number
        draw.ellipse((x - 4, middle - 4, x + 4, middle + 4), fill=_BUTTON)
    draw.rounded_rectangle((62, 4, max(70, width - 16), bar - 4), radius=5, fill=255)
    draw.line((0, bar, width, bar), fill=_LINE)
    draw.rectangle((0, 0, width - 1, height - 1), outline=_LINE)


def _draw_chat(draw: ImageDraw.ImageDraw, width: int, height: int, margin: int) -> None:
    """A speech bubble with its tail."""
    edge = margin // 3
    bottom = height - 1 - edge
    tail = [(edge + 14, bottom), (edge + 6, height - 1), (edge + 34, bottom)]
    draw.polygon(tail, fill=FAINT)
    draw.rounded_rectangle((edge, edge, width - 1 - edge, bottom), radius=12, fill=FAINT)


def _draw_notebook(draw: ImageDraw.ImageDraw, width: int, height: int, margin: int) -> None:
    """The line of the left margin, and the binding's cuts, for round holes look like letters."""
    draw.line((margin - 8, 0, margin - 8, height), fill=_LINE)
    for y in range(8, height - 8, 24):
        draw.rectangle((0, y, 6, y + 7), fill=_BAR)


def _draw_slide(draw: ImageDraw.ImageDraw, width: int, height: int, margin: int) -> None:
    """A band above, and a rule below."""
    draw.rectangle((0, 0, width - 1, margin // 3), fill=_DARK)
    y = height - margin // 3
    draw.rectangle((margin, y, width - margin, y + 1), fill=_LINE)


def _draw_card(draw: ImageDraw.ImageDraw, width: int, height: int, margin: int) -> None:
    """A frame with round corners."""
    edge = margin // 3
    box = (edge, edge, width - 1 - edge, height - 1 - edge)
    draw.rounded_rectangle(box, radius=10, outline=_LINE, width=2)


_LAYOUTS: dict[str, Callable[[ImageDraw.ImageDraw, int, int, int], None]] = {
    "exam": _draw_exam,
    "screenshot": _draw_screenshot,
    "chat": _draw_chat,
    "notebook": _draw_notebook,
    "slide": _draw_slide,
    "card": _draw_card,
}
