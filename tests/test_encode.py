"""Tests of scripts/prep/rendering/encode.py: what a grey page becomes, decoded again by Pillow."""

import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from prep.rendering import encode
from prep.rendering.style import PALETTE, TEXTURES, PageStyle, sample_style
from render_config import RENDER

LOOK = replace(
    sample_style(42, "x", 14, 28, "png", RENDER.looks), texture="plain", layout="plain", effects=()
)


def _page(rows: list[list[int]]) -> Image.Image:
    return Image.fromarray(np.array(rows, dtype=np.uint8))


def _expected(page: Image.Image, style: PageStyle, shades: int) -> np.ndarray:
    """Red, green and blue of each pixel, between ink and paper."""
    share = np.round(np.asarray(page) / 255 * (shades - 1))[..., None] / (shades - 1)
    ink, paper = (np.array(ImageColor.getrgb(colour)) for colour in (style.ink, style.paper))
    return np.round(ink + share * (paper - ink))


@settings(deadline=None)
@given(
    st.integers(1, 9).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(0, 255), min_size=width, max_size=width), min_size=1, max_size=9
        )
    ),
    st.sampled_from(PALETTE),
)
def test_a_png_has_the_nearest_shade_of_each_pixel(rows: list[list[int]], colours: tuple[str, str]) -> None:
    style = replace(LOOK, paper=colours[0], ink=colours[1])
    picture = Image.open(io.BytesIO(encode.encode_page(_page(rows), style)))
    picture.load()
    assert picture.format == "PNG"
    assert np.abs(np.asarray(picture.convert("RGB")) - _expected(_page(rows), style, 16)).max() <= 1


def test_a_jpeg_has_the_colours_of_its_look() -> None:
    page = Image.linear_gradient("L")
    for paper, ink in PALETTE:
        style = replace(LOOK, paper=paper, ink=ink, jpeg=95)
        picture = Image.open(io.BytesIO(encode.encode_page(page, style)))
        assert (picture.format, picture.mode) == ("JPEG", "RGB")
        assert np.abs(np.asarray(picture) - _expected(page, style, 256)).max() <= 6


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_texture_is_faint_and_covers_no_ink(texture: str) -> None:
    style = replace(LOOK, paper="#ffffff", ink="#000000", texture=texture)
    lines = {"ruled": ([29, 59, 89], []), "grid": ([0, 32, 64, 96], [0, 32, 64, 96])}
    dots = [11, 12, 35, 36, 59, 60, 83, 84]
    expected = np.full((100, 100), 255)
    rows, columns = lines.get(texture, ([], []))
    expected[rows], expected[:, columns] = 238, 238
    expected[np.ix_(dots, dots)] = 238 if texture == "dots" else expected[np.ix_(dots, dots)]
    for shade in (255, 0):
        page = Image.new("L", (100, 100), shade)
        found = np.asarray(Image.open(io.BytesIO(encode.encode_page(page, style))).convert("L"))
        assert (found == np.minimum(expected, shade)).all()
        assert page.getextrema() == (shade, shade)  # it was not drawn upon


def test_margins_with_ink_are_seen_and_an_empty_end_is_cut() -> None:
    page = Image.new("L", (200, 100), 255)
    page.paste(0, (20, 20, 180, 40))
    assert encode.has_clean_margins(page, 20)
    assert encode.trim_end(page, 20).size == (200, 60)
    page.paste(204, (20, 50, 30, 60))  # a letter in yellow
    assert encode.trim_end(page, 20).size == (200, 80)
    assert encode.trim_end(Image.new("L", (200, 100), 255), 20).size == (200, 100)
    for spot in ((0, 50), (199, 50), (100, 0), (100, 99)):
        stained = page.copy()
        stained.putpixel(spot, 204)
        assert not encode.has_clean_margins(stained, 20)


def test_a_png_has_the_bytes_that_it_always_had() -> None:
    page = _page([[x * y % 256 for x in range(301)] for y in range(203)])
    found = hashlib.sha256(encode.encode_page(page, replace(LOOK, paper="#fdf8ec", ink="#2a2118")))
    assert found.hexdigest() == "2e82b5514964b7323764e519c12d6708d14e2f39cda715e548efa6f8c323bef8"
