"""Camera effects on a greyscale page: rotation, perspective, blur, JPEG generations, shadow and noise.

All arithmetic is on integers, so that every machine computes the same bytes. The page keeps its size, and no
text leaves it: a page turns within its margins.
"""

import hashlib
import io
import random

import numpy as np
from PIL import Image

_ONE = 256
"""A pixel, and the factor 1, in fixed point."""

_MOST_SLOPE = 0.026
"""The steepest rotation, as a slope: 1.5 degrees."""

_MOST_INSET = 12
"""How far perspective moves a corner, in pixels."""


def photograph(page: Image.Image, effects: tuple[str, ...], number: int, margin: int) -> Image.Image:
    """The page with these effects, each as strong as a generator seeded by `number` decides."""
    chance = random.Random(number)
    if "rotation" in effects or "perspective" in effects:
        page = _warp(page, *_move_corners(page.size, effects, chance, margin))
    if "blur" in effects:
        page = _blur(page, chance.randint(20, 64))
    if "shadow" in effects:
        page = _add_shadow(page, chance)
    if "noise" in effects:
        page = _add_noise(page, chance.randint(5, 20), number)
    if "jpeg" in effects:
        for _ in range(chance.randint(1, 3)):
            page = _encode_again(page, chance.randint(35, 75))
    return page


def _move_corners(
    size: tuple[int, int], effects: tuple[str, ...], chance: random.Random, margin: int
) -> tuple[np.ndarray, int]:
    """For each corner of the picture, the offset of what it shows of the page; and the ground's grey.

    Offsets are [row][column][x, y] in 1/256 of a pixel.
    """
    width, height = size
    offsets = np.zeros((2, 2, 2), np.int64)
    ground = 255
    if "rotation" in effects:
        most = min(int(_MOST_SLOPE * 65536), margin * 65536 // max(width, height))
        slope = chance.choice((-1, 1)) * chance.randint(most // 4, most)
        offsets[:, :, 0] += np.array([[1], [-1]]) * (slope * height // 512)
        offsets[:, :, 1] += np.array([[-1, 1]]) * (slope * width // 512)
    if "perspective" in effects:
        ground = chance.randint(70, 150)
        inset = [chance.randint(0, _MOST_INSET * _ONE) for _ in range(8)]
        offsets += np.array(inset).reshape(2, 2, 2) * [[[-1, -1], [1, -1]], [[-1, 1], [1, 1]]]
    return offsets, ground


def _spread(corners: np.ndarray, width: int, height: int) -> np.ndarray:
    """Values of all pixels between those of the four corners."""
    x, y = np.arange(width), np.arange(height)[:, None]
    right, bottom = max(width - 1, 1), max(height - 1, 1)
    top, low = ((row[0] * (right - x) + row[1] * x) // right for row in corners)
    return ((top * (bottom - y) + low * y) // bottom).astype(np.int32)


def _warp(page: Image.Image, offsets: np.ndarray, ground: int) -> Image.Image:
    """Show the page from the moved corners, by bilinear interpolation; `ground` is what lies around it."""
    width, height = page.size
    framed = np.pad(np.asarray(page), 1, constant_values=ground).astype(np.int32).ravel()
    wide = width + 2
    x = np.arange(1, width + 1, dtype=np.int32) * _ONE + _spread(offsets[:, :, 0], width, height)
    y = np.arange(1, height + 1, dtype=np.int32)[:, None] * _ONE + _spread(offsets[:, :, 1], width, height)
    np.clip(x, 0, (width + 1) * _ONE - 1, out=x)
    np.clip(y, 0, (height + 1) * _ONE - 1, out=y)
    at = (y >> 8) * wide + (x >> 8)
    x &= 255
    y &= 255
    upper = framed[at] * (_ONE - x) + framed[at + 1] * x
    at += wide
    lower = framed[at] * (_ONE - x) + framed[at + 1] * x
    return _to_image((upper * (_ONE - y) + lower * y + (1 << 15)) >> 16)


def _blur(page: Image.Image, side: int) -> Image.Image:
    """Convolve rows and columns with (side, 256 - 2 side, side) / 256."""
    shades = np.pad(np.asarray(page).astype(np.int32), 1, mode="edge")
    middle = _ONE - 2 * side
    shades = (side * (shades[:-2] + shades[2:]) + middle * shades[1:-1] + _ONE // 2) >> 8
    shades = (side * (shades[:, :-2] + shades[:, 2:]) + middle * shades[:, 1:-1] + _ONE // 2) >> 8
    return _to_image(shades)


def _add_shadow(page: Image.Image, chance: random.Random) -> Image.Image:
    """Darken towards one or two corners."""
    corners = np.full((2, 2), _ONE)
    row, column = chance.randint(0, 1), chance.randint(0, 1)
    corners[row, column] = chance.randint(130, 200)
    corners[row, 1 - column] = chance.randint(190, 256)
    return _to_image(np.asarray(page) * _spread(corners, *page.size) >> 8)


def _add_noise(page: Image.Image, most: int, number: int) -> Image.Image:
    """Add to each pixel a number within ±`most`, from a hash."""
    drawn = hashlib.shake_128(number.to_bytes(8)).digest(page.width * page.height)
    noise = (np.frombuffer(drawn, np.uint8).astype(np.int32) - 128) * most >> 7
    return _to_image(np.clip(np.asarray(page) + noise.reshape(page.height, page.width), 0, 255))


def _encode_again(page: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    page.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("L")


def _to_image(shades: np.ndarray) -> Image.Image:
    return Image.fromarray(shades.astype(np.uint8))
