"""Pictures with large shapes, another one for each seed: perceptual hashes tell them apart."""

import io
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


def encode(seed: int, quality: int = 90) -> bytes:
    """The picture of a seed as a JPEG."""
    file = io.BytesIO()
    paint(seed).save(file, "JPEG", quality=quality)
    return file.getvalue()


def training_row(data: bytes, text: str = "A cat.", id_: str = "a") -> dict:
    """A row of TRAINING: a picture, what is asked about it, and the answer."""
    said = [{"role": "user", "content": "<image>\nWhat?"}, {"role": "assistant", "content": text}]
    return {"id": id_, "source_id": None, "messages": said, "images": [{"bytes": data, "path": None}]}
