"""Drawn questions are read by OCR at the size that training keeps (prep/report/ocr.py)."""

import pytest

from prep.rendering.typeset import Typesetter
from prep.report.ocr import OcrEngine, count_errors, count_unread
from render_config import RENDER
from rendering import load_ordinary


@pytest.fixture(scope="module")
def engine() -> OcrEngine:
    return OcrEngine(threads=2)


@pytest.mark.parametrize(("language", "percent"), [("english", 2), ("chinese", 3)])
def test_ordinary_questions_can_be_read(engine: OcrEngine, language: str, percent: float) -> None:
    typesetter = Typesetter(RENDER, 42)
    wrong, total, missed = 0, 0, []
    questions = load_ordinary()[language]
    assert len(questions) >= 100
    for number, text in enumerate(questions):
        pages = typesetter.render(text, f"{language}:{number}").pages
        read = "".join(engine.read_page(page.bytes, RENDER.max_pixels) for page in pages)
        found = count_errors(text, read)
        wrong, total = wrong + found[0], total + found[1]
        missed += [f"{text} | {read}"] * (found[0] > 0)
    assert wrong <= percent / 100 * total, "\n".join(missed)


@pytest.mark.parametrize(
    ("text", "read", "expected"),
    [
        ("abc", "abc", (0, 3)),
        ("a b\nc", "ab c", (0, 3)),
        ("中，文", "中,文", (0, 3)),
        ("kitten", "sitting", (3, 6)),
        ("abc", "", (3, 3)),
        ("ab", "xaby", (2, 2)),
        ("abcdef", "bcdefa", (2, 6)),
    ],
)
def test_errors_are_counted(text: str, read: str, expected: tuple[int, int]) -> None:
    assert count_errors(text, read) == expected


def test_what_is_read_beyond_the_text_may_be_free() -> None:
    assert count_errors("kitten", "EE: kittens", insertion=0) == (0, 6)
    assert count_errors("kitten", "EE: sittens", insertion=0) == (1, 6)


def test_letters_and_digits_are_counted_in_any_order() -> None:
    assert count_unread("x² + 12 = 甲\nabc", "abc 12 xx") == (2, 8)
    assert count_unread("Σ ± | 🙂", "") == (0, 0)
