"""Text similarity: what counts as the same text, and what a shingle and a word are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.deduplication.text_similarity import (
    MIN_JACCARD,
    are_similar,
    list_quantities,
    list_shingles,
    list_words,
    measure_jaccard,
    normalize_text,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  this?\n", "what IS this?"),
        ("Ｗｈａｔ？", "what?"),
        ("STRASSE", "straße"),
        ("他　是谁？", "他 是谁?"),
    ],
)
def test_case_space_and_forms_of_characters_do_not_count(one: str, other: str) -> None:
    assert normalize_text(one) == normalize_text(other)


def test_words_are_without_punctuation_and_each_chinese_character_is_one() -> None:
    assert list_words("who's 3.5, \\frac{a_1}{2}?") == ["who", "s", "3", "5", "frac", "a", "1", "2"]
    assert list_words("用python写、个 程序") == ["用", "python", "写", "个", "程", "序"]


def test_quantities_are_numbers_and_signs_but_no_hyphens() -> None:
    assert list_quantities("step-by-step: 1,250 - 3.5 = x") == ["1,250", "-", "3.5", "="]


@given(st.text())
def test_a_text_has_a_shingle_and_is_similar_to_itself(text: str) -> None:
    shingles = list_shingles(normalize_text(text))
    assert len(shingles) >= 1
    assert measure_jaccard(shingles, shingles) == 1
    assert are_similar(normalize_text(text), normalize_text(text))


@given(st.text("ab 1", max_size=30), st.text("ab 1", max_size=30))
def test_similarity_is_symmetric_and_no_more_than_the_measure_says(one: str, other: str) -> None:
    assert are_similar(one, other) == are_similar(other, one)
    measure = measure_jaccard(list_shingles(one), list_shingles(other))
    assert 0 <= measure <= 1
    expected = measure >= MIN_JACCARD and list_quantities(one) == list_quantities(other)
    assert are_similar(one, other) == (one == other or expected)


def test_questions_of_one_template_with_other_numbers_are_not_the_same() -> None:
    text = "a farmer has {} sheep and sells half of them at the market; how many does the farmer have left?"
    assert not are_similar(text.format(18), text.format(24))
    assert are_similar(text.format(18), text.format(18).replace("the farmer", "this farmer"))
    sums = "work out {} and write down every single step of the calculation before you give the result"
    assert not are_similar(sums.format("8 + 3"), sums.format("8 - 3"))
