"""Numbered files are one whole set, or it is told which are missing and which stand twice."""

import random

from hypothesis import given
from hypothesis import strategies as st

from prep.hub.numbered_files import find_doubled_files, find_missing_files, shorten_names


def names(count: int, width: int = 5, head: str = "data/train", suffix: str = "") -> list[str]:
    return [f"{head}-{n:0{width}}-of-{count:0{width}}{suffix}.parquet" for n in range(count)]


def test_a_gap_is_named():
    one, _, three = names(3)
    assert find_missing_files([one, three]) == ["data/train-00001-of-00003.parquet"]


def test_one_lone_shard_of_many():
    found = find_missing_files(["data/train-00017-of-00943.parquet"])
    assert len(found) == 942
    assert "data/train-00017-of-00943.parquet" not in found
    assert shorten_names(found).endswith("data/train-00004-of-00943.parquet and 937 more")


def test_a_set_of_a_million_files_is_none():
    assert find_missing_files(["data/train-00000-of-999999999999.parquet", f"x-0-of-{'9' * 5000}"]) == []


def test_a_suffix_that_differs_is_not_guessed():
    paths = ["data/train-00000-of-00002-4bcfb2dfa40773de.parquet"]
    assert find_missing_files(paths) == ["data/train-00001-of-00002-*.parquet"]


def test_two_sets_side_by_side():
    found = find_doubled_files([*names(2), *names(3)[:2]])
    assert found == ["data/train-*-of-00002 (2) and data/train-*-of-00003 (2)"]
    assert find_missing_files([*names(2), *names(3)[:2]]) == ["data/train-00002-of-00003.parquet"]


def test_a_number_that_stands_twice_or_is_beyond_the_count():
    twice = ["data/train-00000-of-00001-aaaa.parquet", "data/train-00000-of-00001-bbbb.parquet"]
    assert find_doubled_files(twice) == [" and ".join(twice)]
    assert find_doubled_files([*names(3), "data/train-00003-of-00003.parquet"]) == [
        "data/train-00003-of-00003.parquet"
    ]


def test_numbers_may_begin_at_one():
    paths = [f"data/train-{n:05}-of-00003.parquet" for n in (1, 2, 3)]
    assert (find_missing_files(paths), find_doubled_files(paths)) == ([], [])
    assert find_missing_files(paths[1:]) == paths[:1]


def test_sets_of_several_folders_or_splits_and_files_without_a_count_do_not_meet():
    paths = [
        *names(2),
        *names(3, head="data/validation"),
        *names(1, head="a(b)/train"),
        "distill_r1_110k.jsonl",
    ]
    assert (find_missing_files(paths), find_doubled_files(paths)) == ([], [])


@given(
    count=st.integers(1, 40),
    width=st.sampled_from([3, 5]),
    suffix=st.sampled_from(["", "-0123456789abcdef"]),
    data=st.data(),
)
def test_what_is_taken_away_is_missing_and_nothing_else(count, width, suffix, data):
    whole = names(count, width, suffix=suffix)
    gone = data.draw(st.sets(st.sampled_from(whole), max_size=count - 1))
    left = [name for name in whole if name not in gone]
    random.Random(0).shuffle(left)
    assert find_missing_files(left) == sorted(name.replace(suffix, "-*") if suffix else name for name in gone)
    assert not find_doubled_files(left)


def test_five_names_are_listed_and_of_more_how_many():
    assert shorten_names(["a", "b"]) == "a, b"
    assert shorten_names(list("abcde")) == "a, b, c, d, e"
    assert shorten_names(list("abcdef")) == "a, b, c, d, e and 1 more"
