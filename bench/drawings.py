"""Baselines of the rendering benchmark: the bare engine in a loop, and Pillow with the same lines."""

import argparse
import contextlib
import io
import json
import re
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import typst
from PIL import Image, ImageDraw, ImageFont

from prep.rendering import encode, fonts
from prep.rendering.engine import Engine
from prep.rendering.style import PageStyle

PROCESSES = 2

_WORD = re.compile("[^\u2e80-\uffff\\s]+[^\\S\n]*|\\s|.", re.DOTALL)


@cache
def engine() -> Engine:
    """The one engine of a process."""
    return Engine(fonts.Fonts())


def render_bare(line: str) -> int:
    """Render and encode a recorded document; the number of bytes."""
    document, page_style = json.loads(line)
    return sum(len(encode.encode_page(page, PageStyle(**page_style))) for page in engine().render(document))


def load_font(info: typst.FontInfo, size: int, weight: int) -> ImageFont.FreeTypeFont:
    """A Pillow font with its default layout engine, in this weight if it is variable."""
    font = ImageFont.truetype(info.path, size, info.index)
    with contextlib.suppress(OSError):  # it is not variable
        axes = font.get_variation_axes()
        font.set_variation_by_axes(
            [weight if axis["name"] == b"Weight" else axis["default"] for axis in axes]
        )
    return font


def wrap_text(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text into lines of at most `width` pixels; a wider word stays whole."""
    lines = []
    for part in text.expandtabs(4).split("\n"):
        line = ""
        for word in _WORD.findall(part):
            if line and face.getlength(line + word.rstrip()) > width:
                lines.append(line)
                line = word
            else:
                line += word
        lines.append(line)
    return lines


def render_by_pillow(
    lines: list[str],
    face: ImageFont.FreeTypeFont,
    style: dict,
    page_style: PageStyle,
    extent: tuple[int, int],
) -> bytes:
    """Render lines on a page of this extent, as a PNG at Pillow's defaults."""
    page = Image.new("RGB", extent, page_style.paper)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        top = style["margin"] + number * (style["rise"] + style["leading"])
        draw.text((style["margin"], top), line, fill=page_style.ink, font=face)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("documents", type=Path, help="a document and its page style on each line")
    lines = flags.parse_args().documents.read_text("utf-8").splitlines()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        print(sum(pool.map(render_bare, lines, chunksize=16)))


if __name__ == "__main__":
    main()
