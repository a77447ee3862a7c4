"""Synthetic charts, tables, geometry and signs, drawn deterministically with Pillow.

They are supersampled: drawn at DETAIL times their size and scaled down. Numbers are pixels of the final
picture unless a name says otherwise.
"""

from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from fonts import is_chinese, load_font

DETAIL = 2
INK = "#222222"
LINE = "#555555"
COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2"]


def draw_figure(number: int, figure: dict[str, Any]) -> Image.Image:
    """Draw an entry of texts/figures.toml; the number sets the colours of a sign."""
    if "bars" in figure:
        draw_bars = draw_horizontal_bars if figure.get("lying") else draw_vertical_bars
        return draw_bars(figure["title"], figure["bars"])
    if "head" in figure:
        return draw_table(figure["head"], figure["rows"])
    if "word" in figure:
        return draw_sign(number, figure["word"])
    if "circle" in figure:
        return draw_circle(**figure["circle"])
    return draw_polygon(figure)


def make_canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white picture to draw on at DETAIL times the size."""
    image = Image.new("RGB", (width * DETAIL, height * DETAIL), "white")
    return image, ImageDraw.Draw(image)


def finish(image: Image.Image) -> Image.Image:
    """Scale the picture down to its final size."""
    return image.reduce(DETAIL)


def draw_vertical_bars(title: str, values: dict[str, int]) -> Image.Image:
    """A vertical bar chart with names below the bars and values above them."""
    slot, height, foot = 124, 420, 360
    image, draw = make_canvas(40 + slot * len(values), height)
    u = DETAIL
    draw.text((image.width / 2, 16 * u), title, INK, load_font(24 * u, bold=True), "ma")
    for place, (name, value) in enumerate(values.items()):
        middle = (20 + slot * (place + 0.5)) * u
        top = (foot - 250 * value / max(values.values())) * u
        draw.rectangle((middle - 32 * u, top, middle + 32 * u, foot * u), COLOURS[place % len(COLOURS)])
        draw.text((middle, top - 6 * u), str(value), INK, load_font(20 * u), "ms")
        draw.text((middle, (foot + 10) * u), name, INK, load_font(20 * u), "ma")
    draw.line((20 * u, foot * u, image.width - 20 * u, foot * u), LINE, 2 * u)
    return finish(image)


def draw_horizontal_bars(title: str, values: dict[str, int]) -> Image.Image:
    """A horizontal bar chart with names before the bars and values after them."""
    slot, width, edge, u = 60, 680, 160, DETAIL
    image, draw = make_canvas(width, 80 + slot * len(values))
    draw.text((image.width / 2, 16 * u), title, INK, load_font(24 * u, bold=True), "ma")
    for place, (name, value) in enumerate(values.items()):
        middle = (70 + slot * (place + 0.5)) * u
        end = (edge + 420 * value / max(values.values())) * u
        draw.rectangle((edge * u, middle - 18 * u, end, middle + 18 * u), COLOURS[place % len(COLOURS)])
        draw.text((end + 8 * u, middle), str(value), INK, load_font(20 * u), "lm")
        draw.text(((edge - 10) * u, middle), name, INK, load_font(20 * u), "rm")
    draw.line((edge * u, 66 * u, edge * u, image.height - 6 * u), LINE, 2 * u)
    return finish(image)


def draw_table(head: list[str], rows: list[list[str]]) -> Image.Image:
    """A ruled table with a shaded head; numbers are right-aligned, words left-aligned."""
    u, line_height = DETAIL, 44
    cells = [head, *rows]
    chinese = is_chinese("".join(map("".join, cells)))
    faces = [load_font(22 * u, bold=True, chinese=chinese), *[load_font(22 * u, chinese=chinese)] * len(rows)]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(ImageFont.FreeTypeFont.getlength, faces, column)) / u + 36 for column in columns]
    image, draw = make_canvas(round(sum(widths)) + 40, line_height * len(cells) + 40)
    left = 20.0
    for width, column in zip(widths, columns, strict=True):
        numeric = all(cell[:1] in "0123456789" for cell in column[1:])
        for place, (cell, face) in enumerate(zip(column, faces, strict=True)):
            top = 20 + line_height * place
            box = (left * u, top * u, (left + width) * u, (top + line_height) * u)
            draw.rectangle(box, "#dfe7f1" if place == 0 else "white", LINE, u)
            x = left + width - 18 if numeric else left + 18
            draw.text((x * u, (top + line_height / 2) * u), cell, INK, face, "rm" if numeric else "lm")
        left += width
    return finish(image)


# Geometry

UNIT = 40
"""Pixels for a unit of a figure's own coordinates, whose y axis points up."""

MARGIN = 80
"""Pixels of white around a figure, with room for labels."""


def draw_polygon(figure: dict[str, Any]) -> Image.Image:
    """A polygon with named corners and labels, and with right angles and a height where there are some."""
    points: dict[str, list[float]] = figure["points"]
    xs, ys = zip(*points.values(), strict=True)
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    image, draw = make_canvas(
        round((right - left) * UNIT) + 2 * MARGIN,
        round((high - low) * UNIT) + 2 * MARGIN,
    )

    def pixel(point: list[float]) -> tuple[float, float]:
        x, y = point
        return ((x - left) * UNIT + MARGIN) * DETAIL, ((high - y) * UNIT + MARGIN) * DETAIL

    corners = list(points.values())
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        draw.line((*pixel(start), *pixel(end)), INK, 2 * DETAIL)
    if "height" in figure:
        name, foot = figure["height"]
        draw_dashed(draw, pixel(points[name]), pixel(foot))
        draw_right_angle(draw, pixel(foot), pixel(points[name]), pixel([foot[0] + 1, foot[1]]))
    for name in figure.get("right_angles", []):
        place = corners.index(points[name])
        after = corners[(place + 1) % len(corners)]
        draw_right_angle(draw, pixel(points[name]), pixel(corners[place - 1]), pixel(after))
    centre = (sum(xs) / len(xs), sum(ys) / len(ys))
    for name, (x, y) in points.items():
        outside = [x + (0.55 if x > centre[0] else -0.55), y + (0.55 if y > centre[1] else -0.55)]
        draw.text(pixel(outside), name, INK, load_font(24 * DETAIL, bold=True), "mm")
    for label, place in figure["labels"].items():
        draw.text(pixel(place), label, INK, load_font(24 * DETAIL), "mm")
    return finish(image)


def draw_circle(centre: str, radius: float, rim: str, label: str) -> Image.Image:
    """A circle with its centre, a point on its rim, and the radius between them."""
    side = round(2 * radius * UNIT) + 2 * MARGIN
    image, draw = make_canvas(side, side)
    u, middle, reach = DETAIL, side / 2 * DETAIL, radius * UNIT * DETAIL
    draw.circle((middle, middle), reach, outline=INK, width=2 * u)
    draw.line((middle, middle, middle + reach, middle), INK, 2 * u)
    draw.circle((middle, middle), 4 * u, INK)
    draw.text((middle - 18 * u, middle), centre, INK, load_font(24 * u, bold=True), "mm")
    draw.text((middle + reach + 18 * u, middle), rim, INK, load_font(24 * u, bold=True), "mm")
    draw.text((middle + reach / 2, middle - 8 * u), label, INK, load_font(24 * u), "ms")
    return finish(image)


def draw_dashed(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A line of short strokes."""
    strokes = 12
    for stroke in range(strokes):
        ends = [
            tuple(a + (b - a) * (stroke + part) / strokes for a, b in zip(start, end, strict=True))
            for part in (0, 0.6)
        ]
        draw.line(ends, INK, 2 * DETAIL)


def draw_right_angle(draw: ImageDraw.ImageDraw, corner: tuple, one: tuple, other: tuple) -> None:
    """A small square in the corner between the directions of two other points."""

    def towards(point: tuple) -> tuple[float, float]:
        across, down = point[0] - corner[0], point[1] - corner[1]
        scale = 18 * DETAIL / (across**2 + down**2) ** 0.5
        return across * scale, down * scale

    (ax, ay), (bx, by), (x, y) = towards(one), towards(other), corner
    draw.line([(x + ax, y + ay), (x + ax + bx, y + ay + by), (x + bx, y + by)], INK, 2 * DETAIL)


# Signs

SIGNS = [
    ("#7a1f1f", "#fff4d6"),
    ("#0f6b3a", "#ffffff"),
    ("#f2e3c2", "#3b2a1a"),
    ("#1f3f7a", "#ffe08a"),
    ("#2b2b2b", "#f5f5f5"),
    ("#e8edf2", "#20324a"),
]
"""The colours of a board and of its letters."""

TILTS = [0, -2, 1.5, 1, -1.2]
"""Degrees."""


def draw_sign(number: int, word: str) -> Image.Image:
    """A word on a painted board, cut out as it would be from a photograph of a street."""
    board, letters = SIGNS[number % len(SIGNS)]
    face = load_font(44, bold=True)
    image = Image.new("RGB", (round(face.getlength(word)) + 70, 96), board)
    draw = ImageDraw.Draw(image)
    draw.rectangle((6, 6, image.width - 7, image.height - 7), outline=letters, width=3)
    draw.text((image.width / 2, image.height / 2), word, letters, face, "mm")
    image = image.rotate(TILTS[number % len(TILTS)], Image.Resampling.BICUBIC, fillcolor=board)
    return image.filter(ImageFilter.GaussianBlur(0.6))
