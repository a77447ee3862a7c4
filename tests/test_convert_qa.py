"""Questions and answers: choices as lettered lines, the answer among them, a rationale before it."""

import pytest

from prep.convert.qa import build_cells, build_messages
from prep.convert.shard import Row
from prep.records.reason import Reason

ROW = Row("a:0", None)
CHOICES = [b"2", b"3", b"1"]


def build(
    answer: bytes | None,
    choices: list | None = None,
    answer_by: str | None = None,
    question: bytes | None = b"How many?",
    rationale: bytes | None = None,
) -> tuple:
    found = build_messages(ROW, question, answer, choices, rationale, answer_by)
    return tuple(message["content"] for message in found) if isinstance(found, list) else found


def test_a_question_and_its_answer_are_the_messages() -> None:
    assert build(b"Two.") == ("<image>\nHow many?", "Two.")
    assert build(b"Two.", [], "text") == ("<image>\nHow many?", "Two.")
    assert build(b"Two.", rationale=b"One and one.") == ("<image>\nHow many?", "One and one.\n\nTwo.")
    assert build(b"Two.", rationale=b" ") == ("<image>\nHow many?", "Two.")


@pytest.mark.parametrize(
    ("answer", "answer_by", "line"),
    [(b"1", "text", "C. 1"), (b"1", "index", "B. 3"), (b"c", "letter", "C. 1"), (b" 3 ", "text", "B. 3")],
)
def test_an_answer_is_the_choice_that_it_names(answer: bytes, answer_by: str, line: str) -> None:
    assert build(answer, CHOICES, answer_by) == ("<image>\nHow many?\nA. 2\nB. 3\nC. 1", line)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"question": None, "answer": b"a"}, Reason.QUESTION_EMPTY),
        ({"question": b" ", "answer": b"a"}, Reason.QUESTION_EMPTY),
        ({"answer": None}, Reason.TEXT_EMPTY),
        ({"answer": b"\n"}, Reason.TEXT_EMPTY),
        ({"answer": b"4", "choices": CHOICES, "answer_by": "text"}, Reason.CHOICE_INVALID),
        ({"answer": b"3", "choices": CHOICES, "answer_by": "index"}, Reason.CHOICE_INVALID),
        ({"answer": b"-1", "choices": CHOICES, "answer_by": "index"}, Reason.CHOICE_INVALID),
        ({"answer": b"D", "choices": CHOICES, "answer_by": "letter"}, Reason.CHOICE_INVALID),
        ({"answer": b"AB", "choices": CHOICES, "answer_by": "letter"}, Reason.CHOICE_INVALID),
        ({"answer": b"2", "choices": [b"2", None], "answer_by": "text"}, Reason.CHOICE_INVALID),
        ({"answer": b"0", "choices": [b"x"] * 27, "answer_by": "index"}, Reason.CHOICE_INVALID),
        ({"answer": b"0", "choices": [], "answer_by": "index"}, Reason.CHOICE_INVALID),
        ({"answer": b"0", "choices": None, "answer_by": "index"}, Reason.CHOICE_INVALID),
        ({"answer": b"A", "choices": None, "answer_by": "letter"}, Reason.CHOICE_INVALID),
        ({"question": b"<image><image>", "answer": b"a"}, Reason.SEVERAL_IMAGE_TAGS),
        ({"answer": b"a", "rationale": b"<think>"}, Reason.THINK_TAG_IN_ANSWER),
    ],
)
def test_a_broken_rule_is_the_reason(cells: dict, reason: Reason) -> None:
    assert build(**cells)[0] == reason


def test_columns_that_a_source_has_not_are_as_null() -> None:
    found = build_cells(ROW, b"How many?", b"Two.", given=["question", "answer"], answer_by="text")
    assert [message["content"] for message in found] == ["<image>\nHow many?", "Two."]
