"""Drawn questions are read by OCR at the size that training keeps (prep/report/ocr.py)."""

import pytest

from prep.rendering.typeset import RenderConfig, Typesetter
from prep.report.ocr import Reading, errors
from rendering import load_ordinary

STYLE = RenderConfig(max_pixels=262144, max_pages=4, min_font_px=14, max_font_px=28, format="mixed")


@pytest.fixture(scope="module")
def reading() -> Reading:
    return Reading(threads=2)


@pytest.mark.parametrize(("language", "percent"), [("english", 2), ("chinese", 3)])
def test_ordinary_questions_can_be_read(reading: Reading, language: str, percent: float) -> None:
    typesetter = Typesetter(STYLE, 42)
    wrong, total, missed = 0, 0, []
    questions = load_ordinary()[language]
    assert len(questions) >= 100
    for number, text in enumerate(questions):
        pages = typesetter.render(text, f"{language}:{number}").pages
        read = "".join(reading.page(page.bytes) for page in pages)
        found = errors(text, read)
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
    assert errors(text, read) == expected
