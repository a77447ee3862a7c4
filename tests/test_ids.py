"""Ids are those of the contract, and parsing gives back what made them."""

from hypothesis import given
from hypothesis import strategies as st

from prep.records import ids


def test_ids_are_those_of_the_contract():
    found = ids.row_id("llavaonevision_converted/iiit5k", "iiit5k/train-00000-of-00001.parquet", 5)
    assert found == "llavaonevision_converted/iiit5k/train-00000-of-00001:5"
    assert ids.question_source("tatsu-lab/alpaca", None) == "alpaca"
    assert ids.question_source("tatsu-lab/alpaca", "ours/first") == "ours/first"
    assert ids.answer_id("alpaca/train:3", "no_thinking", 0) == "alpaca/train:3#no_thinking.0"


@given(st.text(), st.text("ab#.:/", min_size=1), st.integers(0))
def test_a_row_id_is_parsed_whatever_the_names_hold(name, stem, row):
    assert ids.parse_row_id(f"{name}/{stem}:{row}", name) == (stem, row)
    assert ids.parse_row_id(ids.row_id("a", "b/c.parquet", row), "a") == ("c", row)


@given(st.text(), st.sampled_from(["thinking", "no_thinking"]), st.integers(0, 63))
def test_an_answer_id_is_parsed_whatever_the_question_holds(question, mode, sample):
    assert ids.parse_answer_id(ids.answer_id(question, mode, sample)) == (question, mode, sample)


@given(st.text(), st.sampled_from(["thinking", "no_thinking"]), st.integers(0, 63), st.integers(0, 8))
def test_a_vote_id_is_parsed_whatever_the_question_holds(question, mode, sample, vote):
    answer = ids.answer_id(question, mode, sample)
    assert ids.parse_vote_id(ids.vote_id(answer, vote)) == (answer, vote)
    assert ids.vote_id(answer, 0) == answer
