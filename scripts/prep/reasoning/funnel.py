"""Funnel of a batch: how many answers of a source, in a mode, came through each step."""

from collections import Counter
from collections.abc import Iterable

from prep.comparison.outcome import Outcome
from prep.records.reason import Reason

STEPS = ("asked", "answered", "well_formed", *(outcome.value for outcome in Outcome), "passed", "kept")
"""The steps in order. What rules say is counted of well-formed answers; each of the others is a part of the
one before, but that with `keep_failed` more are kept than passed."""

UNANSWERED = (
    *(Reason.TRANSPORT, Reason.TIMEOUT, Reason.RATE_LIMITED, Reason.SERVER_ERROR, Reason.CUT_JSON),
    *(Reason.MALFORMED, Reason.BAD_REQUEST),
)
"""Why there is no answer at all."""


class Funnel:
    """Counts answers by source, mode and step."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counter[str]] = {}

    def add(self, answer: dict, rule: str | None, has_passed: bool, is_kept: bool) -> None:
        """Count an answer: a row of ANSWERS, what a rule and the judge said, and whether it is kept."""
        source = answer["question_id"].rpartition("/")[0]
        counts = self._counts.setdefault((source, answer["mode"]), Counter())
        is_whole = answer["reason"] is None
        came_to = {
            "asked": True,
            "answered": answer["reason"] not in UNANSWERED,
            "well_formed": is_whole,
            "passed": is_whole and has_passed,
            "kept": is_kept,
        }
        counts.update(step for step, came in came_to.items() if came)
        if is_whole and rule:
            counts[rule] += 1

    def lines(self) -> list[dict[str, str | int]]:
        """One for each source and mode, in the order in which they came: the count at each step."""
        return [
            {"source": source, "mode": mode, **{step: counts[step] for step in STEPS}}
            for (source, mode), counts in self._counts.items()
        ]


def merge_lines(lines: Iterable[dict[str, str | int]]) -> list[dict[str, str | int]]:
    """The funnel of an artifact from the lines of its batches."""
    merged: dict[tuple[str, str], dict[str, str | int]] = {}
    for line in lines:
        if known := merged.get((line["source"], line["mode"])):
            known.update({step: known[step] + line[step] for step in STEPS})
        else:
            merged[line["source"], line["mode"]] = dict(line)
    return list(merged.values())
