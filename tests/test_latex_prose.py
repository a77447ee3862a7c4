"""Tests of scripts/prep/rendering/latex_prose.py, as the parser of markup uses it."""

import re

import pytest

from prep.rendering import latex_prose, markup


def _parse(text: str) -> list[list]:
    return [block for block, _ in markup.parse(text)]


def _inlines(text: str) -> list:
    ((kind, _, parts),) = _parse(text)
    assert kind == "p"
    return parts


@pytest.mark.parametrize(
    ("text", "inlines"),
    [
        (r"{\color{red} words} here", ["words here"]),
        (r"{\bf bold} and {\it odd}", [["b", "bold"], " and ", ["i", "odd"]]),
        (r"\textsc{c} \textcolor{red}{so} \mbox{it} is", ["c so it is"]),
        (r"\text{if } x", ["if  x"]),
        (r"\texttt{a\_b} at \url{x.org/a_b}", [["tt", "a_b"], " at ", ["tt", "x.org/a_b"]]),
        (r"\href{x.org}{the site}", ["the site"]),
        (r"\underline{of the} words", [["u", "of the"], " words"]),
        (r"\paragraph{Part} one", [["b", "Part"], " one"]),
        (r"one \newline two \\ three \par four\\[2pt]", ["one\ntwo\nthree\nfour\n"]),
        (r"\begin{lemma}[Zorn] So.\end{lemma}", [["b", "Lemma (Zorn)."], " So.\u200b"]),
        (r"\emph{x} \{a\} \textbackslash \^{} \~{}", [["i", "x"], " {a} \\ ^ ~"]),
        (
            r"\emph{x} Poincar\'e, caf\'{e}, M\"uller, Erd\H{o}s",
            [["i", "x"], " Poincaré, café, Müller, Erdős"],
        ),
        (r"\v{S}est of \k{a} stra\ss e, \O{}re and \AA ngstr\"om", ["Šest of ą straße, Øre and Ångström"]),
        (r"5~kg, 10\,cm and a~1", ["5\u00a0kg, 10\u202fcm and a\u00a01"]),
        (r"``Quoted'' and ``more''", ["“Quoted” and “more”"]),
        (r"\emph{x} 3--5, so---or -- not", [["i", "x"], " 3–5, so—or – not"]),
        ("\\emph{x} a\\\\\nb", [["i", "x"], " a\nb"]),
        (r"\large d \smallskip e", ["\u200b d \u200b e"]),
        (r"\emph{x} by \S 5, \P{}, \LaTeX{} or \TeX", [["i", "x"], " by §5, ¶, LaTeX or TeX"]),
        (r"So. \qed", ["So. ", ["m", ["row", [["s", "□"]]], r"\qed"]]),
        (r"\emph{x} \textdollar 5, name\dotfill", [["i", "x"], " $5, name…………"]),
        (r"e.g.\ this, Dr.\ Who", ["e.g. this, Dr. Who"]),
        (r"Erd\H os, Ces\`aro, na\"{\i}ve", ["Erdős, Cesàro, naïve"]),
    ],
)
def test_commands_of_prose(text: str, inlines: list) -> None:
    assert _inlines(text) == inlines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"Solve:\\ (a) $x$\\ (b) $y$", ["Solve:\n(a) ", "x", "\n(b) ", "y"]),
        (r"A) $x$ \\ B) $y$ \\[5pt] C)", ["A) ", "x", "\nB) ", "y", "\nC)"]),
    ],
)
def test_a_row_that_ends_after_a_formula_is_a_line(text: str, shown: list[str]) -> None:
    assert [part if isinstance(part, str) else part[2].strip("$") for part in _inlines(text)] == shown


def test_a_starred_space_is_a_space() -> None:
    assert _inlines(r"so \hspace*{1cm} is")[1] == ["m", ["row", [["sp", 2.85]]], r"\hspace*{1cm}"]


@pytest.mark.parametrize(
    "text",
    [
        r"cd My\ Documents; \S+ and \P{L} or Erd\H os",
        r"\\server\share and a\\ b",
        r"re.sub('\{3\}', x) -- or --help",
        r'it\'s "a \"over\" b" and 1--2',
        "``a`` and b'' or ''",
        r"C:\text\large\par",
        r"C:\o\l \d{3} and \d{n}",
        r"3~5 of \n 10 ~ 20",
        r'print(f"\r{i}", end="") and re \v{a}',
    ],
)
def test_text_that_is_no_latex_is_drawn_as_written(text: str) -> None:
    parts = [part for part in _inlines(text) if isinstance(part, str)]
    assert "".join(parts) == text.replace("``a``", "")


def test_code_in_doubled_backticks_is_no_quotation() -> None:
    assert _inlines("call ``print('')`` now") == ["call ", ["tt", "print('')"], " now"]


def test_the_title_of_a_section_is_a_heading() -> None:
    blocks = _parse(r"Before. \subsection*{Part $x$} one")
    assert [block[0] for block in blocks] == ["p", "head", "p"]
    assert blocks[1][1:] == [3, ["Part ", ["m", ["row", [["s", "x"]]], "$x$"]]]


def test_verbatim_is_code() -> None:
    assert _parse("\\begin{verbatim}\n  $x$\n\\end{verbatim}\nso")[0] == ["code", "", "  $x$"]
    blocks = _parse("so \\begin{lstlisting}[language=C]\nint x; // $y$\n\n z\n  \\end{lstlisting} and")
    assert blocks == [["p", False, ["so"]], ["code", "", "int x; // $y$\n\n z"], ["p", False, ["and"]]]
    assert [block[0] for block in _parse("\\begin{verbatim}\nx")] == ["p"]


@pytest.mark.parametrize(
    "drawing",
    [
        '[asy]\nlabel("$A$",A,SW);\n\n  draw(A--B);\n[/asy]',
        "<asy>\nx = a*b*c;\n</asy>",
        "\\begin{tikzpicture}\n\\draw (0,0) -- (2,0) {$x$};\n\\end{tikzpicture}",
        "$\\begin{tikzpicture}\\draw (0,0);\\end{tikzpicture}$",
    ],
)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("AB:\n", "\nFind"), ("AB: ", " Find")])
def test_the_code_of_a_drawing_is_code(drawing: str, before: str, after: str) -> None:
    blocks = _parse(before + drawing + after)
    assert [block for block in blocks if block[0] != "p"] == [["code", "", drawing]]
    assert [block[2] for block in blocks if block[0] == "p"] == ([["AB:"], ["Find"]] if before else [])
    assert latex_prose.is_drawing(drawing)


@pytest.mark.parametrize("formula", [r"$$x=1 \tag{1}$$", r"\[x\]", "$$\nx\n$$"])
def test_a_display_before_a_sentence_is_a_display(formula: str) -> None:
    assert [block[0] for block in _parse(f"{formula} From it we see.")] == ["math", "p"]


def test_a_display_that_text_touches_is_set_apart() -> None:
    blocks = _parse(
        "Let\n\\[x=1\\]Find y\\[z=1 \\]?\nSo \\begin{align*}a&=b\\end{align*}, and\\[c=1\\]\\[d=1\\]"
    )
    assert [block[0] for block in blocks] == ["p", "math", "p", "math", "p", "math", "p", "math", "math"]
    assert [block[2] for block in blocks if block[0] == "math"][:3] == [
        r"\[x=1\]",
        r"\[z=1?\]",
        r"\[\begin{align*}a&=b\end{align*},\]",
    ]
    assert [block[0] for block in _parse("$$a=b$$$$c=d$$")] == ["math", "math"]
    assert _parse(r"code `\[x\]`") == [["p", False, ["code ", ["tt", r"\[x\]"]]]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"so \[x\]and \[1/y\]\[1/z\].", ["so \n", "x", "\nand \n", "y", "\n", "z", "."]),
        (r"\begin{gather}x\end{gather} so", ["x", "\n so"]),
        ("a$$x$$b $$y$$$$z$$, c", ["a ", "x", " b ", "y", " ", "z", ", c"]),
        ("so $x$$y$ is", ["so ", "x", "y", " is"]),
    ],
)
def test_a_display_within_an_item_has_a_line_or_a_space_around_it(text: str, shown: list[str]) -> None:
    ((_, items, _),) = _parse(f"- {text}\n- b")
    parts = [part if isinstance(part, str) else re.findall("[xyz]", part[2])[-1] for part in items[0][2]]
    assert parts == shown


def test_doubled_dollars_within_a_sentence_are_in_its_line() -> None:
    assert [block[0] for block in _parse("若 $$x$$ 为 $$y$$\n$$z$$ is so")] == ["p"]
