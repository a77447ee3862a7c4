"""Tests of scripts/prep/rendering/layout.py: what surrounds a text leaves it readable."""

import numpy as np
import pytest
from PIL import Image

from prep.rendering import layout
from prep.rendering.style import LAYOUTS


@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - {"plain"}))
@pytest.mark.parametrize("size", [(160, 60), (512, 512), (1448, 181)])
def test_a_layout_stands_in_the_margins(name: str, size: tuple[int, int]) -> None:
    margin = LAYOUTS[name]
    page = Image.new("L", size, 255)
    drawn = np.asarray(layout.add_layout(page, name, margin))
    assert page.getextrema() == (255, 255)
    assert drawn.min() < 255
    inside = drawn[margin : size[1] - margin, margin : size[0] - margin]
    assert inside.min(initial=255) >= layout.FAINT
    assert not (drawn % 17).any()  # the shades of a PNG
    black = layout.add_layout(Image.new("L", size, 0), name, margin)
    assert black.getextrema() == (0, 0)


def test_a_plain_page_stays_as_it_is() -> None:
    page = Image.new("L", (100, 100), 255)
    assert layout.add_layout(page, "plain", 14) is page


@pytest.mark.parametrize("gap", [3, 5, 12, 19, 60, 150])
def test_a_ruled_line_crosses_no_text(gap: int) -> None:
    """Lines of text of 20 rows, with an ink of two columns, which leaves room for all lines to be seen."""
    shades = np.full((4 * (20 + gap), 80), 255, np.uint8)
    is_text = np.arange(len(shades)) % (20 + gap) >= gap
    shades[is_text, 40:42] = 0
    found = np.asarray(layout.add_texture(Image.fromarray(shades), "ruled"))
    ruled = np.flatnonzero(found[:, 0] == layout.FAINT)
    assert not is_text[ruled].any()
    assert len(ruled) >= 3  # below each line but the last, which ends the page
    assert (np.diff(ruled) <= max(20 + gap, 30) + 8).all()
