"""How numbers and names look on the card and in the report."""

import pytest

from prep.records.reason import Reason
from prep.report import formatting


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (80_000_000_000, "80.0 GB"),
        (1_234_000_000_000, "1.2 TB"),
        (1_234_000_000_000_000, "1,234.0 TB"),
    ],
)
def test_size(number: int, text: str) -> None:
    assert formatting.format_size(number) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "-"),
        (0, 7, "0 %"),
        (7, 7, "100 %"),
        (1, 3, "33.3 %"),
        (1, 2, "50 %"),
        (1, 2_000_000, "< 0.1 %"),
        (1_999_999, 2_000_000, "> 99.9 %"),
    ],
)
def test_share_is_nothing_or_all_only_when_it_is(part: int, whole: int, text: str) -> None:
    assert formatting.format_share(part, whole) == text


def test_cell_stays_in_its_cell() -> None:
    assert formatting.escape_cell("a | b\n\nc") == "a \\| b c"


def test_ticks_and_breaks_escape_what_they_mark_up() -> None:
    assert formatting.mark_code("no `<image>` <b>") == "no <code>&lt;image&gt;</code> &lt;b&gt;"
    assert formatting.allow_breaks("a/b_<i>") == "a/<wbr>b_<wbr>&lt;i&gt;"


def test_totals_sum_and_sort() -> None:
    assert list(formatting.sum_counts([{"b": 1, "c": 5}, {"a": 1}, {"c": 1}]).items()) == [
        ("c", 6),
        ("a", 1),
        ("b", 1),
    ]


def test_every_reason_has_a_meaning() -> None:
    assert list(formatting.MEANINGS) == list(Reason)
    assert formatting.MEANINGS["judge_fail"] == "The judge said `fail`."


def test_html_is_escaped_and_markdown_is_not() -> None:
    """The suffix decides; a card with `&lt;` in its code would be wrong, a page with `<` a hole."""
    html = formatting.load_template("publish_report.html").environment.autoescape
    assert html("publish_report.html")
    assert not html("publish_card.md")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1.0 min"), (163.7, "2.7 min"), (720, "12 min"), (3600, "1.0 h"),
     (360_000, "100 h")],
)  # fmt: skip
def test_a_duration_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert formatting.format_duration(seconds) == words
