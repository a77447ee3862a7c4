"""Near-duplicate detection: the first is kept, candidates are verified, and keys are the same everywhere."""

import io
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.deduplication import duplicates
from prep.deduplication.duplicates import Rows, find_picture_twins, find_twins, list_candidates, list_keys
from prep.deduplication.text_similarity import are_similar, list_shingles, measure_jaccard

WORDS = [
    "a",
    "river",
    "runs",
    "from",
    "the",
    "hills",
    "while",
    "people",
    "walk",
    "its",
    "banks",
    "and",
    "talk",
]


def keys_of(texts: list[str], how: str) -> np.ndarray:
    return np.array([list_keys(text, how) for text in texts], np.uint64)


def twins_of(texts: list[str], how: str) -> list[int]:
    same = are_similar if how == "near" else str.__eq__
    return find_twins(keys_of(texts, how), lambda row, other: same(texts[row], texts[other])).tolist()


def test_of_equal_texts_the_first_is_kept() -> None:
    assert twins_of(["a", "b", "a", "c", "b", "a"], "exact") == [-1, -1, 0, -1, 1, 0]


def test_a_text_that_is_nearly_the_same_goes_and_one_with_other_numbers_stays() -> None:
    text = "name the three largest rivers of south america and say where each of them meets the sea"
    texts = [text, text.replace("largest", "biggest"), text.replace("three", "3"), text + "?"]
    assert twins_of(texts, "near") == [-1, 0, -1, 0]
    assert twins_of(texts, "exact") == [-1] * 4


def test_chinese_is_compared_by_its_characters() -> None:
    text = "请详细解释光合作用的过程，并说明它对地球上的生命有什么重要意义，以及人类如何利用它"
    assert twins_of([text, text.replace("利用它", "用到它"), "请解释光合作用"], "near") == [-1, 0, -1]


@given(st.lists(st.text("abc", max_size=3), max_size=40))
def test_exact_duplicates_are_those_of_a_plain_search(texts: list[str]) -> None:
    expected = [texts.index(text) if texts.index(text) < row else -1 for row, text in enumerate(texts)]
    assert twins_of(texts, "exact") == twins_of(texts, "near") == expected


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), max_size=25))
def test_each_row_that_goes_is_similar_to_one_that_stays_before_it(texts: list[str]) -> None:
    twins = twins_of(texts, "near")
    for row, twin in enumerate(twins):
        if twin >= 0:
            assert twin < row
            assert twins[twin] == -1
            assert are_similar(texts[row], texts[twin])


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), max_size=30), st.randoms())
def test_links_are_followed_to_kept_rows_alone(keys: list[list[int]], chance: random.Random) -> None:
    """Against a plain search over all kept rows that share a key."""
    decided = {(row, other): chance.random() < 0.5 for row in range(30) for other in range(row)}
    twins = find_twins(np.array(keys, np.uint64).reshape(-1, 3), lambda row, other: decided[row, other])
    expected: list[int] = []
    for row, own in enumerate(keys):
        shared = [
            other
            for other in range(row)
            if expected[other] < 0 and any(a == b for a, b in zip(own, keys[other], strict=True))
        ]
        expected.append(next((other for other in shared if decided[row, other]), -1))
    assert twins.tolist() == expected


def test_nine_of_ten_texts_at_the_threshold_are_found() -> None:
    """14 bands of 8 hashes find 92 % of the pairs with a similarity of 0.8 (1 - (1 - 0.8^8)^14)."""
    chance = random.Random(1)
    found = []
    while len(found) < 200:
        words = [chance.choice(WORDS) for _ in range(60)]
        changed = [chance.choice(WORDS) if chance.random() < 0.06 else word for word in words]
        one, other = " ".join(words), " ".join(changed)
        if 0.8 <= measure_jaccard(list_shingles(one), list_shingles(other)) < 0.9:
            found.append(twins_of([one, other], "near")[1] == 0)
    assert sum(found) >= 180


def test_a_crowd_of_candidates_is_cut_but_not_those_of_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_CANDIDATES", 3)
    texts = ["the same", *"abcdefg", "the same"]
    keys = np.array([[duplicates.hash_text(text), 7, 7] for text in texts], np.uint64)
    calls = []

    def agree(row: int, other: int) -> bool:
        calls.append((row, other))
        return texts[row] == texts[other]

    assert find_twins(keys, agree).tolist() == [*[-1] * 8, 0]
    assert max(sum(row == each for row, _ in calls) for each in range(9)) <= 3
    assert list_candidates(duplicates.link_earlier(keys), 8)[0] == 0


def test_keys_are_the_same_in_every_process() -> None:
    """A hash seed, a library or a machine that changed them would change what is kept."""
    assert list_keys("what is this?", "exact") == [16247188841394958849]
    assert list_keys("what is this?", "near")[:2] == [16247188841394958849, 10748829465961415260]


def test_pictures_that_are_near_are_candidates_and_texts_decide() -> None:
    hashes = np.zeros((5, 4), np.uint64)
    hashes[1, 0] = 2**31 - 1  # 31 bits
    hashes[2, 0] = 2**32 - 1  # 32 bits
    hashes[3] = 2**64 - 1
    texts = ["a", "a", "a", "a", "b"]
    twins = find_picture_twins(hashes, lambda row, other: texts[row] == texts[other])
    assert twins.tolist() == [-1, 0, -1, -1, -1]


@given(st.lists(st.tuples(st.text(), st.text(), st.binary())))
def test_rows_are_read_as_they_were_written(written: list[tuple[str, str, bytes]]) -> None:
    rows = Rows(io.BytesIO())
    for fields in written:
        rows.append(*fields)
    assert [rows.read(row) for row in reversed(range(len(written)))] == written[::-1]
