"""A step of a row's way: what a rule decided, with what facts, and where the result stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explain.build_folder import BuildFolder
from explain.rules import FURTHER, RULES, find_function
from prep.records.reason import Reason
from prep.report.formatting import MEANINGS

KEPT, NOT_KNOWN = "kept", "not known"
END = ("rejected", "not drawn", "not read", "in no batch", "in neither")
"""How the outcome of a step begins after which a row goes no further."""
SHOWN_LINES, LINE_CHARACTERS = 8, 300
"""How much is shown of a text."""


@dataclass
class Step:
    """What the rule `name` decided; `facts` are shown in their order, those that are None are left out."""

    name: str
    outcome: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_end(self) -> bool:
        """Whether the row went no further."""
        return self.outcome.startswith(END)


def build_step(
    folder: BuildFolder, rule: str, outcome: str, facts: Mapping[str, Any], log: str = "", **about: str | None
) -> Step:
    """A step with its rule, function and log.

    `log` is what follows the rule's name in the log's path. Of `about`, `reason` is why the rule rejects, and
    `teacher` a further teacher, whose rule has a name of its own.
    """
    name = f"{rule}_{about['teacher']}" if about.get("teacher") else rule
    known, path = RULES[rule], folder.root / f"logs/{rule}{log}.log"
    decides = {
        "rule": f"{name} in {FURTHER if about.get('teacher') else known.file}: scripts/{known.program}",
        "decided by": None if outcome == NOT_KNOWN else find_function(rule, about.get("reason")),
        "log": str(path) if path.is_file() else None,
    }
    return Step(name, outcome, dict(facts) | decides)


def say_missing(path: Path | str) -> dict[str, str]:
    """The fact that a file is not there."""
    return {"missing": f"{path} (not built, or deleted)"}


def cut_lines(text: str | None, most: int = SHOWN_LINES) -> list[str] | None:
    """The first lines of a text, and how many are left out."""
    if text is None:
        return None
    lines = text.strip("\n").split("\n")
    shown = [line if len(line) <= LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]}…" for line in lines[:most]]
    return [*shown, f"… ({len(lines) - most} more lines)"] if len(lines) > most else shown


def describe_reason(reason: str, detail: str | None) -> dict[str, Any]:
    """A rejection in words; a reason of other code has no meaning here."""
    is_known = reason in Reason.__members__.values()
    return {
        "reason": reason,
        "meaning": MEANINGS[Reason(reason)] if is_known else None,
        "detail": detail or None,
    }
