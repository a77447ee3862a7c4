"""No character of a page is too small, overlaps another, or crosses the page's edge (bench/glyphs.py)."""

from dataclasses import replace

import pytest

from glyphs import find_faults
from prep.rendering.typeset import Rendering, Typesetter
from render_config import RENDER
from rendering import Recorder, load_hard

WIDE_CELL = (
    "| a | b |\n|---|---|\n"
    "| $\\text{这是一个很长的公式里的中文文字不能换行}$ | 这里也有不少文字要显示出来的 |\n"
)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder(Typesetter(RENDER, 42))


def _find_faults(recorder: Recorder, text: str, id: str) -> list[str]:
    assert isinstance(recorder.typesetter.render(text, id), Rendering)
    return find_faults(recorder.engine.compile(recorder.document, "pdf"), RENDER.min_font_px)[0]


def test_each_character_of_hard_questions_stands_by_itself(recorder: Recorder) -> None:
    faults = {name: _find_faults(recorder, text, name) for name, text in load_hard().items()}
    assert {name: found for name, found in faults.items() if found} == {}


def test_a_formula_in_a_table_does_not_reach_into_the_next_cell(recorder: Recorder) -> None:
    assert _find_faults(recorder, WIDE_CELL, "x") == []


def test_circled_numbers_stand_apart_in_every_face() -> None:
    recorder = Recorder(Typesetter(RENDER, 42))
    for face in RENDER.looks["faces"]:
        recorder.typesetter.config = replace(RENDER, looks={**RENDER.looks, "faces": {face: 1}})
        assert _find_faults(recorder, "Which of ①②③④ is so, and is $①②$?", face) == []


def test_faults_are_named(recorder: Recorder) -> None:
    recorder.typesetter.render("ab $x^2$", "x")
    style = recorder.document["style"]
    formula = ["m", ["row", [["s", "A"], ["sp", -0.7], ["s", "B"]]], True, False, [False, False]]

    def find(blocks: list, **more: float) -> list[str]:
        return find_faults(recorder.engine.compile({"style": style | more, "blocks": blocks}, "pdf"), 14)[0]

    assert find([["p", False, ["ab"]]]) == []
    assert find([["p", False, ["ab"]]], size=6) == ["a has 6.0 pixels", "b has 6.0 pixels"]
    assert len(find([["p", False, [formula]]])) == 1
    assert find([["p", False, ["b" * 80]]], width=100)[0] == "b crosses the page's edge"
