"""A drawn page as a picture: its extent, its margins, the empty part under its text, its file format."""

import io

from PIL import Image

from prep.drawing.look import Look


def extent(png: bytes) -> tuple[int, int]:
    """Width and height from a PNG's header (IHDR comes first, PNG specification 11.2.2)."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def has_clean_margins(png: bytes, look: Look) -> bool:
    """Whether the outer half of the margins holds no ink: if it does, something lies beyond the page."""
    page = Image.open(io.BytesIO(png)).convert("L")
    width, height = page.size
    edge = look.margin // 2
    paper, ink = (_grey(colour) for colour in (look.paper, look.ink))
    sides = [(0, 0, edge, height), (width - edge, 0, width, height), (0, 0, width, edge)]
    extrema = [page.crop(box).getextrema() for box in (*sides, (0, height - edge, width, height))]
    furthest = max(abs(grey - paper) for pair in extrema for grey in pair)
    return furthest <= abs(ink - paper) / 2


def trimmed(png: bytes, look: Look) -> bytes:
    """The page without the empty part under its text."""
    page = Image.open(io.BytesIO(png)).convert("RGB")
    paper, ink = _grey(look.paper), _grey(look.ink)
    text = page.convert("L").point(lambda grey: 255 * (abs(grey - paper) > abs(ink - paper) / 2)).getbbox()
    bottom = text[3] + look.margin if text else page.height
    if bottom >= page.height:
        return png
    buffer = io.BytesIO()
    # The least effort: more takes twice the time, and a drawn page gets no smaller by it.
    page.crop((0, 0, page.width, bottom)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def jpeg(png: bytes, quality: int) -> bytes:
    """The page as JPEG, its colours not subsampled, which would blur the letters' edges."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _grey(colour: str) -> int:
    return Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))
