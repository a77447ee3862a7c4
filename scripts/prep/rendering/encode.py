"""A drawn page as a picture: its margins, the empty part under its text, its paper, its file format.

Pages come from the engine in shades of grey, from paper (255) to ink (0).
"""

import io
import struct
import zlib
from functools import cache

import numpy as np
from isal import isal_zlib
from PIL import Image, ImageColor

from prep.rendering.style import Look

_LIGHTEST = 250
"""What is lighter is paper, and not even the edge of a letter in a light colour."""

_SHADES = 16
"""In a PNG: letters look the same with more, and the file is larger by half."""

_FAINT = 238
"""A texture's shade: the lightest that a PNG has besides paper."""

_ALL = slice(None)
_DOTS = [slice(first, None, 24) for first in (11, 12)]
_TEXTURES = {
    "ruled": [(slice(29, None, 30), _ALL)],
    "grid": [(slice(None, None, 32), _ALL), (_ALL, slice(None, None, 32))],
    "dots": [(rows, columns) for rows in _DOTS for columns in _DOTS],
}
"""The rows and columns of pixels that are faint: lines, or dots of two by two."""

_IS_DRAWN = [255 * (grey < _LIGHTEST) for grey in range(256)]
_SHADE = [round(grey / 255 * (_SHADES - 1)) for grey in range(256)]


def has_clean_margins(page: Image.Image, margin: int) -> bool:
    """Whether the outer half of the margins is empty: if it is not, something lies beyond the page."""
    width, height = page.size
    edge = margin // 2
    sides = [(0, 0, edge, height), (width - edge, 0, width, height)]
    sides += [(0, 0, width, edge), (0, height - edge, width, height)]
    return all(page.crop(box).getextrema()[0] >= _LIGHTEST for box in sides)


def trimmed(page: Image.Image, margin: int) -> Image.Image:
    """The page without the empty part under its text."""
    drawn = page.point(_IS_DRAWN).getbbox()
    bottom = drawn[3] + margin if drawn else page.height
    return page.crop((0, 0, page.width, min(bottom, page.height)))


def encoded(page: Image.Image, look: Look) -> bytes:
    """The page on its paper, in its ink: a JPEG if the look has a quality for it, else a PNG."""
    page = _textured(page, look.texture)
    return _png(page, look) if look.jpeg is None else _jpeg(page, look)


def _textured(page: Image.Image, texture: str) -> Image.Image:
    if texture == "plain":
        return page
    shades = np.array(page)
    for rows, columns in _TEXTURES[texture]:
        part = shades[rows, columns]
        np.minimum(part, _FAINT, out=part)
    return Image.fromarray(shades)


def _jpeg(page: Image.Image, look: Look) -> bytes:
    """Its colours are not subsampled, which would blur the letters' edges."""
    buffer = io.BytesIO()
    coloured = page.copy()
    coloured.putpalette(_palette(look.paper, look.ink, 256))
    coloured.convert("RGB").save(buffer, "JPEG", quality=look.jpeg, subsampling=0)
    return buffer.getvalue()


def _png(page: Image.Image, look: Look) -> bytes:
    """With a palette, and half a byte a pixel (PNG specification, 3rd edition, 11.2).

    Written here, since Pillow's writer takes six times as long.
    """
    shades = page.point(_SHADE)
    palette = _palette(look.paper, look.ink, _SHADES)
    shades.putpalette(palette)
    filtered = (page.width + 1) // 2 + 1  # a row and the byte that names its filter: none, which is 0
    rows = b"\0" + shades.tobytes("raw", "P;4", filtered)[:-1]
    header = struct.pack(">2I5B", *page.size, 4, 3, 0, 0, 0)  # four bits a pixel, from a palette
    data = isal_zlib.compress(rows, 1)  # with AVX-512 and without the same bytes, unlike level 3
    chunks = {b"IHDR": header, b"PLTE": palette, b"IDAT": data, b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


@cache
def _palette(paper: str, ink: str, shades: int) -> bytes:
    """Red, green and blue of so many shades, in even steps from ink to paper."""
    ends = list(zip(ImageColor.getrgb(ink), ImageColor.getrgb(paper), strict=True))
    return bytes(
        round(dark + (light - dark) * shade / (shades - 1)) for shade in range(shades) for dark, light in ends
    )
