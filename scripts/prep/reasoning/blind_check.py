"""Blind check: whether a question needs its picture, by an answer that was given without the picture."""

from collections.abc import Iterable

from prep.reasoning.samples import Decision, Policy, select_answers
from prep.records.reason import Reason, Rejection

WRONG = (Reason.JUDGE_FAIL, Reason.ANSWER_DISAGREES, Reason.REFUSAL)
"""Why an answer is rejected that was given, and is not right."""
NOT_NEEDED: Rejection = (Reason.PICTURE_NOT_NEEDED, "answered right without it")


def find_needs(answers: Iterable[dict], verdicts: Iterable[dict], disagree: str) -> dict[str, bool | None]:
    """Whether each question needs its picture, by its id; None where the answer or its verdict is unclear.

    `answers` and `verdicts` are rows of ANSWERS and VERDICTS about the questions without their pictures. What
    the judge or a rule passes, with whatever score, does not need it.
    """
    answers = list(answers)
    decided = select_answers(answers, verdicts, Policy(1, disagree))
    return {answer["question_id"]: _needs(decided[answer["id"]]) for answer in answers}


def _needs(decision: Decision) -> bool | None:
    if decision.rejection is None:
        return False
    return True if decision.rejection[0] in WRONG else None
