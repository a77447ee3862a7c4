"""Choices of questions without answers, and references that name one."""

import pytest

from prep.records.choices import add_choices, find_choice, list_choices
from prep.records.reason import Reason

CHOICES = ["2", "3", "1"]


@pytest.mark.parametrize(
    ("answer", "answer_by", "line"),
    [(None, None, None), ("1", None, "C. 1"), ("1", "index", "B. 3"), ("c", "letter", "C. 1")],
)
def test_choices_are_lines_and_the_answer_one_of_them(answer, answer_by, line) -> None:
    assert add_choices("How many?", answer, CHOICES, answer_by) == ("How many?\nA. 2\nB. 3\nC. 1", line)


@pytest.mark.parametrize(
    ("answer", "choices", "answer_by"),
    [("4", CHOICES, "text"), ("A", None, "letter"), ("A", [], "letter"), (None, ["a", None], None)],
)
def test_what_names_no_choice_has_a_reason(answer, choices, answer_by) -> None:
    assert add_choices("Q", answer, choices, answer_by)[0] == Reason.CHOICE_INVALID


def test_a_question_without_choices_stays_as_it_is() -> None:
    assert add_choices("Q", "a", None, None) == ("Q", "a")
    assert add_choices("Q", None, [], "letter") == ("Q", None)


@pytest.mark.parametrize(
    ("answer", "answer_by", "number"),
    [
        (" 3\n", "text", 1),
        ("2", "text", 0),
        ("5", "text", None),
        ("a", "letter", 0),
        ("C", "letter", 2),
        ("D", "letter", None),
        ("E", "letter", None),
        ("AB", "letter", None),
        ("", "letter", None),
        ("?", "letter", None),
        ("0", "index", 0),
        ("2", "index", 2),
        ("3", "index", None),
        ("26", "index", None),
        ("-1", "index", None),
        ("²", "index", None),
        ("", "index", None),
    ],
)
def test_an_answer_names_a_choice_or_none(answer: str, answer_by: str, number: int | None) -> None:
    assert find_choice(answer, CHOICES, answer_by) == number


def test_of_equal_choices_the_first_is_named() -> None:
    assert find_choice("a", ["b", "a", " a "], "text") == 1
    assert find_choice(" the sea", ["a lake", "the sea ", "the sea"], "text") == 1


def test_there_are_as_many_choices_as_letters() -> None:
    letters = [f"choice {number}" for number in range(26)]
    lines = list_choices(letters)
    assert lines[0] == "A. choice 0"
    assert lines[25] == "Z. choice 25"
    assert add_choices("Q", "z", letters, "letter") == ("\n".join(["Q", *lines]), lines[25])
    assert add_choices("Q", "a", [*letters, "more"], "letter") == (Reason.CHOICE_INVALID, "27 choices")


def test_a_reason_says_what_is_wrong() -> None:
    assert add_choices("Q", None, ["a", None], None)[1] == "a choice is null"
    assert add_choices("Q", "4", CHOICES, "text")[1] == "'4' names none of 3 choices"
    assert add_choices("Q", "B", None, "letter")[1] == "'B', and no choices"
