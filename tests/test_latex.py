"""Tests of scripts/prep/rendering/latex.py."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.rendering import latex


def _flat(source: str) -> str:
    return json.dumps(latex.parse(source), ensure_ascii=False)


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("x^{2}", '["attach", ["s", "x"], ["row", [["row", [["t", "2"]]]]], null]'),
        ("x_i", '["attach", ["s", "x"], null, ["s", "i"]]'),
        ("f''", '["row", [["s", "′"], ["s", "′"]]]'),
        (r"\frac12", '["frac", ["t", "1"], ["t", "2"]]'),
        (r"\frac{1}{1+\frac{1}{x}}", '["frac", ["row", [["t", "1"]]], ["full", ["row", '),
        (r"\sqrt[3]{x}", '["root", ["row", [["s", "x"]]], ["row", [["t", "3"]]]]'),
        (r"\left(\frac{a}{b}\right.", '["fence", "(", '),
        (r"\text{if }x", '["t", "if "]'),
        (r"\lim_{x\to 0}", '["op", "lim", true]'),
        (r"\mathbb{R}", '["style", "bb", '),
        (r"\overrightarrow{AB}", '"→"]'),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", '["grid", "(", ")", '),
        (r"\begin{array}{l}a\\b\end{array}", '["grid", "", "", '),
        (r"\begin{array}{|c|c|}\hline a&b\\\hline c&d\\\hline\end{array}", "[1], [1]]"),
        (r"\begin{aligned}a&=b\\&=c\end{aligned}", '["lines", '),
        (r"\underbrace{a+b}_{n}", '["under", ["line", '),
        (r"\not=", '["s", "≠"]'),
        (r"{ }^{-}", '["attach", ["row", []]'),
        (r"95 \%", '["s", "%"]'),
        ("甲", '["t", "甲"]'),
        (")", '["s", ")"]'),
    ],
)
def test_understood(source: str, holds: str) -> None:
    assert holds in _flat(source)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (r"\foo{x}", r"\\foo"),
        (r"\input{/etc/passwd}", r"\\input"),
        (r"\frac{a}", "end"),
        ("{a", "no }"),
        ("a}", "out of place"),
        ("a & b", "out of place"),
        ("x^1^2", "two superscripts"),
        (r"\begin{tabular}{c}a\end{tabular}", "tabular"),
        (r"\begin{array}{p{2cm}}a\end{array}", "array"),
        (r"\left(x", "right"),
        (r"\text{a $b$}", "within"),
        ("{" * 40 + "x" + "}" * 40, "too deep"),
        ("  ", "empty"),
    ],
)
def test_not_understood(source: str, why: str) -> None:
    with pytest.raises(latex.UnsupportedLatex, match=why):
        latex.parse(source)


COMMANDS = [
    r"\frac",
    r"\left",
    r"\right",
    r"\sqrt",
    r"\begin{cases}",
    r"\end{cases}",
    r"\\",
    r"\text",
    r"\vec",
]


@given(st.lists(st.sampled_from([*"{}[]()^_&$'x1 ~中", *COMMANDS])))
def test_anything_is_a_tree_or_unread(parts: list[str]) -> None:
    unread = None
    try:
        kind, nodes = latex.parse("".join(parts))
    except latex.UnsupportedLatex as error:
        unread = str(error)
    assert unread != ""
    assert unread or (kind == "row" and nodes)
