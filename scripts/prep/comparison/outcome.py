"""Outcome of a comparison, three-valued: agrees, disagrees, or cannot be told."""

from enum import StrEnum


class Outcome(StrEnum):
    """Whether an answer says what its reference says, as far as a rule can tell."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    CANNOT_TELL = "cannot_tell"


def decide(is_same: bool) -> Outcome:
    """AGREES or DISAGREES, where both sides are definite."""
    return Outcome.AGREES if is_same else Outcome.DISAGREES
