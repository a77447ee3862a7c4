"""Best-of-n (rejection sampling): scores and pass rate of a question's samples, and which are kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from prep.comparison.outcome import Outcome
from prep.records.reason import Reason, Rejection

BY_RULE = 6
"""How an answer ranks that a rule passed without the judge: above every score."""
_Asked = tuple[str, str]
"""The id of a question, and the mode that it is asked in."""
VERDICTS = (Reason.JUDGE_UNCLEAR, Reason.JUDGE_FAIL, Reason.LOW_SCORE, Reason.ANSWER_DISAGREES)
"""Why an answer is rejected that has the right form."""


class Policy(NamedTuple):
    """What decides which answers are kept (docs/quality.md tells each)."""

    min_score: int
    disagree: str = "ask"
    """`reject`: every answer that a rule disagrees with is rejected; `ask`: the judge decides."""
    keep: str = "best"
    """Which of the passed samples of a question and mode are kept: `best`, `first` or `all`."""
    keep_failed: bool = False
    """Whether answers of the right form are kept that the judge did not pass."""
    pass_rate: tuple[float, float] = (0.0, 1.0)
    """Between which shares of passed samples a question's answers are kept, both included."""


class Decision(NamedTuple):
    """What comes of an answer: its score, its rejection or None when it is kept, its question's pass rate.

    `has_passed`: the judge or a rule found it right, with whatever score.
    """

    score: int | None
    rejection: Rejection | None
    pass_rate: float
    has_passed: bool


class PassRate(NamedTuple):
    """The share of a question's samples in a mode that passed, with whatever score."""

    rate: float
    samples: int


class _Sample(NamedTuple):
    id: str
    number: int
    score: int | None
    rejection: Rejection | None

    @property
    def has_passed(self) -> bool:
        """Whether the judge or a rule found it right, with whatever score."""
        return self.rejection is None or self.rejection[0] == Reason.LOW_SCORE

    def rank(self, keep: str) -> tuple[bool, int, int, str]:
        score = BY_RULE if self.score is None and self.rejection is None else self.score or 0
        return self.rejection is not None, -score if keep == "best" else 0, self.number, self.id


def select_answers(
    answers: Iterable[dict],
    verdicts: Iterable[dict],
    policy: Policy,
    rates: Mapping[_Asked, PassRate] | None = None,
) -> dict[str, Decision]:
    """What comes of each answer, by its id.

    Of an answer only id, question_id, mode, sample, reason and detail are looked at, so that a batch's
    texts need not be in memory. Verdicts are joined by id. Samples compete within one question and mode:
    those that passed come first, then the best score, then the lowest sample number. One that a rule passed
    without the judge has no score, and counts as better than any. The pass rates are those of the samples
    themselves, or `rates` of another server's, by question and mode.
    """
    groups = _group_samples(answers, verdicts, policy)
    rates = _count_passed(groups) if rates is None else rates
    return dict(chain.from_iterable(_choose(groups[asked], policy, rates[asked]) for asked in groups))


def measure_pass_rates(
    answers: Iterable[dict], verdicts: Iterable[dict], policy: Policy
) -> dict[_Asked, PassRate]:
    """The pass rate of each question and mode, of answers that are kept nowhere (see select_answers)."""
    return _count_passed(_group_samples(answers, verdicts, policy))


def _group_samples(
    answers: Iterable[dict], verdicts: Iterable[dict], policy: Policy
) -> dict[_Asked, list[_Sample]]:
    by_id = {row["id"]: row for row in verdicts}
    groups: dict[_Asked, list[_Sample]] = defaultdict(list)
    for answer in answers:
        found = _score_answer(answer, by_id.get(answer["id"]), policy)
        groups[answer["question_id"], answer["mode"]].append(_Sample(answer["id"], answer["sample"], *found))
    return groups


def _count_passed(groups: Mapping[_Asked, list[_Sample]]) -> dict[_Asked, PassRate]:
    return {
        asked: PassRate(sum(sample.has_passed for sample in samples) / len(samples), len(samples))
        for asked, samples in groups.items()
    }


def _choose(samples: list[_Sample], policy: Policy, rated: PassRate) -> Iterator[tuple[str, Decision]]:
    """Decide on the samples of one question and mode, by id."""
    rate = rated.rate
    low, high = policy.pass_rate
    outside = None if low <= rate <= high else (Reason.PASS_RATE, f"{rate:.3g} of {rated.samples} samples")
    allowed = [sample for sample in samples if _may_be_kept(sample, policy)]
    best = min(allowed, key=lambda sample: sample.rank(policy.keep), default=None)
    for sample in samples:
        rejection = sample.rejection
        if sample in allowed:
            if outside:
                rejection = outside
            elif policy.keep == "all" or sample is best:
                rejection = None
            elif rejection is None:
                score = "passed by rule" if sample.score is None else f"score {sample.score}"
                rejection = (Reason.NOT_BEST, score)
        yield sample.id, Decision(sample.score, rejection, rate, sample.has_passed)


def _may_be_kept(sample: _Sample, policy: Policy) -> bool:
    if sample.rejection is None:
        return True
    reason, _ = sample.rejection
    is_ruled_out = reason == Reason.ANSWER_DISAGREES and policy.disagree == "reject"
    return policy.keep_failed and reason in VERDICTS and not is_ruled_out


def _score_answer(answer: dict, verdict: dict | None, policy: Policy) -> tuple[int | None, Rejection | None]:
    if answer["reason"]:
        return None, (Reason(answer["reason"]), answer["detail"] or "")
    if verdict is None:
        return None, (Reason.JUDGE_UNCLEAR, "the judge was not heard")
    detail, score = verdict["detail"] or "", verdict["score"]
    disagrees = verdict.get("rule") == Outcome.DISAGREES
    if disagrees and policy.disagree == "reject":
        return score, (Reason.ANSWER_DISAGREES, "by rule")
    if verdict["reason"]:
        return None, (Reason(verdict["reason"]), detail)
    if verdict["verdict"] is None:
        return None, None
    if verdict["verdict"] != "pass":
        reason = Reason.ANSWER_DISAGREES if disagrees else Reason.JUDGE_FAIL
        return score, (reason, f"score {score}: {detail}")
    if score < policy.min_score:
        return score, (Reason.LOW_SCORE, f"score {score}: {detail}")
    return score, None
