"""Tests of LaTeX on pages: the template knows every node of the parser, and no text ends a program."""

from dataclasses import replace

import pytest
from test_latex import FORMS

from prep.records.reason import Reason
from prep.rendering.latex_commands import COMMANDS
from prep.rendering.typeset import Rendering, Typesetter
from render_config import RENDER


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    return Typesetter(replace(RENDER, format="png"), 42)


def _count_arguments(node: object) -> int:
    return sum(map(_count_arguments, node)) if isinstance(node, list) else node is ...


def _use(name: str) -> str:
    return f"x\\{name} " + "{a}" * _count_arguments(COMMANDS[name])


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_typeset(typesetter: Typesetter, form: str) -> None:
    rendering = typesetter.render(f"Some words before it: ${form.replace('@', 'a ')}$", "x")
    assert isinstance(rendering, Rendering)
    assert rendering.detail is None


def test_each_command_is_typeset(typesetter: Typesetter) -> None:
    names = [name for name in COMMANDS if name != "\n"]
    for start in range(0, len(names), 20):
        text = " and ".join(f"${_use(name)}$" for name in names[start : start + 20])
        rendering = typesetter.render(text, "x")
        assert isinstance(rendering, Rendering)
        assert rendering.detail is None, text


@pytest.mark.parametrize("part", [
    r"\hat", r"\frac{1}{", r"\sqrt{", r"{", r"x^{", r"\left(", r"\text{", r"\rm", r"\overline{",
    r"\begin{matrix}", r"\boxed{", r"\not", r"\textcircled{", r"\ce{", r"\underset{x}", r"\mathbf{",
])  # fmt: skip
def test_depth_ends_no_program(typesetter: Typesetter, part: str) -> None:
    ends = {r"\left(": r"\right)", r"\begin{matrix}": r"\end{matrix}"}
    end = ends.get(part, "}" if part[-1] == "{" else "")
    for depth in (8, 16, 33, 2000):
        formula = part * depth + "x" + end * depth
        for text in (f"$${formula}$$", f"Is ${formula}$ or {formula} so?"):
            rendering = typesetter.render(text, "x")
            assert isinstance(rendering, Rendering) or rendering[0] is Reason.TOO_LONG_TO_RENDER


def test_an_unsupported_command_is_literal_alone(typesetter: Typesetter) -> None:
    rendering = typesetter.render(r"So $x+\foo{a}+\frac{1}{2}$ and \foo{b} and $$\baz \\ y$$", "x")
    assert rendering.detail == r"drawn as written: \foo{a}, \foo{b}, \baz"


def test_a_row_with_too_many_cells_is_named(typesetter: Typesetter) -> None:
    assert "| 1 | 2 | 3 |" in typesetter.render("| a | b |\n|---|---|\n| 1 | 2 | 3 |", "x").detail
