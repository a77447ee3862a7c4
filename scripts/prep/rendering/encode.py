"""Page encoding: check the margins, trim, add what surrounds the text, colour, and write PNG or JPEG.

Pages come from the engine in greyscale, from paper (255) to ink (0).
"""

import io
import struct
import zlib
from functools import cache

import numpy as np
from isal import isal_zlib
from PIL import Image, ImageColor

from prep.rendering import camera, layout
from prep.rendering.style import PageStyle

_PAPER_LEVEL = 250
"""Grey levels from here on are paper; the edge of a letter in a light colour is darker."""

_SHADES = 16
"""Grey levels of a PNG. With more of them letters look the same and the file is larger by half."""

_INK_MASK = [255 * (grey < _PAPER_LEVEL) for grey in range(256)]
_LEVELS = [round(grey / 255 * (_SHADES - 1)) for grey in range(256)]


def has_clean_margins(page: np.ndarray | Image.Image, margin: int) -> bool:
    """Whether the outer half of the margins is empty. If it is not, something overflows the page."""
    shades = np.asarray(page)
    edge = margin // 2
    sides = (shades[:edge], shades[-edge:], shades[:, :edge], shades[:, -edge:])
    return all(side.min() >= _PAPER_LEVEL for side in sides)


def trim_end(page: Image.Image, margin: int) -> Image.Image:
    """Crop the empty part below the text."""
    drawn = page.point(_INK_MASK).getbbox()
    bottom = drawn[3] + margin if drawn else page.height
    return page.crop((0, 0, page.width, min(bottom, page.height)))


def encode_page(page: Image.Image, style: PageStyle) -> bytes:
    """Colour a greyscale page and encode it: as JPEG where the style has a quality for one, else as PNG."""
    page = layout.add_texture(page, style.texture)
    page = layout.add_layout(page, style.layout, style.margin)
    if style.effects:
        page = camera.photograph(page, style.effects, style.number, style.margin)
    return _encode_png(page, style) if style.jpeg is None else _encode_jpeg(page, style)


def _encode_jpeg(page: Image.Image, style: PageStyle) -> bytes:
    """Encode without chroma subsampling, which would blur the letters' edges."""
    buffer = io.BytesIO()
    coloured = page.copy()
    coloured.putpalette(_palette(style.paper, style.ink, 256))
    coloured.convert("RGB").save(buffer, "JPEG", quality=style.jpeg, subsampling=0)
    return buffer.getvalue()


def _encode_png(page: Image.Image, style: PageStyle) -> bytes:
    """Encode with a palette and four bits a pixel (PNG specification, 3rd edition, 11.2).

    Pillow's writer takes six times as long.
    """
    shades = page.point(_LEVELS)
    palette = _palette(style.paper, style.ink, _SHADES)
    shades.putpalette(palette)
    filtered = (page.width + 1) // 2 + 1  # a row and the byte that names its filter; 0 is none
    rows = b"\0" + shades.tobytes("raw", "P;4", filtered)[:-1]
    header = struct.pack(">2I5B", *page.size, 4, 3, 0, 0, 0)  # four bits a pixel, from a palette
    data = isal_zlib.compress(rows, 1)  # unlike level 3, the same bytes with and without AVX-512
    chunks = {b"IHDR": header, b"PLTE": palette, b"IDAT": data, b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


@cache
def _palette(paper: str, ink: str, shades: int) -> bytes:
    """Red, green and blue of `shades` even steps from ink to paper."""
    ends = list(zip(ImageColor.getrgb(ink), ImageColor.getrgb(paper), strict=True))
    return bytes(
        round(dark + (light - dark) * shade / (shades - 1)) for shade in range(shades) for dark, light in ends
    )
