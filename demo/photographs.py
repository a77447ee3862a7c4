"""Photographs of scikit-image in the sample corpus, and variants of them."""

import functools
import io
from typing import Any

from PIL import Image, ImageOps

from wheels import find_wheel_file

TERMS = {
    "astronaut.png": "public domain (NASA)",
    "brick.png": "CC0 (CC0Textures, Bricks25)",
    "camera.png": "CC0 (Lav Varshney)",
    "cell.png": "CC0 (Paul Müller and others)",
    "chelsea.png": "CC0 (Stefan van der Walt)",
    "clock_motion.png": "public domain (Stefan van der Walt)",
    "coffee.png": "CC0 (Rachel Michetti)",
    "grass.png": "CC0 (DeviantArt, linolafett)",
    "gravel.png": "CC0 (CC0Textures, Gravel04)",
    "horse.png": "CC0 (Andreas Preuss)",
    "hubble_deep_field.jpg": "public domain (NASA)",
    "microaneurysms.png": "CC0 (Andreas Maier)",
    "retina.jpg": "CC0 (Mikael Häggström)",
    "rocket.jpg": "public domain (SpaceX)",
    "text.png": "public domain (Wikipedia, Corner.png)",
}
"""Each photograph with the terms that the docstring of its loader in skimage.data states.

Files whose loader states none, or only that no restriction is known, are not here and cannot be opened.
"""

EFFECTS = {
    "grey": ImageOps.grayscale,
    "mirrored": ImageOps.mirror,
    "negative": ImageOps.invert,
}


@functools.cache
def load_photograph(name: str) -> Image.Image:
    """A photograph of TERMS, grey or RGB, transparent parts on white, without metadata; not to be drawn upon.

    Raises KeyError for any other file.
    """
    if name not in TERMS:
        raise KeyError(f"no terms are known for {name}")
    with Image.open(find_wheel_file("scikit-image", f"skimage/data/{name}")) as file:
        picture = file.convert("L" if file.mode == "L" else "RGBA")
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    picture.info.clear()
    return picture


def make_picture(row: dict[str, Any]) -> bytes | None:
    """The encoded picture that a row of texts/recap.toml describes; None where it is to be missing."""
    defect = row.get("defect")
    if defect == "missing":
        return None
    image = load_photograph(row["photo"])
    if "crop" in row:
        image = image.crop(row["crop"])
    if "longest" in row:
        scale = row["longest"] / max(image.size)
        image = image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
    if "effect" in row:
        image = EFFECTS[row["effect"]](image)
    data = encode(image, row.get("format", "JPEG"))
    return data[: len(data) // 2] if defect == "truncated" else data


def encode(image: Image.Image, form: str) -> bytes:
    """The picture as a file of the form JPEG, PNG or WEBP."""
    buffer = io.BytesIO()
    image.save(buffer, form, quality=88)
    return buffer.getvalue()
