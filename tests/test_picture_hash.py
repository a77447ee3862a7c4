"""Perceptual hash: the same picture in another format and size, and pictures that only look the same."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nasty import encoded
from prep.deduplication.picture_hash import (
    are_alike,
    find_near,
    measure_quality,
    take_any_fingerprint,
    take_fingerprint,
)
from scenery import paint


def are_same(one: bytes, other: bytes) -> bool:
    first, second = take_fingerprint(one), take_fingerprint(other)
    near = find_near(first.hash.reshape(-1, 1), second.hash)
    return len(near) == 1 and are_alike(first.copy, second.copy)


def blocks(*places: int) -> bytes:
    """Blocks on a grey ground, as in NLVR: hashes hardly tell them apart."""
    picture = Image.new("RGB", (400, 100), "lightgrey")
    draw = ImageDraw.Draw(picture)
    for number in (1, 3):
        draw.rectangle((number * 80, 0, number * 80 + 50, 100), fill="grey")
    for place in places:
        draw.rectangle((place, 70, place + 18, 88), fill="yellow")
    return encoded(picture, "PNG")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_same_picture_in_another_format_and_size_is_found(form: str) -> None:
    for seed in range(5):
        again = encoded(paint(seed).resize((240, 180)), form)
        assert are_same(encoded(paint(seed), "PNG"), again)
        assert not are_same(encoded(paint(seed + 9), "PNG"), again)


def test_what_is_behind_transparent_parts_does_not_count() -> None:
    picture = paint(1).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 100, 100))
    shown = Image.new("RGBA", picture.size, "white")
    shown.alpha_composite(picture)
    assert are_same(encoded(picture, "PNG"), encoded(shown.convert("RGB"), "PNG"))


def test_drawings_with_other_parts_are_not_the_same() -> None:
    assert are_same(blocks(20, 180), blocks(20, 180))
    assert not are_same(blocks(20, 180), blocks(20, 340))


def test_plain_pictures_are_the_same_where_their_bytes_are() -> None:
    white, other = (encoded(Image.new("RGB", (80, side), "white"), "PNG") for side in (60, 61))
    assert measure_quality(np.full((64, 64), 255, np.uint8)) == 0
    assert are_same(white, white)
    assert not are_same(white, other)


def test_a_picture_that_does_not_decode_has_the_hash_of_its_bytes() -> None:
    broken = encoded(paint(1), "PNG")[:200]
    with pytest.raises(OSError, match="truncated"):
        take_fingerprint(broken)
    one, other = take_any_fingerprint(broken), take_any_fingerprint(broken[:-1])
    assert find_near(one.hash.reshape(-1, 1), one.hash).tolist() == [0]
    assert find_near(one.hash.reshape(-1, 1), other.hash).tolist() == []
