"""Tests of scripts/prep/rendering/latex.py."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prep.rendering import latex, latex_tree


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
        (
            r"\begin{align}a&=b&c&=d\end{align}",
            '["row", [["sp", 2.0], ["row", [["s", "c"]]]]], ["row", [["s", "="]',
        ),
        (r"\begin{alignat}{2}a&=b&c&=d\end{alignat}", '["s", "b"]]], ["row", [["s", "c"]]]'),
        (r"\begin{eqnarray}a&=&b\end{eqnarray}", '["row", [["row", [["s", "="]]], ["row", [["s", "b"]]]]]'),
        (r"\underbrace{a+b}_{n}", '["under", ["line", '),
        (r"\not=", '["s", "≠"]'),
        (r"{ }^{-}", '["attach", ["row", []]'),
        (r"95 \%", '["s", "%"]'),
        ("甲", '["t", "甲"]'),
        (r"\text{a $b$ c}", '["row", [["t", "a "], ["row", [["s", "b"]]], ["t", " c"]]]'),
        (r"\text{50\% {of} it}", '["t", "50"], ["s", "%"], ["t", " of it"]'),
        (r"\textbf{caf\'e}", '["style", "boldupright", ["t", "café"]]'),
        (r"\operatorname{面积}", '["op", "面积", false]'),
        (r"\operatorname{H2O}", '["op", "H2O", false]'),
        (r"\operatorname*{arg\,max}_x", '["attach", ["op", "arg max", true], null, '),
        (r"\operatorname{H_2}", '["limits", ["style", "upright", '),
        (r"\lim\limits_{x}", '["attach", ["limits", ["op", "lim", true], true], null, '),
        (r"\sum\nolimits", '["limits", ["s", "∑"], false]'),
        (r"{\rm ab} c", '["row", [["style", "upright", ["row", [["s", "a"], ["s", "b"]]]]]], ["s", "c"]'),
        (r"{a+1 \over b}", '["frac", ["row", [["s", "a"], ["s", "+"], ["t", "1"]]], ["row", [["s", "b"]]]]'),
        (r"{n \choose k}", '["binom", ["row", [["s", "n"]]], ["row", [["s", "k"]]]]'),
        (r"a\pmod{11}", '["s", "("], ["t", "mod"], ["sp", 0.33], ["row", [["t", "11"]]], ["s", ")"]'),
        (r"\begin{cases}a\\[2pt]b\end{cases}", '[[["row", [["s", "a"]]]], [["row", [["s", "b"]]]]]'),
        (r"\begin{cases}a\\*b\\ [1]\end{cases}", '[["row", [["s", "["], ["t", "1"], ["s", "]"]]]]'),
        (r"\begin{array}{@{}rl}a&b\end{array}", '"rl", [], []]'),
        (r"\begin{array}{*{3}{c}|c}a&b&c&d\end{array}", '"", [3], []]'),
        (r"\begin{array}{|c|}\hline a\\\hline\end{array}", '["line", ["grid", '),
        (r"\begin{array}{cc}\multicolumn{2}{c}{a}\\b&c\end{array}", '["s", "a"]]]]], ["row", []]]'),
        (r"a=b\\c=d", '["row", [["lines", [[["row", [["s", "a"]'),
        (r"\boxed{x}", '["line", ["row", [["s", "x"]]], "box"]'),
        (r"\cancel{x}", '["line", ["row", [["s", "x"]]], "cancel"]'),
        (r"\underline{\hspace{2em}~~}", '["blank", 2.5]'),
        (r"\underline{x}", '["line", ["row", [["s", "x"]]], "under"]'),
        (r"\sum_{\substack{i<n\\j}}", '["stack", ["row", [["s", "i"]'),
        (r"x\tag{1}", '["t", "("], ["t", "1"], ["t", ")"]'),
        (r"\textcircled{1}", '["line", ["t", "1"], "circle"]'),
        (r"\overset{\frown}{AB}", '"overparen"]'),
        (r"\not\leq", '["s", "≰"]'),
        (r"\not x", '["line", ["s", "x"], "cancel"]'),
        (r"5\,\AA", '["s", "Å"]'),
        (r"\left.a\middle|b\right|", '["mid", "|"]'),
        (r"a\kern1.5em b", '["sp", 1.5]'),
        (r"\color{red}a\textcolor{red}{b}", '["row", []], ["s", "a"], ["t", "b"]'),
        (")", '["s", ")"]'),
        (
            r"\genfrac{(}{)}{0pt}{}{a}{b}",
            '["fence", "(", ["stack", ["row", [["row", [["s", "a"]]]]], ["row", ',
        ),
        (r"\genfrac{}{}{}{0}{a}{b}", '["row", [["frac", ["row", [["s", "a"]]], ["row", [["s", "b"]]]]]]'),
        (r"\sideset{_a}{^b}\sum_{i}", '["attach", ["s", "∑"], null, ["row", [["s", "i"]]]]'),
        (r"\prescript{1}{2}{H}", '["attach", ["row", []], ["row", [["t", "1"]]], ["row", [["t", "2"]]]]'),
        (r"\SI{10}{\metre}", '["t", "10"], ["sp", 0.17], ["style", "upright", ["row", [["s", "m"]]]]'),
        (r"\qty(\frac{a}{b})", '["fence", "(", ["row", [["frac", '),
        (
            r"\num{1.5e3}",
            '["t", "1.5"], ["s", "×"], ["attach", ["t", "10"], ["row", [["row", [["t", "3"]]]]]',
        ),
        (r"\ang{10;30;}", '["t", "10"], ["t", "°"], ["attach", ["t", "30"], ["row", [["s", "′"]]], null]'),
        (r"\dv[2]{f}{x}", '["attach", ["s", "d"], ["row", [["t", "2"]]], null]'),
        (
            r"\pdv{x}",
            '["frac", ["row", [["s", "∂"], ["row", []]]], ["row", [["s", "∂"], ["row", [["s", "x"]]]]]]',
        ),
        (r"\enclose{circle}{x}", '["line", ["row", [["s", "x"]]], "circle"]'),
        (r"\raisebox{2pt}{a}\makebox[2cm][c]{b}\href{u}{c}", '["t", "a"], ["t", "b"], ["t", "c"]'),
        (r"\fcolorbox{red}{white}{a}", '["line", ["t", "a"], "box"]'),
        (r"\left\ulcorner x\right\rgroup", '["fence", "⌜", ["row", [["s", "x"]]], "⟯"]'),
        (r"\varliminf_{n}", '["attach", ["limits", ["line", ["op", "lim", false], "under"], true], null, '),
        (
            r"\upmu\Updelta\textmu",
            '["style", "upright", ["s", "μ"]], ["style", "upright", ["s", "Δ"]], ["s", "µ"]',
        ),
        (r"\blueD{x}", '["row", [["row", [["s", "x"]]]]'),
        (r"\mathchoice{a}{b}{c}{d}e", '["row", [["row", [["s", "a"]]], ["s", "e"]]]'),
        (r"\bra{a}", '["fence", "⟨", ["row", [["s", "a"]]], "|"]'),
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
        (r"\text{a $b}", "out of place"),
        (r"\hat" * 100 + "x", "too deep"),
        (r"\text{" * 100, "too deep"),
        (r"\rm" * 100, "too deep"),
        ("{" * 40 + "x" + "}" * 40, "too deep"),
        ("  ", "empty"),
    ],
)
def test_not_understood(source: str, why: str) -> None:
    with pytest.raises(latex.UnsupportedLatex, match=why):
        latex.parse(source)


_COMMANDS = r"""
    \frac \left \right \sqrt \begin{cases} \end{cases} \\ \text \vec \rm \over \limits \hat \ce \substack
    \operatorname \begin{array}{c|c} \end{array} \hline \multicolumn \kern [2pt] \'
"""
COMMANDS = _COMMANDS.split()


@given(st.lists(st.sampled_from([*"{}[]()^_&$'x1 ~中", *COMMANDS])))
def test_anything_is_a_tree_or_unread(parts: list[str]) -> None:
    unread = None
    try:
        kind, nodes = latex.parse("".join(parts))
    except latex.UnsupportedLatex as error:
        unread = str(error)
    assert unread != ""
    assert unread or (kind == "row" and nodes)


# The lists of amsmath and amssymb that KaTeX supports, by kind.
_SUPPORTED = r"""
    ulcorner urcorner llcorner lrcorner lgroup rgroup lmoustache rmoustache boxtimes boxplus boxminus
    boxdot circledcirc circledast circleddash dotplus intercal Cup Cap curlywedge curlyvee
    doublebarwedge leftthreetimes rightthreetimes idotsint iiiint varlimsup varliminf varinjlim
    varprojlim lll ggg lesseqgtr gtreqless lesseqqgtr gtreqqless lessdot gtrdot lessapprox gtrapprox
    eqslantless eqslantgtr between pitchfork preccurlyeq succcurlyeq precsim succsim precapprox
    succapprox curlyeqprec curlyeqsucc nprec nsucc npreceq nsucceq bumpeq Bumpeq circeq eqcirc
    risingdotseq fallingdotseq backsimeq thickapprox eqsim lnsim gnsim lnapprox gnapprox precnsim
    succnsim precneqq succneqq nleqq ngeqq ntriangleleft ntrianglerighteq nVdash nVDash Vvdash
    upharpoonright upharpoonleft downharpoonleft downharpoonright curvearrowleft curvearrowright Lsh Rsh
    looparrowleft looparrowright leftarrowtail rightarrowtail leftleftarrows rightrightarrows
    downdownarrows upuparrows multimap Lleftarrow Rrightarrow twoheadleftarrow leftrightsquigarrow
    nleftrightarrow nLeftarrow dashleftarrow Game Finv Bbbk circledR circledS maltese blacklozenge gimel
    daleth backepsilon varTheta varSigma uppi uptheta textmu upmu empty Join llbracket rrbracket
    dblcolon Coloneqq oiiint
"""


def test_each_symbol_of_amssymb_is_known() -> None:
    for name in _SUPPORTED.split():
        assert latex.parse(f"\\{name} ")[1], name


LETTERS = "qwzQWZ479é甲乙жλ"
"""What stands in the generated formulas, a blank after each."""
_FORMS = r"""
    @ @@ {@}^{@} @_@ \frac{@}{@} \sqrt[@]{@} \text{@} \textbf{@@} \operatorname{@} \operatorname*{@}_{@}
    \hat{@} \overline{@} \boxed{@} \cancel{@} {\rm{}@} {@\over{}@} {@\choose{}@} \left(@\right] \ce{@}
    \sum\limits_{@}^{@} \substack{@\\@} \begin{cases}@&@\\[2pt]@&@\\*@\end{cases} \pmod{@} \text{@$@$@}
    \begin{array}{c|c}\multicolumn{2}{c}{@}\\\hline{}@&@\end{array} \begin{aligned}@&=@\\@\end{aligned}
    \overset{@}{@} \underset{@}{@} \underbrace{@}_{@} \xrightarrow[@]{@} \textcircled{@} \tag{@} @\\@
    \genfrac{(}{)}{0pt}{}{@}{@} \sideset{_{@}^{@}}{_{@}}\sum_{@} \prescript{@}{@}{@} \dv[@]{@}{@}
    \enclose{box}{@} \raisebox{2pt}{@} \fcolorbox{red}{white}{@}
    \SI{5}{\kilo\metre}@ \qty(@) \boxtimes{}@ \bra{@}
    \overunderset{@}{@}{@} \varlimsup_{@} \upalpha{}@
    \mathrm{@} \mathop{@}\limits_{@} \not{@} \fbox{@} \color{}@ \binom{@}{@} \phantom{}@ \bmod{}@
"""
FORMS = _FORMS.split()


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> str:
    form = draw(st.sampled_from(FORMS))
    inner = formulas(depth - 1) if depth else st.sampled_from(LETTERS)
    is_text = re.search(r"\\(text|ce|fbox|operatorname)", form)
    return re.sub("@", lambda _: draw(st.sampled_from(LETTERS) if is_text else inner) + " ", form)


@given(formulas())
def test_every_letter_of_a_formula_is_in_its_tree_or_it_is_literal(source: str) -> None:
    with suppress(latex.UnsupportedLatex):
        shown = Counter(_letters(latex.parse(source)))
        assert all(shown[letter] >= source.count(f"{letter} ") for letter in LETTERS)


def _letters(node: object) -> Iterator[str]:
    if isinstance(node, list):
        kind, *parts = node if node and isinstance(node[0], str) else ["", *node]
        for part in parts[:1] if kind == "op" else parts:
            yield from part if isinstance(part, str) and kind in ("s", "t", "op") else _letters(part)


@pytest.mark.parametrize(
    ("source", "raw"),
    [
        (r"x+\foo{a}[b]{c}+y", [r"\foo{a}[b]{c}"]),
        (r"\frac{\foo}{2}", [r"\foo"]),
        (r"a\begin{foo}\begin{x}b\end{x}\end{foo}c", [r"\begin{foo}\begin{x}b\end{x}\end{foo}"]),
        (r"\foo [a) \ce{A ->[\bar{x}\baz] B}", [r"\foo", r"\baz"]),
    ],
)
def test_an_unsupported_command_is_literal_alone(source: str, raw: list[str]) -> None:
    assert list(latex_tree.find_raw(latex.parse(source, is_partly=True))) == raw


@pytest.mark.parametrize("source", ["{a", r"\foo{", r"x^1^2 \foo", r"\begin{foo}", r"\left( \foo"])
def test_what_is_malformed_is_not_read_partly(source: str) -> None:
    with pytest.raises(latex.UnsupportedLatex):
        latex.parse(source, is_partly=True)


@given(formulas())
def test_a_formula_from_json_is_that_formula(source: str) -> None:
    assume(re.search(r"\\[a-zA-Z]{2}", source) and not re.search(r"\\\\[a-zA-Z]", source))
    assert latex.halve_backslashes(source.replace("\\", "\\\\")) == source


@pytest.mark.parametrize(
    "source",
    [r"a\\b", r"a \\ \alpha", r"x=1\\y=2", r"a\\text b\\c", r"\alpha\\beta", r"1\\\\2", r"\\foo \\baz"],
)
def test_an_end_of_a_line_is_no_doubled_backslash(source: str) -> None:
    assert latex.halve_backslashes(source) == source
