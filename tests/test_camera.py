"""Tests of scripts/prep/rendering/camera.py: effects change a page and keep its text."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from prep.rendering import camera
from prep.rendering.style import EFFECTS

MARGIN = 14


def _page(width: int, height: int) -> Image.Image:
    """A page whose text reaches from margin to margin."""
    page = Image.new("L", (width, height), 255)
    for x in range(MARGIN, width - MARGIN, 6):
        page.paste(0, (x, MARGIN, x + 3, height - MARGIN))
    return page


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_changes_the_page_and_keeps_its_size(effect: str) -> None:
    page = _page(300, 120)
    before = page.tobytes()
    found = [camera.photograph(page, (effect,), number, MARGIN) for number in range(5)]
    assert all(each.size == page.size and each.mode == "L" for each in found)
    assert all(each.tobytes() != before for each in found)
    assert len({each.tobytes() for each in found}) >= 3
    assert page.tobytes() == before


@pytest.mark.parametrize("size", [(29, 29), (160, 60), (512, 512), (1448, 181), (181, 1448)])
def test_a_turned_page_keeps_its_text(size: tuple[int, int]) -> None:
    page = _page(*size)
    ink = 255 * size[0] * size[1] - int(np.asarray(page).sum(dtype=np.int64))
    for number in range(30):
        turned = camera.photograph(page, ("rotation",), number, MARGIN)
        left = 255 * size[0] * size[1] - int(np.asarray(turned).sum(dtype=np.int64))
        assert left == pytest.approx(ink, rel=0.02, abs=600)


def test_every_machine_computes_the_same_bytes() -> None:
    """Of all effects but JPEG, whose bytes are those of Pillow's libjpeg."""
    effects = tuple(name for name in EFFECTS if name != "jpeg")
    digest = hashlib.sha256(camera.photograph(_page(301, 203), effects, 7, MARGIN).tobytes()).hexdigest()
    assert digest == "367217ad8f2d558e5a5658df5572b6328eba42d159021bf66714335cdb78acfe"
