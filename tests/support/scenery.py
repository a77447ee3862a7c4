"""Pictures with large shapes, another one for each seed: perceptual hashes tell them apart."""

import random

from PIL import Image, ImageDraw, ImageFilter


def paint(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """The picture of a seed, the same each time."""
    chance = random.Random(seed)
    picture = Image.new("RGB", (width, height), tuple(chance.randbytes(3)))
    draw = ImageDraw.Draw(picture)
    for _ in range(24):
        x, y = chance.randrange(width), chance.randrange(height)
        size = chance.randrange(20, 120)
        draw.ellipse((x - size, y - size // 2, x + size, y + size // 2), fill=tuple(chance.randbytes(3)))
    return picture.filter(ImageFilter.GaussianBlur(2))
