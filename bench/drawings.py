"""What the rendering is measured against: the bare engine in a loop, and Pillow drawing the same lines."""

import argparse
import io
import json
import re
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from prep.rendering import encode, fonts
from prep.rendering.engine import Engine
from prep.rendering.style import Look

PROCESSES = 2

_WORD = re.compile("[^\u2e80-\uffff\\s]+[^\\S\n]*|\\s|.", re.DOTALL)


@cache
def engine() -> Engine:
    """The one engine of a process."""
    return Engine(fonts.Fonts())


def draw_bare(line: str) -> int:
    """Draw a document that was drawn before, to its file format; its bytes are counted."""
    document, chosen = json.loads(line)
    return sum(len(encode.encoded(page, Look(**chosen))) for page in engine().draw(document))


def font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A face of Pillow's, with the shaping that it chooses itself."""
    return ImageFont.truetype(path, size)


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text's lines, none wider than `width` pixels unless it is one word."""
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


def draw_by_pillow(
    lines: list[str], face: ImageFont.FreeTypeFont, style: dict, chosen: Look, extent: tuple[int, int]
) -> bytes:
    """The lines on a page of this extent, in a page's style and look, as a PNG at Pillow's defaults."""
    page = Image.new("RGB", extent, chosen.paper)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        top = style["margin"] + number * (style["rise"] + style["leading"])
        draw.text((style["margin"], top), line, fill=chosen.ink, font=face)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("documents", type=Path, help="a document and its look on each line")
    lines = flags.parse_args().documents.read_text("utf-8").splitlines()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        print(sum(pool.map(draw_bare, lines, chunksize=16)))


if __name__ == "__main__":
    main()
