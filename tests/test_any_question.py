"""Any question is a page or a reject, soon, and no visible character of it is lost.

Questions are generated from the parts that real ones have: prose in many scripts, formulas, tables, code,
lists and HTML, whole and broken. Their text is of letters that stand in no syntax, and is counted in the PDF.
"""

import contextlib
import time
import unicodedata
from collections import Counter
from dataclasses import replace
from functools import partial

import pypdfium2
import pytest
from conftest import at_most
from hypothesis import given
from hypothesis import strategies as st
from test_latex import LETTERS, formulas

from glyphs import find_faults
from prep.records.reason import Reason
from prep.rendering.typeset import Rendering, Typesetter
from render_config import RENDER
from rendering import Recorder

LIMIT_S = 5.0
"""CPU seconds for a question of at most `LONGEST` characters, on a machine that has other work too."""
LONGEST = 2000

SCRIPTS = (
    *[LETTERS] * 4, "甲乙丙丁戊己庚辛", "жщюя", "あいうカキク", "한글말", "कखगघ", "กขคง", "😀👍🎈",
    "①②℃→≤∑▲□", "，。；“”（）《》、", "Q\u0301\u0308\u0323\u093f\u0941\u0e34\u200d\u200b\ufe0f\u20e3\u00ad",
)  # fmt: skip
FROM_RIGHT = ("אבגד", "ابتثج", "ب\u064b\u0650ג\u05b8", "\u200e\u202e\u2066\u2069")
_COMMANDS = r"""
    \frac \sqrt \left( \right) \begin{align} \end{align} \begin{cases} \end{cases} \begin{tabular}{cc}
    \end{tabular} \begin{enumerate} \end{enumerate} \item \hline \\ \text{ \textbf{ \ce{ \boxed{ \foo \foo{
    \multicolumn{2}{c}{ \multirow{2}*{ \begin{foo} \end{foo} \( \) \[ \] \alpha \rm \over \operatorname{ \%
    \noindent \verb| \hat \vec{ \tag{ \substack{ \textcircled{ \mathbf \limits \middle|
"""
TOKENS = [
    *_COMMANDS.split(), *"{}[]()$&#^_~*`|-<>:!=+/\\\t\n", "$$", "**", "``", "```", "\n\n", "\n- ",
    "\n1. ", "\n    ", "\n# ", "\n> ", "|---|", "<br>", "<td>", "</td>", "<table>", "</table>", "<sub>",
    "</sub>", "<p>", "<foo>", "&nbsp;", "&lt;", "&foo;", "<!--", "-->", "~~~", "$x$", "\u3000",
]  # fmt: skip
TABULAR = (
    r"\begin{tabular}{|c|p{2cm}|}\hline %s & \multicolumn{1}{r}{%s} \\ \multirow{2}*{%s} & %s \\ & %s \\[2pt]"
    r" \end{tabular}"
)
HTML_TABLE = "<table><tr><th>%s</th><td colspan=2>%s<br>%s</td></tr><tr><td>%s</td><td>%s</td></tr></table>"


@st.composite
def _words(draw: st.DrawFn) -> str:
    scripts = SCRIPTS + FROM_RIGHT if draw(st.shared(st.booleans(), key="has FROM_RIGHT")) else SCRIPTS
    words = st.sampled_from(scripts).flatmap(lambda letters: st.text(letters, min_size=1, max_size=12))
    return " ".join(draw(st.lists(words, min_size=1, max_size=4)))


@st.composite
def _inlines(draw: st.DrawFn) -> str:
    marks = ["**{}**", "*{}*", "`{}`", "<sub>{}</sub>", r"\textbf{{{}}}", r"\emph{{{}}}", r"$\text{{{}}}$"]
    if draw(st.booleans()):
        return draw(st.sampled_from(["${}$", "${}$", r"\({}\)", "{}"])).format(draw(formulas(1)))
    return draw(st.sampled_from(["{}"] * 6 + marks)).format(draw(_words()))


@st.composite
def _blocks(draw: st.DrawFn) -> str:
    """A paragraph, display, table, code or list, with inlines for its parts."""
    count = draw(st.integers(1, 5))
    parts = [draw(_inlines()) for _ in range(count)]
    five = tuple((parts * 5)[:5])
    row = "| " + " | ".join(parts) + " |"
    items = "".join(f"\\item {part}\n" for part in parts)
    return draw(st.sampled_from([
        " ".join(parts), " ".join(parts), "".join(parts), "\n".join(parts),
        f"$${draw(formulas(2))}$$", f"\\begin{{align}}{draw(formulas(1))}\\end{{align}}", draw(formulas(2)),
        f"{row}\n{'|---' * count}|\n{row}\n{row}", TABULAR % five, HTML_TABLE % five,
        "```py\n" + "\n\n".join(parts) + "\n```", "    " + "\n    ".join(parts),
        "\n".join(["  ".join(parts)] * 2),
        "\n".join(f"{'  ' * (at % 3)}- {part}" for at, part in enumerate(parts)),
        "\n".join(f"1. {part}\n   {part}" for part in parts), f"## {parts[0]}", f"> {parts[0]}",
        f"\\begin{{enumerate}}[label=(\\alph*)]{items}\\end{{enumerate}}",
    ]))  # fmt: skip


@st.composite
def questions(draw: st.DrawFn) -> str:
    """Blocks, with tokens between and within them that break some."""
    parts: list[str] = []
    for block in draw(st.lists(_blocks(), min_size=1, max_size=5)):
        parts += [*block.split(" "), draw(st.sampled_from(["\n", "\n\n", " ", ""]))]
    for token in draw(st.lists(st.sampled_from(TOKENS), max_size=4)):
        parts.insert(draw(st.integers(0, len(parts))), token)
    for _ in range(draw(st.integers(0, 2))):
        parts.pop(draw(st.integers(0, len(parts) - 1)))
    return " ".join(parts)[:LONGEST]


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    # An exam's header is no text of the question.
    looks = {**RENDER.looks, "layouts": {"plain": 1}}
    return Recorder(Typesetter(replace(RENDER, format="png", looks=looks), 42))


COUNTED = {
    letter
    for letter in "".join(SCRIPTS)
    if letter not in "qw“”" and letter < "\ud800" and not unicodedata.mirrored(letter)
    if unicodedata.is_normalized("NFKC", letter) and unicodedata.category(letter)[0] in "LNPS"
}
"""Letters that stand in no command, and that PDFium gives back as they are."""


def count_letters(text: str) -> Counter[str]:
    """How often each letter stands in a text, by itself or as a form of it in mathematics."""
    return Counter(c for c in map(partial(unicodedata.normalize, "NFKC"), text) if c in COUNTED)


def read_pdf(pdf: bytes) -> str:
    with contextlib.closing(pypdfium2.PdfDocument(pdf)) as document:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)


@at_most(60)
@given(questions(), st.integers(0, 999))
def test_any_question_is_a_page_with_all_of_it_or_a_reject(
    recorder: Recorder, text: str, number: int
) -> None:
    start = time.process_time()
    found = recorder.typesetter.render(text, str(number))
    assert time.process_time() - start < LIMIT_S
    if not isinstance(found, Rendering):
        assert found[0] in (Reason.MISSING_GLYPH, Reason.TOO_LONG_TO_RENDER, Reason.QUESTION_EMPTY)
    elif not set(text) & set("".join(FROM_RIGHT)):  # PDFium loses and moves letters beside those
        pdf = recorder.engine.compile(recorder.document, "pdf")
        assert count_letters(text) - count_letters(read_pdf(pdf)) == Counter()
        assert find_faults(pdf, RENDER.min_font_px)[0] == []
