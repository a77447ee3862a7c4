"""Synthetic document photographs: pages of text on a desk, drawn deterministically with Pillow."""

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from fonts import is_chinese, load_font
from photographs import load_photograph

WIDTHS = [400, 480, 560]
SIZES = [20, 22, 21, 24]
TILTS = [0, -1.4, 1, 0.6, -0.8]
PAPERS = ["#fdfcf7", "#f6efe0", "#ffffff", "#eef3f7"]
INKS = ["#1d1d1f", "#22304f", "#40291f"]
DESKS = [
    ("grass.png", "#1f3d1f", "#b9d6a3"),
    ("brick.png", "#4a1f16", "#e0b8a0"),
    ("gravel.png", "#2c2c30", "#d4d0c8"),
    ("coffee.png", "#2b2440", "#cfc8dd"),
]
"""Background photographs, with the colours that replace black and white."""


def draw_page(number: int, title: str, text: str, traditional: bool = False) -> Image.Image:
    """A sheet of paper with a heading and a text, as if photographed on a desk.

    Its width (pixels), letters, colours, desk and tilt (degrees) follow from the number, its height from
    the text. Chinese punctuation stands low and left unless the text is in traditional characters.
    """
    paper = draw_paper(number, title, text, traditional)
    # A transparent rim antialiases the edges when the page is rotated.
    paper = ImageOps.expand(paper, 2, (*paper.getpixel((0, 0))[:3], 0))
    paper = paper.rotate(TILTS[number % len(TILTS)], Image.Resampling.BICUBIC, expand=True)
    border = 36
    desk = make_desk(number, (paper.width + 2 * border, paper.height + 2 * border))
    shadow = Image.new("L", desk.size)
    shadow.paste(paper.getchannel("A").point(lambda alpha: alpha * 0.6), (border + 5, border + 7))
    desk.paste("black", mask=shadow.filter(ImageFilter.GaussianBlur(6)))
    desk.paste(paper, (border, border), paper)
    return desk


def draw_paper(number: int, title: str, text: str, traditional: bool) -> Image.Image:
    """The paper alone, not rotated."""
    size, width = SIZES[number % len(SIZES)], WIDTHS[number % len(WIDTHS)]
    chinese, margin, leading = is_chinese(title + text), 2 * size, round(1.55 * size)
    heading, body = load_font(size * 4 // 3, bold=True, chinese=chinese), load_font(size, chinese=chinese)
    headlines = wrap_text(title, heading, width - 2 * margin)
    lines = wrap_text(text, body, width - 2 * margin)
    height = 2 * margin + leading * (len(lines) + 2 * len(headlines))
    paper = Image.new("RGBA", (width, max(height, 260)), PAPERS[number % len(PAPERS)])
    draw, ink, top = ImageDraw.Draw(paper), INKS[number % len(INKS)], margin
    low_marks = chinese and not traditional
    for line in headlines:
        draw_line(draw, (margin, top), line, heading, ink, low_marks, stroke=0.5 if chinese else 0)
        top += 2 * leading
    for line in lines:
        draw_line(draw, (margin, top), line, body, ink, low_marks)
        top += leading
    return paper


def draw_line(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    line: str,
    face: ImageFont.FreeTypeFont,
    ink: str,
    low_marks: bool,
    stroke: float = 0,
) -> None:
    """Draw a line of text from its upper left corner; `stroke` stands in for a missing bold face.

    The font centres Chinese stops and commas in their squares, as Taiwan does; `low_marks` moves them to
    the lower left corner, where the mainland has them.
    """
    if not low_marks:
        draw.text(place, line, ink, face, stroke_width=stroke)
        return
    left, top = place
    for character in line:
        across, down = MARKS.get(character, (0, 0))
        moved = (left + across * face.size, top + down * face.size)
        draw.text(moved, character, ink, face, stroke_width=stroke)
        left += face.getlength(character)


MARKS = {"，": (-0.3, 0.3), "。": (-0.3, 0.3), "、": (-0.3, 0.3), "：": (-0.3, 0), "；": (-0.3, 0)}
"""The offset of a mark in em: to the right, and down."""


def make_desk(number: int, size: tuple[int, int]) -> Image.Image:
    """A coloured, slightly blurred texture of the size."""
    name, dark, light = DESKS[number % len(DESKS)]
    texture = ImageOps.fit(load_photograph(name).convert("L"), size).filter(ImageFilter.GaussianBlur(1.5))
    return ImageOps.colorize(texture, dark, light)


def wrap_text(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Wrap a text into lines of at most `width`; Chinese may break anywhere but before a closing mark."""
    lines, line = [], ""
    for piece in split_text(text):
        if line and face.getlength((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def split_text(text: str) -> list[str]:
    """Split a text at break opportunities: words with their space, Chinese characters with closing marks."""
    found: list[str] = []
    for character in text:
        closing = character in "，。、；：！？”）》 "
        if found and (closing or joins(found[-1][-1], character)):
            found[-1] += character
        else:
            found.append(character)
    return found


def joins(last: str, character: str) -> bool:
    """Whether a character continues the piece that ends in `last`."""
    return last in "“（《" or (last.isascii() and character.isascii() and last != " ")
