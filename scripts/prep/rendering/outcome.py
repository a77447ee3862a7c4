"""Rendering outcomes: the closed set of how a question comes out, and their counts in one line."""

from collections.abc import Iterable
from enum import StrEnum

from prep.records.reason import Rejection
from prep.rendering.typeset import Rendering


class RenderOutcome(StrEnum):
    """How a question comes out, from the best to the worst."""

    TYPESET = "typeset"
    PARTLY_LITERAL = "partly literal"
    ALL_LITERAL = "all literal"
    REJECTED = "rejected"


def find_outcome(found: Rendering | Rejection) -> RenderOutcome:
    """Find the outcome of a question: what is literal is the source's text in place of its typeset form."""
    if not isinstance(found, Rendering):
        return RenderOutcome.REJECTED
    if found.is_all_literal:
        return RenderOutcome.ALL_LITERAL
    return RenderOutcome.PARTLY_LITERAL if found.detail else RenderOutcome.TYPESET


def format_counts(outcomes: Iterable[RenderOutcome]) -> str:
    """Format how often each outcome is among `outcomes`, as `typeset 9, partly literal 1, …`."""
    every = list(outcomes)
    return ", ".join(f"{outcome} {every.count(outcome)}" for outcome in RenderOutcome)
