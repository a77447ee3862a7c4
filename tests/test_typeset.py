"""Tests of scripts/prep/rendering/typeset.py: what is on a page is counted in its SVG, or read by OCR."""

import functools
import hashlib
import io
import itertools
import json
import logging
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typst
from conftest import at_most
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from prep.records.reason import Reason, Rejection
from prep.rendering import fonts, style, typeset
from prep.rendering.document import Document, is_english
from prep.rendering.engine import Engine
from prep.rendering.typeset import Rendering, Typesetter
from prep.report.ocr import OcrEngine
from prep.runtime.program import UserError
from render_config import RENDER
from running import python_environment

STYLE = replace(RENDER, format="png")
WORDS = [
    "river", "stone", "quiet", "garden", "window", "signal", "copper", "market", "winter", "ladder",
    "bridge", "candle", "forest", "island", "planet", "silver", "thunder", "velvet", "yellow", "harbor",
]  # fmt: skip
MIXED = st.one_of(
    st.characters(max_codepoint=0x36F),  # controls, Latin, combining marks
    st.sampled_from("\u200b\u200d\u200e\u202e\u2066\ufe0f\u20e3\u00ad\ufeff \n\t\u3000\u00a0"),
    st.characters(min_codepoint=0x5D0, max_codepoint=0x5EA),
    st.characters(min_codepoint=0x621, max_codepoint=0x65F),
    st.characters(min_codepoint=0x905, max_codepoint=0x94D),
    st.characters(min_codepoint=0xE01, max_codepoint=0xE3A),
    st.characters(min_codepoint=0x3001, max_codepoint=0x30FE),
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5),
    st.characters(min_codepoint=0x1F600, max_codepoint=0x1F64F),
)
ESCAPE = re.compile(r"\\(?=[%&#$_*`])")
"""A backslash that lets the sign after it be itself."""
BLANK = "\u2800"
"""Characters without ink that Unicode counts among the visible ones."""
MARKS = st.sampled_from("abx12 中，\n\n\t*`$|-#:~>.()[]\\{}_^&=<@'\"")
HARD = {
    "code": "Why?\n\n```python\ndef f(n):\n\tif n < 2:\n\t\treturn n  # base\n```\nand `x__y`?",
    "aligned": "def f(x):\n    if x:\n        return x**2*3",
    "table": "## Sales\n\n| Region | 2021 |\n|:---|--:|\n| 东北 | $x^2$ |\n| **b** | `c` |\n",
    "tabular": "\\begin{tabular}{|c|l|}\n\\hline A & $x_1$ \\\\\n\\hline B & 二 \\\\\n\\end{tabular}",
    "array": "$$\\begin{array}{c|c}\\hline 1 & 2 \\\\ \\hline 3 & 4\\end{array}$$",
    "list": "1. one\n2. two *or* three\n   - deep\n   - deeper " + "and deeper " * 20,
    "formulas": r"Solve \(x^2=1\), $\frac{a}{b}$, $\begin{pmatrix}1&2\\3&4\end{pmatrix}$, $90^\circ$,"
    r" $\vec{a}$, $\begin{cases}x&\text{if }x>0\\-x&\text{else}\end{cases}$, $\underbrace{a+b}_{n}$,"
    r" $\overline{x}$, $\xrightarrow[b]{a}$, $\sqrt[3]{8}$, $\mathbb{R}$, $\mathbf{v}$, $\binom{n}{k}$,"
    r" $\stackrel{a}{=}$"
    r"$$\sum_{n=1}^{\infty}\left\lfloor\frac{1}{n}\right\rfloor$$"
    "\n\n"
    r"\[\begin{aligned}a&=b\\&=c\end{aligned}\]",
    "deep": r"$" + r"\frac{1}{" * 11 + "x" + "}" * 11 + "$",
    "scripts": "العربية: ما هي عاصمة فرنسا؟ (Paris)\n\nעברית\n\nहिन्दी में लिखो। ไทย தமிழ் e\u0301 q\u0301",
    "signs": "😀👍🏽👨‍👩‍👧❤️🇫🇷 1️⃣ ←⇒ ∑√∞ ⟨x⟩ 𝑥 𝔸 ☐ ✗ ✓ ①② ℃\n日本語のテスト。한국어",
}


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    return Typesetter(STYLE, 42)


def _glyphs(typesetter: Typesetter, doc: str) -> list[str]:
    """The glyphs of a document as the engine draws it, each by its outline's name."""
    pages = typesetter.engine.compile(json.loads(doc), "svg")
    svg = (pages if isinstance(pages, bytes) else b"".join(pages)).decode()
    return re.findall(r'href="#(\w+)"', svg)


@functools.cache
def _boxes(typesetter: Typesetter, style: str) -> frozenset[str]:
    """What each font draws for a character that it lacks (U+0378 is not assigned), in a document's style."""
    families = [*typesetter.fonts.families, *RENDER.looks["faces"], *RENDER.looks["chinese_faces"]]
    families += [fonts.SERIF, fonts.MONO, fonts.MATH]
    blocks = [["p", False, [["f", family, "\u0378"]]] for family in families]
    return frozenset(_glyphs(typesetter, json.dumps({"style": json.loads(style), "blocks": blocks})))


class _Recorder:
    """Stands before the engine and keeps the last document, without an exam's header, which is no text's."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.doc = ""

    def render(self, document: dict) -> list[Image.Image]:
        self.doc = json.dumps(document | {"style": document["style"] | {"header": None}})
        return self.engine.render(document)


def _drawn(
    typesetter: Typesetter, text: str, id: str = "x"
) -> tuple[list[typeset.Page], list[str], frozenset[str]]:
    """The pages, the glyphs on them, and the glyphs that would be boxes."""
    drawing, doc = _recorded(typesetter, text, id)
    style = json.dumps(json.loads(doc)["style"])
    return drawing.pages, _glyphs(typesetter, doc), _boxes(typesetter, style)


def _recorded(typesetter: Typesetter, text: str, id: str) -> tuple[typeset.Rendering | Rejection, str]:
    """A question as it is drawn, and the last document that the engine was given."""
    recorder = _Recorder(typesetter.engine)
    typesetter.engine = recorder
    try:
        drawing = typesetter.render(text, id)
    finally:
        typesetter.engine = recorder.engine
    return drawing, recorder.doc


def _outlines(typesetter: Typesetter, text: str, style: dict) -> Counter[str]:
    """The outlines on a text's pages, each as often as it is there."""
    if not any(map(fonts.is_visible, text)):
        return Counter()
    blocks = Document(text, typesetter.fonts).build_blocks(limit=30)
    return Counter(_glyphs(typesetter, json.dumps({"style": style, "blocks": blocks})))


def _pixels(picture: typeset.Page) -> int:
    width, height = Image.open(io.BytesIO(picture.bytes)).size
    return width * height


def _assert_in_budget(pages: list[typeset.Page]) -> None:
    assert 1 <= len(pages) <= STYLE.max_pages
    assert all(_pixels(picture) <= STYLE.max_pixels for picture in pages)


@at_most(150)
@given(st.text(st.characters(), max_size=20) | st.text(MIXED, max_size=300) | st.text(MARKS, max_size=200))
def test_any_text_is_drawn_without_a_box_or_rejected(typesetter: Typesetter, text: str) -> None:
    found, doc = _recorded(typesetter, text, "x")
    if isinstance(found, typeset.Rendering):
        _assert_in_budget(found.pages)
        assert not _boxes(typesetter, json.dumps(json.loads(doc)["style"])) & set(_glyphs(typesetter, doc))
        return
    reason, detail = found
    if reason is Reason.MISSING_GLYPH:
        assert re.search(r"U\+[0-9A-F]{4}", detail)
    else:
        assert reason in (Reason.TOO_LONG_TO_RENDER, Reason.QUESTION_EMPTY)
        assert detail


@at_most(60)
@given(st.text(st.characters(), max_size=20) | st.text(MIXED, max_size=60), st.integers(0, 999))
def test_each_visible_character_of_any_text_changes_the_page(
    typesetter: Typesetter, text: str, number: int
) -> None:
    drawing, doc = _recorded(typesetter, text, str(number))
    if not isinstance(drawing, typeset.Rendering):
        return  # with its reason: see above
    assert drawing.pages
    text = typeset.clean(text)
    style = json.loads(doc)["style"]
    drawn = _outlines(typesetter, text, style)
    visible = [at for at, c in enumerate(text) if fonts.is_visible(c) and c not in BLANK]
    for at in visible[:: max(1, len(visible) // 8)]:
        if ESCAPE.match(text, at):
            continue
        try:
            without = _outlines(typesetter, text[:at] + text[at + 1 :], style)
        except fonts.MissingGlyph:
            continue  # what stood upon the letter has none now
        assert without != drawn


@at_most(100)
@given(
    st.text(
        st.sampled_from("abcXYZ0189 ,.;:?!%&@=+\"'/（）。，“”、甲乙丙的了是一二 \n\u3000αβДЖé→≤"),
        max_size=900,
    ),
    st.integers(0, 999),
)
def test_every_visible_character_is_on_the_pages(typesetter: Typesetter, text: str, number: int) -> None:
    visible = sum(map(fonts.is_visible, text))
    if not visible:
        return
    pages, glyphs, boxes = _drawn(typesetter, text, str(number))
    _assert_in_budget(pages)
    assert len(glyphs) == visible
    assert not boxes & set(glyphs)


@pytest.mark.parametrize("text", [
    '#read("/etc/passwd") #include "/etc/passwd" #panic("x") #[a] #let x = 1',
    "\\input{/etc/passwd} \\immediate\\write18{ls}",
    "{{ 7*7 }} {% include 'x' %} ${HOME} <% x %>",
    "= heading == @ref <label> // comment /* more */ \\u{41} ~ -- --- 'quotes' \"and\"",
])  # fmt: skip
def test_a_question_is_data(typesetter: Typesetter, text: str) -> None:
    _, glyphs, _ = _drawn(typesetter, text)
    assert len(glyphs) == sum(map(fonts.is_visible, text))


def test_the_engine_can_read_no_file(typesetter: Typesetter) -> None:
    with pytest.raises(typst.TypstError, match="not found"):
        Engine(typesetter.fonts).compiler.compile(input=b'#read("/etc/passwd")')


def test_a_full_disk_is_an_error_and_no_fault_of_a_question(typesetter: Typesetter) -> None:
    """The last write before a disk is full, or a file at its limit, takes a part and raises nothing."""
    engine = Engine(typesetter.fonts)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            engine.compile({"text": "a" * 100}, "pdf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_temporary_folder_that_is_cleared_is_an_error_and_no_fault_of_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = Typesetter(STYLE, 42)
    for folder in tmp_path.iterdir():
        shutil.rmtree(folder)
    with pytest.raises(UserError, match="was removed while pages were drawn there; set TMPDIR"):
        own.render("What is $x$?", "id")


@pytest.mark.parametrize("name", HARD)
def test_hard_questions_are_drawn_with_their_markup(typesetter: Typesetter, name: str, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        pages, glyphs, boxes = _drawn(typesetter, HARD[name])
    assert not caplog.records  # nothing fell back to its literal text
    _assert_in_budget(pages)
    assert len(glyphs) >= 4
    assert not boxes & set(glyphs)


@pytest.mark.parametrize(("part", "shown"), [
    (r"$\foo{x}$", r"$\foo{x}$"),
    ("[asy]\ndraw(A--B);\n[/asy]", None),
    ("$$" + "{" * 40 + "x" + "}" * 40 + "$$", None),
    (r"$$\begin{matrix}" + r"x \\ " * 200 + r"\end{matrix}$$", None),
    ("|" + "a|" * 30 + "\n|" + "---|" * 30 + ("\n|" + "unbreakable|" * 30), None),
    ("- one\n- so " + r"$\text{" + "wide " * 60 + "}$", r"$\text{" + "wide " * 60 + "}$"),
])  # fmt: skip
def test_what_cannot_be_drawn_alone_is_drawn_as_written(
    typesetter: Typesetter, part: str, shown: str | None
) -> None:
    rest = "Let `f` be\n\n$x_1^2$\n\n| u | v |\n|---|---|\n| 1 | **2** |"
    for text in (f"{rest}\n\n{part}", f"{part}\n\n{rest}"):
        drawing = typesetter.render(text, "x")
        _assert_in_budget(drawing.pages)
        assert drawing.detail == f"drawn as written: {shown or part}"
        _, glyphs, _ = _drawn(typesetter, text)
        assert len(glyphs) == sum(map(fonts.is_visible, "Let f be x12 uv12" + part))


def test_markup_that_does_not_fit_is_drawn_as_written(typesetter: Typesetter, caplog) -> None:
    wide = "|" + "a|" * 30 + "\n|" + "---|" * 30 + ("\n|" + "unbreakable|" * 30)
    matrix = r"$$\begin{matrix}" + r"x \\ " * 200 + r"\end{matrix}$$"
    for text in (wide, matrix):
        pages, glyphs, _ = _drawn(typesetter, text)
        _assert_in_budget(pages)
        assert len(glyphs) == sum(map(fonts.is_visible, text))


@pytest.mark.parametrize(("text", "reason", "detail"), [
    ("What is \u0378?", Reason.MISSING_GLYPH, "\u0378 (U+0378)"),
    ("\U00013000", Reason.MISSING_GLYPH, "\U00013000 (U+13000 EGYPTIAN HIEROGLYPH A001)"),
    ("bad \udc80", Reason.MISSING_GLYPH, "(U+DC80)"),
    ("中\u093f", Reason.MISSING_GLYPH, "DEVANAGARI VOWEL SIGN I"),
    ("long " * 20000, Reason.TOO_LONG_TO_RENDER, "100000 characters"),
    ("long " * 9000, Reason.TOO_LONG_TO_RENDER, "pages with letters of 14 pixels"),
    ("line\n" * 2000, Reason.TOO_LONG_TO_RENDER, "pages with letters of 14 pixels"),
    ("x" + "\u0301" * 31, Reason.TOO_LONG_TO_RENDER, "31 combining marks on one letter"),
    (" \u200b\n\ufeff", Reason.QUESTION_EMPTY, "nothing"),
    (r"$\quad$", Reason.QUESTION_EMPTY, "nothing"),
    (r"$$~\phantom{x}\,{}$$ \(\;\)", Reason.QUESTION_EMPTY, "nothing"),
    (r"$\mathbf{~}$ $\text{ }$ ${}^{~}$ $\left.~\right.$", Reason.QUESTION_EMPTY, "nothing"),
    (r"$\begin{array}{c}~\\~\end{array}$", Reason.QUESTION_EMPTY, "nothing"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_rejected(
    typesetter: Typesetter, text: str, reason: Reason, detail: str
) -> None:
    found, said = typesetter.render(text, "x")
    assert found is reason
    assert detail in said


@pytest.mark.parametrize(
    "text",
    [
        r"$\frac{~}{~}$",
        r"$\square$",
        "---",
        r"$\undefined$",
        "$|$",
        r"$\quad$.",
        r"$\sqrt{~}$",
        r"$\boxed{~}$",
        r"$\hat{~}$",
        r"$\left(~\right.$",
        r"$\rule{1cm}{1pt}$",
        r"$\begin{pmatrix}~\end{pmatrix}$",
        "| | |\n|---|---|\n| | |",
    ],
)
def test_a_sign_alone_is_drawn(typesetter: Typesetter, text: str) -> None:
    assert isinstance(typesetter.render(text, "x"), Rendering)


@pytest.mark.parametrize(("word", "letters"), [("كتب", "ك ت ب"), ("वाक्य", "व ा क ् य"), ("दिए", "द ि ए")])
def test_letters_are_joined_as_their_script_does(typesetter: Typesetter, word: str, letters: str) -> None:
    _, joined, boxes = _drawn(typesetter, f"Read: {word}")
    assert not boxes & set(joined)
    _, alone, _ = _drawn(typesetter, f"Read: {letters}")
    assert joined[5:] != [glyph for glyph in alone[5:] if glyph not in boxes]
    assert joined[:5] == alone[:5]


@pytest.mark.parametrize("name", HARD)
def test_no_letter_is_lost_between_the_engines(typesetter: Typesetter, name: str) -> None:
    """The page as typst draws it itself, an eighth as large, beside the one that is used."""
    _, doc = _recorded(typesetter, HARD[name], name)
    (page,), png = (
        typesetter.engine.render(json.loads(doc)),
        typesetter.engine.compile(json.loads(doc), "png"),
    )
    other = Image.open(io.BytesIO(png)).convert("L")
    assert page.width == other.width
    assert abs(page.height - other.height) <= 1
    extent = (page.width // 8, page.height // 8)
    small = [each.resize(extent, Image.Resampling.BOX) for each in (page, other)]
    assert ImageChops.difference(*small).getextrema()[1] < 48


@pytest.mark.parametrize(("name", "lightest", "darkest", "length"), [
    ("table", 190, 100, 150), ("code", 235, 225, 200), ("deep", 100, 0, 60),
])  # fmt: skip
def test_rules_grounds_and_bars_are_drawn(
    typesetter: Typesetter, name: str, lightest: int, darkest: int, length: int
) -> None:
    """The longest run of pixels of such a shade in any row; no letter is as wide."""
    _, doc = _recorded(typesetter, HARD[name], name)
    (page,) = typesetter.engine.render(json.loads(doc))
    rows = [page.crop((0, y, page.width, y + 1)).tobytes() for y in range(page.height)]
    runs = re.findall(b"[%c-%c]+" % (darkest, lightest), b"\n".join(rows), re.DOTALL)
    assert max(map(len, runs)) >= length


def test_no_document_has_a_colour_profile(typesetter: Typesetter) -> None:
    """PDFium would take longer over one than over the page."""
    for name, text in HARD.items():
        _, doc = _recorded(typesetter, text, name)
        assert b"/ICCBased" not in typesetter.engine.compile(json.loads(doc), "pdf")


def test_a_font_with_broken_outlines_is_named_as_what_to_look_at(tmp_path: Path) -> None:
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "sign"])
    builder.setupCharacterMap({0x13000: "sign"})
    square = TTGlyphPen(None)
    square.moveTo((0, 0))
    for corner in ((0, 700), (700, 700), (700, 0)):
        square.lineTo(corner)
    square.closePath()
    builder.setupGlyf({".notdef": square.glyph(), "sign": square.glyph()})
    builder.setupHorizontalMetrics({".notdef": (800, 0), "sign": (800, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Signs", "styleName": "Regular", "psName": "Signs"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "signs.ttf")
    with TTFont(tmp_path / "signs.ttf") as font:
        outlines = font.reader.tables["glyf"]
    broken = bytearray((tmp_path / "signs.ttf").read_bytes())
    broken[outlines.offset : outlines.offset + outlines.length] = b"\xff" * outlines.length
    (tmp_path / "broken.ttf").write_bytes(broken)

    with pytest.raises(UserError, match=r'"Signs.*render\.fonts'):
        Typesetter(replace(STYLE, fonts=(str(tmp_path / "broken.ttf"),)), 42).render("Read \U00013000.", "x")


def test_control_characters_and_line_ends(typesetter: Typesetter) -> None:
    assert typesetter.render("a\x00b\x1bc\r\nd\u2028e\x85f", "x") == typesetter.render("abc\nd\ne\nf", "x")


def test_blanks_beyond_any_line_are_cut() -> None:
    assert typeset.clean("a" + "\t" * 20_000 + "b") == "a" + "\t" * 400 + "b"
    assert typeset.clean(" " * 399 + "a") == " " * 399 + "a"


def test_indentation_shows(typesetter: Typesetter) -> None:
    def first_ink(text: str) -> int:
        picture = Image.open(io.BytesIO(typesetter.render(text, "x").pages[0].bytes)).convert("L")
        lower = picture.crop((0, picture.height // 2, *picture.size))
        paper = lower.getpixel((1, 1))
        columns = (lower.crop((x, 0, x + 1, lower.height)).getextrema() for x in range(lower.width))
        return next(
            x for x, (low, high) in enumerate(columns) if max(abs(low - paper), abs(high - paper)) > 90
        )

    indents = [first_ink(f"if x:\n{blank}y") for blank in ("", "  ", "\t", "\t  ", "\t\t")]
    steps = [later - earlier for earlier, later in itertools.pairwise(indents[1:])]
    assert indents[0] < indents[1]
    assert min(steps) > 0
    assert max(steps) - min(steps) <= 1  # two columns each


def test_a_long_word_and_a_long_line_of_code_are_broken(typesetter: Typesetter) -> None:
    for text in ("x" * 700, "a/b?" * 200, "。" * 300, "```\n" + "y" * 500 + "\n```", "\u00a0" * 300 + "z"):
        pages, glyphs, _ = _drawn(typesetter, text)
        _assert_in_budget(pages)
        assert len(glyphs) == sum(map(fonts.is_visible, text.replace("```", "")))


WIDE = (
    "| Name | Population | Area in square kilometres | Capital | Currency | Official language |\n"
    "|---|---|---|---|---|---|\n"
    "| Switzerland | 8,700,000 | 41,285 | Bern | Swiss franc | German, French, Italian, Romansh |\n"
    "| New Zealand | 5,100,000 | `268,021` | **Wellington** | New Zealand dollar | English, Māori |"
)


@pytest.mark.parametrize("number", range(4))
def test_a_wide_table_breaks_no_word_and_stays_within_the_page(typesetter: Typesetter, number: int) -> None:
    drawing, doc = _recorded(typesetter, WIDE, str(number))
    style, (table,) = json.loads(doc)["style"], json.loads(doc)["blocks"]
    assert drawing.detail is None
    assert "\u200b" not in json.dumps(table, ensure_ascii=False)
    assert sum(table[4]) * style["size"] <= style["width"] - 2 * style["margin"]
    assert max(table[4]) > 1.1 * min(table[4])  # the longer the words, the wider the column


@pytest.mark.parametrize("number", range(4))
def test_a_page_is_as_wide_as_its_code(typesetter: Typesetter, number: int) -> None:
    line = "for (int i = 0; i < n; i++) {"
    _, doc = _recorded(typesetter, f"```\n{line}\n```", str(number))
    style = json.loads(doc)["style"]
    inside = style["width"] - 2 * style["margin"] - 1.2 * style["size"]  # the box's own inset
    assert 0.602 * len(line) * style["size"] <= inside


@pytest.mark.parametrize("text", [
    r"$3x \equiv 7 \pmod{11}$", "面积 $= 3$, $\\mathrm{H_2O}$", r"What is $\sqrt{12}-\sqrt{3}$?",
    "在⊙O中，若△ABC", r"Solve $\cancel{3x}+\cancel{5}-2=7$.", r"1. $\sqrt{12}-\sqrt{3}=x$",
])  # fmt: skip
def test_a_short_text_has_one_line(typesetter: Typesetter, text: str) -> None:
    for number in range(12):
        looks = replace(typesetter.config.sample_style(42, f"{number}"), layout="plain", size=24)
        _, _, (page,) = typesetter._finish(typesetter._render(text, looks))
        assert page.height < 2.2 * 24 + 2 * looks.margin


def test_a_long_word_breaks_neither_before_closing_marks_nor_after_signs(typesetter: Typesetter) -> None:
    text = "⊙A、⊙B、△ABC、△DEF、△GHI和" * 9 + "则∠DEF（　）"
    (block,) = Document(text, typesetter.fonts).build_blocks(limit=9)
    assert not re.search("[⊙△∠]\u200b|\u200b[、（]|F（", "".join(block[-1]))


@pytest.mark.parametrize("heading", ["# Heading", "## Zusammenfassung"])
def test_a_page_is_as_wide_as_its_heading(typesetter: Typesetter, heading: str) -> None:
    for number in range(8):
        looks = replace(typesetter.config.sample_style(42, f"{number}"), layout="plain", size=24)
        _, _, (page,) = typesetter._finish(typesetter._render(f"{heading}\nText", looks))
        assert page.height < 90 + 2 * looks.margin  # two lines


def test_box_drawing_has_no_gaps(typesetter: Typesetter) -> None:
    for number in range(8):
        looks = replace(typesetter.config.sample_style(42, f"{number}"), layout="plain", texture="plain")
        _, _, (page,) = typesetter._finish(typesetter._render("\n".join("││" * 9), looks))
        left, top, _, bottom = page.point([255 * (grey < 250) for grey in range(256)]).getbbox()
        stroke = page.crop((left, top + 2, left + 3, bottom - 2))
        assert all(min(stroke.crop((0, y, 3, y + 1)).tobytes()) < 200 for y in range(stroke.height))


def test_latin_and_chinese_have_one_weight(typesetter: Typesetter) -> None:
    looks = replace(typesetter.config.sample_style(42, "x"), weight=600, face="PT Serif")
    for face, language, expected in [
        (fonts.CHINESE_SERIF, "zh", 400), (fonts.CJK, "zh", 700), (fonts.CHINESE_SERIF, "en", 700),
    ]:  # fmt: skip
        assert typesetter._choose_weight(replace(looks, chinese_face=face), language) == expected
    assert typesetter._choose_weight(replace(looks, face="Inter"), "en") == 600


@pytest.mark.parametrize(
    ("text", "is_slender"),
    [
        ("\n".join(map(str, range(100))), False),
        ("\n".join(map(str, range(200))), False),
        ("```\n" + "x = f(12345)\n" * 150 + "```", False),
        ("\n".join(rf"$$x_{{{number}}}=\frac{{1}}{{2}}$$" for number in range(60)), False),
        ("\n".join(map(str, range(350))), True),
    ],
)
def test_short_lines_have_narrow_pages_under_any_look(
    typesetter: Typesetter, text: str, is_slender: bool
) -> None:
    for number in range(4):
        drawing = typesetter.render(text, f"narrow {number}")
        sizes = [Image.open(io.BytesIO(page.bytes)).size for page in drawing.pages]
        assert (drawing.detail, len(sizes) in (2, 3, 4)) == (None, True)
        assert any(height > 6.2 * width for width, height in sizes) == is_slender


@pytest.mark.parametrize("number", range(6))
def test_a_table_of_many_columns_is_set_on_wide_pages(typesetter: Typesetter, number: int) -> None:
    heads = ["disagree", "rather disagree", "undecided", "rather agree", "agree"] * 2
    words = "Since the introduction of antipsychotic drugs, stays in hospitals have become much shorter"
    rows = [["", *(f"**{head}**" for head in heads), "P"]] + [[words, *["37.1"] * 10, "x"]] * 7
    rows.insert(1, ["---"] * 12)
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    assert typesetter.render(table, str(number)).detail is None


@pytest.mark.parametrize(("rows", "pages"), [(170, 5), (300, 8)])
def test_a_table_that_is_too_long_says_the_pages_it_needs(
    typesetter: Typesetter, rows: int, pages: int
) -> None:
    table = "| name | value | note |\n|---|---|---|\n" + "| item | 7 | some words here |\n" * rows
    reason, detail = typesetter.render(table, "x")
    assert (reason, detail.split(" pages")[0]) == (Reason.TOO_LONG_TO_RENDER, f"about {pages}")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (
            r"若$\left(\frac{1}{2}\right)^{x}>\frac{\sqrt{3}}{2}$，则$\left(\frac{1}{3}\right)^{\frac{x}{2}}$",
            "zh",
        ),
        ("求输出\n```python\n" + "print('a long line of letters')\n" * 9 + "```", "zh"),
        (r"$\text{speed}=\frac{\text{distance}}{\text{time}}$, $x=5\ \text{苹果}$", "en"),
        ("The sign for the word tree in this language is 木, and $x$ stands for it", "en"),
    ],
)
def test_letters_of_formulas_and_code_make_no_chinese_text_english(
    typesetter: Typesetter, text: str, language: str
) -> None:
    assert is_english(text)  # which decides the prompt
    assert Document(text, typesetter.fonts).language == language


def test_a_formula_knows_the_chinese_beside_it(typesetter: Typesetter) -> None:
    document = Document("点$D$在，$E$ 上 **中**$F$。", typesetter.fonts)
    formulas = [part for part in document.build_blocks(limit=20)[0][2] if part[0] == "m"]
    assert [sides for *_, sides in formulas] == [[True, True], [False, False], [False, False]]


def test_pages_grow_with_the_text(typesetter: Typesetter) -> None:
    sizes = [
        [_pixels(picture) for picture in typesetter.render("word " * count, "x").pages]
        for count in (1, 20, 200, 900)
    ]
    assert [len(pages) for pages in sizes[:3]] == [1, 1, 1]
    assert len(sizes[3]) > 1
    assert sizes[0][0] < sizes[1][0] < sizes[2][0]


def test_same_seed_same_bytes(typesetter: Typesetter) -> None:
    texts = [*HARD.values(), "word " * 900]
    drawn = [typesetter.render(text, str(n)) for n, text in enumerate(texts)]
    other = Typesetter(STYLE, 42)
    again = {n: other.render(text, str(n)) for n, text in reversed(list(enumerate(texts)))}
    assert drawn == [again[n] for n in range(len(texts))]
    assert Typesetter(STYLE, 43).render(texts[0], "0") != drawn[0]


@pytest.mark.parametrize("chunk", [7, 40])
def test_questions_are_drawn_together_as_alone(typesetter: Typesetter, chunk: int) -> None:
    texts = [*HARD.values(), "", "\ue000", "a b " * 3000, "a" * 10**6]
    questions = [(text, str(number)) for number, text in enumerate(texts)]
    alone = [typesetter.render(*question) for question in questions]
    random.Random(chunk).shuffle(questions)
    found = {}
    for start in range(0, len(questions), chunk):
        part = questions[start : start + chunk]
        found.update(zip((id for _, id in part), typesetter.render_together(part), strict=True))
    assert [found[str(number)] for number in range(len(texts))] == alone


def test_another_process_draws_the_same_bytes(typesetter: Typesetter) -> None:
    program = (
        "import hashlib\nfrom prep.rendering.typeset import RenderConfig, Typesetter\n"
        f"pages = Typesetter({STYLE!r}, 42).render('甲乙 $x^2$ fin', 'x')\n"
        "print(hashlib.sha256(pages.pages[0].bytes).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env=python_environment() | {"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    here = typesetter.render("甲乙 $x^2$ fin", "x").pages[0].bytes
    assert run.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_looks_vary_and_formats_are_what_they_say() -> None:
    signatures = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff"}
    for form, expected in (("png", {"png"}), ("jpeg", {"jpg"}), ("mixed", {"png", "jpg"})):
        style = replace(RENDER, format=form)
        drawn = Typesetter(style, 1)
        pages = [drawn.render("How are you?", str(n)).pages[0] for n in range(24)]
        assert {picture.suffix for picture in pages} == expected
        assert all(picture.bytes.startswith(signatures[picture.suffix]) for picture in pages)
        assert len({picture.bytes for picture in pages}) == 24


def _luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_ink_stands_out_from_paper_and_texture() -> None:
    for paper, ink in style.PALETTE:
        rgb = [tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in (paper, ink)]
        texture = tuple(0.88 * p + 0.12 * i for p, i in zip(*rgb, strict=True))
        for ground in (rgb[0], texture):
            low, high = sorted((_luminance(ground), _luminance(rgb[1])))
            assert (high + 0.05) / (low + 0.05) >= 4.5


@pytest.mark.parametrize(("text", "expected"), [
    ("What?", True), ("什么", False), ("", False), ("123 ?!", False), ("αβγ", False),
    ("a" * 95 + "中" * 5, True), ("a" * 94 + "中" * 6, False), ("A中", False), ("z\u9fff" + "a" * 18, True),
])  # fmt: skip
def test_is_english(text: str, expected: bool) -> None:
    assert is_english(text) is expected


def _last_lines(picture: typeset.Page) -> Image.Image:
    """The page from a little above its last line on, since OCR takes a second a page."""
    page = Image.open(io.BytesIO(picture.bytes)).convert("L")
    paper = page.getpixel((2, 2))
    ink = page.point(lambda grey: 255 if abs(grey - paper) > 90 else 0).getbbox()
    return page.crop((0, max(0, ink[3] - 90), page.width, page.height)).convert("RGB")


def test_the_last_words_can_be_read(typesetter: Typesetter) -> None:
    engine = OcrEngine(threads=2)
    dice = random.Random(5)
    english = " ".join(dice.choice(WORDS) for _ in range(420)) + ". Answer with the purple elephant"
    chinese = "请阅读下面的材料，然后回答问题。" * 60 + "最后请写出长江的长度"
    for text, last in ((english, "purple elephant"), (chinese, "长江的长度")):
        pages = typesetter.render(text, "last words").pages
        assert len(pages) > 1
        read = engine.read_lines(_last_lines(pages[-1]))
        assert last.replace(" ", "") in "".join(read).replace(" ", "")


HUB = Path(__file__).resolve().parents[2] / "shared" / "hub"


@pytest.mark.skipif(not HUB.is_dir(), reason=f"NOT TESTED on real questions: {HUB} is missing")
def test_real_questions_are_drawn(typesetter: Typesetter, caplog) -> None:
    table = pq.read_table(
        next((HUB / "tatsu-lab/alpaca/data").glob("*.parquet")), columns=["instruction", "input"]
    )
    texts = [f"{row['instruction']}\n{row['input']}".rstrip() for row in table.to_pylist()]
    lines = (HUB / "Congliu/Chinese-DeepSeek-R1-Distill-data-110k/distill_r1_110k.jsonl").read_text("utf-8")
    texts += [json.loads(line)["input"] for line in lines.splitlines()]
    for number, text in list(enumerate(texts))[::3]:
        _assert_in_budget(typesetter.render(text, f"real:{number}").pages)


@pytest.mark.parametrize("text", ["X→", "甲", "A", "What is it?"])
def test_an_exams_header_takes_no_short_question_away(text: str) -> None:
    exams = Typesetter(replace(STYLE, looks={**RENDER.looks, "layouts": {"exam": 1}}), 42)
    assert all(isinstance(exams.render(text, str(number)), typeset.Rendering) for number in range(100))


@pytest.mark.parametrize("text", [
    r"$\sqrt{1-x^{2}}$",
    "كم عدد أيام السنة الكبيسة؟",
    "العَرَبِيَّةُ لُغَةٌ جَمِيلَةٌ",
    "မြန်မာနိုင်ငံ၏ မြို့တော်",
    "$$(a+b+c)^4=" + "+".join(f"{n}a^{{{n}}}b" for n in range(24)) + "$$",
])  # fmt: skip
def test_every_look_draws_a_text_the_same_way(typesetter: Typesetter, text: str) -> None:
    drawn = [typesetter.render(text, f"look {number}") for number in range(40)]
    assert all(isinstance(each, typeset.Rendering) and each.detail is None for each in drawn)
