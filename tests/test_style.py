"""Tests of scripts/prep/rendering/style.py: what is sampled, and how often."""

from collections import Counter
from dataclasses import replace

import pytest

from prep.rendering.style import EFFECTS, LAYOUTS, header_text, sample_style
from prep.report.ocr import drop_exam_header
from render_config import RENDER

LOOKS = RENDER.looks


def _styles(count: int, **changed: object) -> list:
    looks = {**LOOKS, **changed}
    return [sample_style(42, str(number), 14, 28, "mixed", looks) for number in range(count)]


def test_there_are_two_hundred_looks_and_more() -> None:
    """Counted without sizes, margins, leading and the strength of effects."""
    found = {
        (s.paper, s.texture, s.layout, s.face, s.chinese_face, s.weight, s.effects) for s in _styles(2000)
    }
    assert len(found) >= 1000
    kinds = {(s.layout, s.face, s.weight, s.effects) for s in _styles(2000)}
    assert len(kinds) >= 200


def test_the_shares_of_the_settings_hold() -> None:
    styles = _styles(4000, layouts={"plain": 3, "exam": 1, "chat": 0}, photographed=0.4)
    layouts = Counter(style.layout for style in styles)
    assert layouts["exam"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert set(layouts) == {"plain", "exam"}
    for name, share in LOOKS["effects"].items():
        found = sum(name in style.effects for style in styles) / 4000
        assert found == pytest.approx(0.4 * share, abs=0.03)
    assert not any(style.effects for style in _styles(200, photographed=0))
    always = _styles(50, photographed=1, effects=dict.fromkeys(EFFECTS, 1))
    assert {style.effects for style in always} == {EFFECTS}
    assert all(style.jpeg for style in always)


def test_a_layout_has_the_margin_that_it_needs() -> None:
    styles = _styles(1000)
    assert {style.layout for style in styles} == set(LAYOUTS)
    assert all(style.margin >= LAYOUTS[style.layout] for style in styles)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_exams_header_is_told_from_the_question(language: str) -> None:
    for style in _styles(300, layouts={"exam": 1}):
        header = header_text(style, language)
        assert drop_exam_header(f"{header}\nWhat? (5 points)") == "What? (5 points)"
        assert drop_exam_header(f"What?\n{header}") == f"What?\n{header}"
        assert header_text(replace(style, layout="card"), language) is None
    assert header_text(style, "ja") is None
