"""Choices of questions without answers, and references that name one."""

import pytest

from prep.records.choices import add_choices
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
