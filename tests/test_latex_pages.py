"""Tests of LaTeX on pages: the template knows every node of the parser, and no text ends a program."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
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


def _find_ink(typesetter: Typesetter, formula: str) -> np.ndarray:
    """Where a page that shows a formula alone is dark; without the paper around it."""
    (page,) = typesetter.render(f"$${formula}$$", "x").pages
    ink = np.asarray(Image.open(io.BytesIO(page.bytes)).convert("L")) < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize("name", ["aligned", "split", "gathered", "cases", "matrix"])
def test_a_fence_is_as_high_as_the_lines_beside_it(typesetter: Typesetter, name: str) -> None:
    body = rf"\begin{{{name}}}x>0\\y<0\\z=1\end{{{name}}}"
    ink = _find_ink(typesetter, rf"\left[{body}\right.")
    height = ink.shape[0]
    assert np.count_nonzero(ink[:, :3].any(axis=1)) > 0.9 * height


@pytest.mark.parametrize("body", ["X&0&1\\\\\\hline P&a&b", r"X&\frac{1}{2}&\sum_i^n i\\\hline P&a&b"])
def test_a_frame_goes_around_all_of_an_array(typesetter: Typesetter, body: str) -> None:
    ink = _find_ink(typesetter, rf"\begin{{array}}{{|c|c|c|}}\hline {body}\\\hline\end{{array}}")
    for edge in (ink[:2].any(axis=0), ink[-2:].any(axis=0), ink[:, :2].any(axis=1), ink[:, -2:].any(axis=1)):
        assert edge.mean() > 0.95


@pytest.mark.parametrize("columns", ["r@{=}l", "l!{:}l"])
def test_columns_that_are_joined_by_signs_are_literal(typesetter: Typesetter, columns: str) -> None:
    for text in (
        rf"$\begin{{array}}{{{columns}}}a&b\end{{array}}$",
        rf"\begin{{tabular}}{{{columns}}}a&b\end{{tabular}}",
    ):
        assert typesetter.render(f"See {text} there.", "x").detail


def test_an_unsupported_command_is_literal_alone(typesetter: Typesetter) -> None:
    rendering = typesetter.render(r"So $x+\foo{a}+\frac{1}{2}$ and \foo{b} and $$\baz \\ y$$", "x")
    assert rendering.detail == r"drawn as written: \foo{a}, \foo{b}, \baz"


def test_a_row_with_too_many_cells_is_named(typesetter: Typesetter) -> None:
    assert "| 1 | 2 | 3 |" in typesetter.render("| a | b |\n|---|---|\n| 1 | 2 | 3 |", "x").detail
