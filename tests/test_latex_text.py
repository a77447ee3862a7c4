"""Tests of scripts/prep/rendering/latex_text.py, as the parser of markup uses it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.rendering import latex_text, markup


def _sources(text: str) -> list[str]:
    return [node[2] for node in markup.find_formulas(markup.parse_inlines(text)) if node[1]]


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        (r"costs $\$88$ and \$12.50", [r"$\$88$"]),
        (r"$\text{if $x>0$}$ and $y$", [r"$\text{if $x>0$}$", "$y$"]),
        (r"$\text{if $x$ \textbf{so}}, y$ is", [r"$\text{if $x$ \textbf{so}}, y$"]),
        ("the $n$th, $2n$people and $x$s", ["$n$", "$2n$", "$x$"]),
        ("H$_2$O, x$^2$, 2H$_2$O", ["$_2$", "$^2$", "$_2$"]),
        (r"10$^{-3}$ kg at 30$^\circ$C, 5$\times$3", ["$^{-3}$", r"$^\circ$", r"$\times$"]),
        (r"$^{238}_{92}$U, 2$\pi$, 5$-$3=2, $-5$", ["$^{238}_{92}$", r"$\pi$", "$-$", "$-5$"]),
        ("It is $5 or$6 a-$7, $8", []),
        ("so $x +\ny = 3$ and $f(x) =\nx^2$", ["$x +\ny = 3$", "$f(x) =\nx^2$"]),
        ("pay $5 =\nfive coins$ or $6 + x\n\n= 2$", []),
        ("at$x=1$we, Let$y_1$.", ["$x=1$", "$y_1$"]),
        ("$\\begin{cases}\nx\\\\\ny\n\\end{cases}$", ["$\\begin{cases}\nx\\\\\ny\n\\end{cases}$"]),
        (r"so \begin{pmatrix}1\end{pmatrix} is", [r"\begin{pmatrix}1\end{pmatrix}"]),
        (r"half: \frac{1}{2}, 3 \times 4, \underline{\hspace{1cm}}", [
            r"\frac{1}{2}", r"\times", r"\underline{\hspace{1cm}}",
        ]),
        ("US$5 or US$10, $HOME/$USER, $home/$user, $5-$10", []),
        (r"C:\pi\alpha, \n, \to the", []),
        (r"the cell a\[i\]\[j-1\] of a\[0\]", []),
        ("unit ($) = selling price ($) - cost ($), sales (in $): 5. Cost (in $): 3", []),
        ("in all $5 + $6 (in $), $7. How much $ more", []),
        ("who has $x+5. If x = 10, how many $ does, is it $7? $.50", []),
        ("cost in $ = price in $ + tax, but $x=5$", ["$x=5$"]),
        ("$P(at least one) = 1$, $(0,1]$, $ ]0,1[ $, $a) x = 1$ and $ x = 5 $.", [
            "$P(at least one) = 1$", "$(0,1]$", "$ ]0,1[ $", "$a) x = 1$", "$ x = 5 $",
        ]),
        (r"A pen is $3 and a book \$12; 5\% of it", []),
    ],
)  # fmt: skip
def test_formulas_in_a_text(text: str, formulas: list[str]) -> None:
    assert _sources(text) == formulas


def test_escaped_characters_of_text() -> None:
    assert "".join(markup.parse_inlines(r"62.5\% A \& B \#3 a\_b \$5 \d \\% C:\$x")) == (
        r"62.5% A & B #3 a_b $5 \d \\% C:\$x"
    )


def test_styled_text() -> None:
    assert markup.parse_inlines(r"\textbf{a} \emph{b}") == [["b", "a"], " ", ["i", "b"]]


def test_latex_that_is_not_understood_is_named() -> None:
    text = r"See \ref{eq1} in \begin{tikzpicture}, \foo{a{b}}[c]."
    unread = [node[2] for node in markup.find_formulas(markup.parse_inlines(text))]
    assert unread == [r"\ref{eq1}", r"\begin{tikzpicture}", r"\foo{a{b}}"]


def test_a_drawing_is_literal_as_a_whole() -> None:
    drawing = r"\begin{tikzpicture}\draw (0,0) -- (1,1);\end{tikzpicture}"
    assert markup.parse_inlines(f"so {drawing}") == ["so ", ["m", None, drawing]]


def test_an_environment_on_lines_of_its_own_is_a_display() -> None:
    ((block, _),) = markup.parse("\\begin{align*}\nx&=1\\\\\ny&=2\n\\end{align*}")
    assert block[0] == "math"
    assert block[1][1][0][0] == "lines"


def test_commands_that_place_text_show_nothing() -> None:
    parts = markup.parse_inlines(r"\noindent \begin{center}so\end{center}\vspace{1cm}")
    assert "".join(parts).replace("\u200b", "") == " so"


LIST = r"""
\begin{enumerate}[label=(\alph*)]
\item one
\item two $x$
\begin{enumerate} \item deep \end{enumerate}
more
\item[*] three
\end{enumerate}
"""


def test_lists() -> None:
    before, (block, _), after = markup.parse(f"Do:{LIST}end")
    assert (before[0][2], after[0][2]) == (["Do:"], ["end"])
    assert [item[:2] for item in block[1]] == [[0, "(a)"], [0, "(b)"], [1, "(a)"], [0, "*"]]
    assert block[1][2][2] == ["deep\nmore"]
    ((block, _),) = markup.parse("\\begin{itemize}\\item a \\item b\\end{itemize}")
    assert block[1] == [[0, "•", ["a"]], [0, "•", ["b"]]]


def test_a_tabular_between_dollars() -> None:
    text = r"So $$\begin{tabular}{cc}a&$b$\end{tabular}$$ and so"
    assert [block[0] for block, _ in markup.parse(text)] == ["p", "table", "p"]


def test_a_list_that_does_not_end_is_text() -> None:
    assert markup.parse("\\begin{enumerate}\n\\item a")[0][0][0] == "p"
    assert latex_text.read_list("\\begin{itemize} before \\item a\\end{itemize}") is None


_PARTS = r"""
    $ $$ \( \) \[ \] \begin{align} \end{align} \text{ \frac{ \textbf{ } \item \$ \% \alpha x 5 中 \\ &
    \begin{enumerate} \end{enumerate} \begin{itemize} \end{itemize} \multicolumn{2}{c}{ \hline
"""
PARTS = [*_PARTS.split(), "\n", " "]


@pytest.mark.parametrize("empty", [r"\[\]", "$$$$", r"\(\)", r"  \[\]", "\\[\\]\nand more"])
def test_a_formula_without_anything_in_it_is_text(empty: str) -> None:
    ((kind, *_), _), *_ = markup.parse(empty)
    assert kind == "p"


@given(st.lists(st.sampled_from(PARTS), max_size=60))
def test_no_letter_of_any_text_is_lost(parts: list[str]) -> None:
    text = "".join(parts)
    shown = _letters([block for block, _ in markup.parse(text)])
    assert shown.count("中") >= text.count("中")
    assert shown.count("5") >= text.count("5")


def _letters(value: object) -> str:
    """The text of blocks or inlines, that of a formula from its tree if it has one."""
    if isinstance(value, list):
        is_typeset = len(value) == 3 and value[0] in ("m", "math") and value[1]
        return "".join(map(_letters, value[1] if is_typeset else value))
    return value if isinstance(value, str) else ""
