"""Calibration of a judge: miss and false-alarm rates on planted answers, with Clopper-Pearson intervals."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from prep.reasoning.verdict import is_unanswered
from prep.records.ids import parse_answer_id

CONFIDENCE = 0.95
DIGITS = 4
"""Decimal places of rates and limits."""
_STEPS = 40
"""Halvings of an interval until a limit is found; 2**-40 is far below DIGITS."""


class Kind(StrEnum):
    """What is planted in the place of an answer (see prep.reasoning.planted_answers)."""

    ANOTHER_NUMBER = "another_number"
    ANOTHER_CHOICE = "another_choice"
    NEGATION = "negation"
    ANOTHER_QUESTION = "another_question"
    EMPTY_PHRASE = "empty_phrase"
    INSTRUCTION = "instruction"
    REFERENCE = "reference"
    RESTATED = "restated"
    OTHER_FORM = "other_form"
    WRONG_REASONING = "wrong_reasoning"


class Group(StrEnum):
    """What a judge is to say of a kind of planted answer."""

    WRONG = "wrong"
    RIGHT = "right"
    ARGUABLE = "arguable"


GROUPS = {
    Group.WRONG: (
        *(Kind.ANOTHER_NUMBER, Kind.ANOTHER_CHOICE, Kind.NEGATION),
        *(Kind.ANOTHER_QUESTION, Kind.EMPTY_PHRASE, Kind.INSTRUCTION),
    ),
    Group.RIGHT: (Kind.REFERENCE, Kind.RESTATED, Kind.OTHER_FORM),
    Group.ARGUABLE: (Kind.WRONG_REASONING,),
}
MEANINGS = {
    Kind.ANOTHER_NUMBER: "another number",
    Kind.ANOTHER_CHOICE: "another choice",
    Kind.NEGATION: "no for yes, or yes for no",
    Kind.ANOTHER_QUESTION: "the answer of another question",
    Kind.EMPTY_PHRASE: "an empty phrase, such as `Solution:`",
    Kind.INSTRUCTION: "a wrong answer and an instruction to the judge",
    Kind.REFERENCE: "the reference itself",
    Kind.RESTATED: "the reference in a sentence",
    Kind.OTHER_FORM: "the result in another form",
    Kind.WRONG_REASONING: "wrong steps to the right result",
}


def find_interval(count: float, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of Clopper and Pearson for a rate of which `count` of `trials` were seen.

    It holds the true rate with at least this probability, whatever the rate (C. J. Clopper and E. S. Pearson,
    Biometrika 26, 1934, 404-413); Wilson's has as little as 0.86 of 0.95 for rare events. A limit is the rate
    at which so many, or more extreme, have half of what is left of the probability. A count between two whole
    numbers has the lower one's lower limit and the higher one's upper limit.
    """
    if not 0 <= count <= trials or not trials:
        raise ValueError(f"{count} of {trials}")
    tail, least, most = (1 - confidence) / 2, math.floor(count), math.ceil(count)
    low = _bisect(lambda rate: tail_probability(least, trials, rate) < tail) if least else 0.0
    high = (
        _bisect(lambda rate: tail_probability(trials - most, trials, 1 - rate) > tail)
        if most < trials
        else 1.0
    )
    return low, high


def tail_probability(count: int, trials: int, rate: float) -> float:
    """The probability of `count` or more events of a rate (0 < rate < 1) in so many trials."""
    total = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            total
            - math.lgamma(each + 1)
            - math.lgamma(trials - each + 1)
            + each * math.log(rate)
            + (trials - each) * math.log1p(-rate)
        )
        for each in range(count, trials + 1)
    )


def _bisect(is_below: Callable[[float], bool]) -> float:
    """Where a condition that holds below a rate ends to hold."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def count_verdicts(verdicts: Iterable[dict], min_score: int) -> dict[str, Any]:
    """The line of each kind and the sums of each group, from rows of VERDICTS on planted answers.

    A line counts what was `planted`, and of that what `passed` (with `min_score` or more, so that it would
    be kept), `failed`, was `unclear`, or `unanswered` by the server. What the judge got `wrong` are errors
    that passed and right answers that failed; of the arguable kind it is what passed. The `rate` is its share
    of what passed or failed, with its `interval`. Both are null where nothing did.
    """
    of_kind: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}
    questions: dict[Group, set[str]] = {group: set() for group in Group}
    group_of = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
    for row in verdicts:
        asked = parse_answer_id(row["id"])
        kind, came_to = Kind(asked.mode), sort_verdict(row, min_score)
        of_kind[kind][came_to] += 1
        if came_to in ("passed", "failed"):
            questions[group_of[kind]].add(asked.question_id)
    lines = {kind: _build_line(group, of_kind[kind]) for group, kinds in GROUPS.items() for kind in kinds}
    sums = {
        group: _build_line(group, sum((of_kind[kind] for kind in GROUPS[group]), Counter()), len(asked))
        for group, asked in questions.items()
        if group is not Group.ARGUABLE
    }
    return {"kinds": lines, "sums": sums}


def sort_verdict(row: dict, min_score: int) -> str:
    """What came of a planted answer, by its row of VERDICTS: passed, failed, unclear or unanswered."""
    if row["verdict"] is not None:
        return "passed" if row["verdict"] == "pass" and row["score"] >= min_score else "failed"
    return "unanswered" if is_unanswered(row) else "unclear"


def _build_line(group: Group, counts: Counter[str], questions: int | None = None) -> dict[str, Any]:
    """A line of counts. Of a sum over kinds the interval counts `questions`: a judge may err on all answers
    to a question alike, so they are taken as one trial."""
    wrong = counts["failed" if group is Group.RIGHT else "passed"]
    heard = counts["passed"] + counts["failed"]
    line: dict[str, Any] = {"planted": counts.total()}
    line |= {name: counts[name] for name in ("passed", "failed", "unclear", "unanswered")}
    line["wrong"] = wrong
    if not heard:
        return line | {"rate": None, "interval": None}
    trials = heard if questions is None else questions
    low, high = find_interval(wrong * trials / heard, trials)
    ends = [math.floor(low * 10**DIGITS) / 10**DIGITS, math.ceil(high * 10**DIGITS) / 10**DIGITS]
    return line | {"rate": round(wrong / heard, DIGITS), "interval": ends}
