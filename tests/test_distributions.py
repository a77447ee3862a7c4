"""Histograms of training rows: what is measured, and in which column it counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.report import distributions
from prep.report.distributions import Measures, count_numbers, find_language
from reports import encoded, row


def test_rows_are_measured_in_pixels_characters_rounds_and_languages() -> None:
    measures = Measures()
    thought = "<think>\nabcde\n</think>\n\nfour"
    measures.add(row("a", 0, encoded((300, 100), "PNG"), encoded((100, 100), "JPEG"), answer=thought))
    measures.add(row("a", 1, b"no picture", answer="这是一个答案"))
    found = {each.title: each for each in measures.list_distributions()}
    assert found["longer side of pictures, pixels"].columns == [("≤ 128", 1), ("≤ 256", 0), ("≤ 512", 1)]
    assert dict(found["width by height of pictures"].columns)["> 2:1"] == 1
    assert found["user's text, characters"].columns == [("≤ 10", 2)]
    assert found["answer, characters"].note == "median 5, 4 to 6"
    assert found["thought, characters"].note == "median 5, 5 to 5"
    assert found["rounds of question and answer"].columns == [("≤ 1", 2)]
    assert found["language of answers"].columns == [("en", 1), ("zh", 1), ("other", 0)]
    assert Measures().list_distributions() == []


def test_tokens_are_those_that_the_server_counted_or_split_by_characters() -> None:
    measures = Measures()
    thoughts = "<think>\nabcdef\n</think>\n\nfour", "<think>\n\n</think>\n\nfour", "<think>12</think>34"
    rows = [row("a", n, answer=answer) for n, answer in enumerate(thoughts)]
    for each in rows:
        measures.add(each)
    measures.add_tokens(rows[1]["id"], 7, None)
    measures.add_tokens(rows[2]["id"], 9, 8)
    found = {each.title: each.note for each in measures.list_distributions()}
    assert found["answer with thought, tokens"] == "median 8, 7 to 9"
    assert found["answer, tokens"] == "median 4, 1 to 7"
    assert found["thought, tokens"] == "median 8, 8 to 8"
    measures.add_tokens(rows[0]["id"], 20, None)
    found = {each.title: each.note for each in measures.list_distributions()}
    assert found["thought, tokens, by its share of characters"] == "median 10, 8 to 12"
    assert found["answer, tokens, by its share of characters"] == "median 7, 1 to 8"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("plain", "en"),
        ("a" * 95 + "中" * 5, "en"),
        ("a" * 94 + "中" * 6, "zh"),
        ("42", "other"),
        ("Привет", "other"),
    ],
)
def test_the_language_is_by_the_rule_of_questions(text: str, language: str) -> None:
    assert find_language(text) == language


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_every_number_is_in_one_column(values: list[int]) -> None:
    found = count_numbers("", values, distributions.LENGTHS)
    assert sum(count for _, count in found.columns) == len(values)
    assert found.columns[0][1] > 0 < found.columns[-1][1]
