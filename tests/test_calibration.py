"""Calibration: intervals that hold the truth, and rates by kind of planted answer."""

import math
import random
from collections import Counter
from functools import cache

import pytest

from prep.inference.request import Response
from prep.reasoning import calibration
from prep.reasoning.calibration import GROUPS, Group, Kind, count_verdicts, find_interval
from prep.reasoning.verdict import build_verdict_row
from prep.records.ids import answer_id
from prep.records.reason import Reason

RATES, SIZES = (0.02, 0.1, 0.3), (30, 50, 80, 120, 200)
KINDS = [kind for group in (Group.WRONG, Group.RIGHT) for kind in GROUPS[group]]


def verdict(kind: Kind, number: int, said: str | None, score: int = 4) -> dict:
    """A row of VERDICTS about a planted answer; None: unclear."""
    content = f'{{"verdict": "{said}", "score": {score}}}' if said else "hm"
    return build_verdict_row(answer_id(f"set/f:{number}", kind, 0), Response(content, None, "stop"))


@pytest.mark.parametrize(
    ("count", "trials", "low", "high"),
    [(0, 30, 0, 0.1157), (1, 10, 0.0025, 0.4450), (10, 10, 0.6915, 1), (50, 100, 0.3983, 0.6017)],
)
def test_an_interval_is_that_of_the_tables(count: int, trials: int, low: float, high: float) -> None:
    assert find_interval(count, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("count", "trials"), [(-1, 5), (6, 5), (0, 0)])
def test_no_interval_of_a_count_that_cannot_be(count: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"{count} of {trials}"):
        find_interval(count, trials)


def test_a_count_between_two_numbers_has_the_limits_of_both() -> None:
    assert find_interval(2.5, 10) == (find_interval(2, 10)[0], find_interval(3, 10)[1])


@pytest.mark.parametrize("trials", SIZES)
def test_the_probability_that_an_interval_holds_the_truth_is_at_least_95_percent(trials: int) -> None:
    """Exactly, by the probability of each count."""
    intervals = [find_interval(count, trials) for count in range(trials + 1)]
    for rate in (*RATES, *(part / 20 for part in range(1, 20))):
        held = sum(
            math.comb(trials, count) * rate**count * (1 - rate) ** (trials - count)
            for count, (low, high) in enumerate(intervals)
            if low <= rate <= high
        )
        assert held >= 0.95, rate


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("questions", [30, 120])
@pytest.mark.parametrize("alike", [0, 0.5])
def test_the_intervals_of_a_scripted_judge_hold_its_rate_in_95_of_100_runs(
    rate: float, questions: int, alike: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a judge who errs so often on each kind, and of a share of the questions on all kinds alike.

    Where it errs alike on all questions, a sum has the interval of one kind (see below), which holds its rate
    as the exact test says: in 95 of 100 runs on the whole, and not in each hundred.
    """
    monkeypatch.setattr(calibration, "find_interval", cache(find_interval))
    dice = random.Random(42)
    held: Counter[str] = Counter()
    for _ in range(100):
        rows = []
        for number in range(questions):
            is_alike, errs = dice.random() < alike, dice.random() < rate
            for kind in KINDS:
                is_wrong = errs if is_alike else dice.random() < rate
                says = "pass" if (kind in GROUPS[Group.WRONG]) == is_wrong else "fail"
                id_ = answer_id(f"set/f:{number}", kind, 0)
                rows.append({"id": id_, "verdict": says, "score": 4, "detail": ""})
        counted = count_verdicts(rows, min_score=3)
        lines = {"kind": counted["kinds"].values(), "sum": counted["sums"].values()}
        for name, some in lines.items():
            held[name] += sum(
                line["interval"][0] <= rate <= line["interval"][1] for line in some if line["planted"]
            )
    assert held["kind"] >= 95 * len(KINDS)
    assert held["sum"] >= 95 * 2


def test_misses_and_false_alarms_are_counted_apart() -> None:
    rows = [
        *(verdict(Kind.NEGATION, number, "pass") for number in range(2)),
        *(verdict(Kind.NEGATION, number, "fail", 1) for number in range(2, 10)),
        *(verdict(Kind.REFERENCE, number, "pass") for number in range(3)),
        verdict(Kind.REFERENCE, 3, "fail", 2),
        verdict(Kind.WRONG_REASONING, 1, "pass"),
    ]
    counted = count_verdicts(rows, min_score=3)
    negation, reference = counted["kinds"][Kind.NEGATION], counted["kinds"][Kind.REFERENCE]
    assert (negation["planted"], negation["passed"], negation["failed"], negation["wrong"]) == (10, 2, 8, 2)
    assert negation["rate"] == 0.2
    assert (reference["wrong"], reference["rate"]) == (1, 0.25)
    assert negation["interval"] == pytest.approx(find_interval(2, 10), abs=1e-4)
    assert counted["sums"] == {"wrong": negation, "right": reference}
    arguable = counted["kinds"][Kind.WRONG_REASONING]
    assert (arguable["planted"], arguable["rate"]) == (1, 1.0)


def test_what_would_not_be_kept_has_not_passed() -> None:
    rows = [verdict(Kind.NEGATION, number, "pass", score) for number, score in enumerate((2, 3, 4))]
    assert [count_verdicts(rows, least)["kinds"][Kind.NEGATION]["passed"] for least in (1, 3, 5)] == [3, 2, 0]


def test_unclear_verdicts_and_failures_of_the_server_are_in_no_rate() -> None:
    id_ = answer_id("set/f:9", Kind.NEGATION, 0)
    rows = [
        verdict(Kind.NEGATION, 0, "fail", 1),
        verdict(Kind.NEGATION, 1, None),
        build_verdict_row(id_, Response('{"verdict": "pass", "score": 5}', None, "length")),
        build_verdict_row(id_, Response("", None, None, Reason.REPETITION, "repeated itself")),
        build_verdict_row(id_, Response("", None, None, Reason.TIMEOUT, "after 600 s")),
        build_verdict_row(id_, Response("", None, None, Reason.SERVER_ERROR, None)),
    ]
    line = count_verdicts(rows, min_score=3)["kinds"][Kind.NEGATION]
    assert line == {
        **{"planted": 6, "passed": 0, "failed": 1, "unclear": 3, "unanswered": 2, "wrong": 0},
        **{"rate": 0.0, "interval": [0.0, 0.975]},
    }


def test_a_kind_without_a_sample_has_no_rate() -> None:
    counted = count_verdicts([verdict(Kind.REFERENCE, 0, None)], min_score=3)
    nothing = {"planted": 0, "passed": 0, "failed": 0, "unclear": 0, "unanswered": 0, "wrong": 0}
    assert counted["kinds"][Kind.NEGATION] == nothing | {"rate": None, "interval": None}
    assert counted["kinds"][Kind.REFERENCE]["planted"] == 1
    assert counted["kinds"][Kind.REFERENCE]["rate"] is None
    assert counted["sums"]["wrong"]["rate"] is None


def test_a_sum_counts_each_question_once() -> None:
    """A judge that errs on all kinds of a question alike has shown no more than one of them does."""
    kinds = GROUPS[Group.RIGHT]
    rows = [verdict(kind, n, "fail" if n < 3 else "pass") for n in range(30) for kind in kinds]
    counted = count_verdicts(rows, min_score=3)
    assert counted["sums"]["right"]["planted"] == 90
    assert counted["sums"]["right"]["interval"] == counted["kinds"][Kind.REFERENCE]["interval"]
