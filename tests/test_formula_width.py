"""Tests of scripts/prep/rendering/formula_width.py: estimates beside what typst measures."""

import json
import shutil
from pathlib import Path

import pypdfium2
import pytest
import typst

from prep.rendering import latex
from prep.rendering.engine import TEMPLATE
from prep.rendering.fonts import MATH, SANS, Fonts
from prep.rendering.formula_width import estimate_width, is_flat

FORMULAS = [
    r"3x \equiv 7 \pmod{11}", r"\sqrt{12}-\sqrt{3}", r"\frac{-b\pm\sqrt{b^2-4ac}}{2a}", r"\triangle ABC",
    r"\sum_{n=1}^{\infty}\frac{1}{n^2}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"f(x)=\sin x+\cos y",
    r"\begin{cases}x+y=1\\x-y=3\end{cases}", r"\overrightarrow{AB}\cdot\overrightarrow{CD}=0", r"\boxed{42}",
    r"\int_0^1 x\,dx", r"\cancel{3x}+\cancel{5}-2=7", r"a_1,a_2,\ldots,a_n", r"\lim_{x\to 0} x^2",
    r"\begin{aligned}a+b&=c\\d&=e+f\end{aligned}", r"\mathrm{2H_2+O_2\rightarrow 2H_2O}", r"x\quad y",
]  # fmt: skip

MAIN = f"""#import "page.typ": m
#set page(width: auto, height: auto, margin: 0pt)
#set text(size: 100pt)
#show math.equation: set text(font: ("{MATH}", "{SANS}"), features: ())
#for tree in json("trees.json") {{ page(box(math.equation(math.display(m(tree))))) }}
"""


@pytest.fixture(scope="module")
def fonts() -> Fonts:
    return Fonts()


def test_estimates_are_near_what_is_set_and_rather_too_wide(fonts: Fonts, tmp_path: Path) -> None:
    trees = list(map(latex.parse, FORMULAS))
    shutil.copy(TEMPLATE, tmp_path / "page.typ")
    (tmp_path / "trees.json").write_text(json.dumps(trees), "utf-8")
    (tmp_path / "main.typ").write_text(MAIN, "utf-8")
    pdf = typst.Compiler(tmp_path / "main.typ", root=tmp_path, font_paths=fonts.engine).compile(format="pdf")
    pages = pypdfium2.PdfDocument(pdf)
    for number, (formula, tree) in enumerate(zip(FORMULAS, trees, strict=True)):
        width = pages.get_page_size(number)[0] / 100
        assert 0.93 * width - 0.2 <= estimate_width(tree, fonts.measure) <= 1.35 * width + 0.5, formula


@pytest.mark.parametrize(("formula", "expected"), [
    ("x^2+y_1", True), (r"\mathrm{H_2O}", True), (r"(a,b)\in\mathbb{R}^2", True), (r"\frac{1}{2}", False),
    (r"\sum x", False), (r"\sqrt{x}", False), (r"x^{\frac{1}{2}}", False),
    (r"\begin{matrix}1\end{matrix}", False),
])  # fmt: skip
def test_a_flat_formula_has_nothing_tall(formula: str, expected: bool) -> None:
    assert is_flat(latex.parse(formula)) == expected
