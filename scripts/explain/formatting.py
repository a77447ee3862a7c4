"""The explanation of a row as text of at most 100 columns, and as JSON."""

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explain.explanation import Explanation
from explain.row_lookup import Place
from prep.runtime.sanitize import sanitize

COLUMNS, LABEL = 100, 18
"""The width of a line, and of the labels of facts."""
_PIECE = re.compile(r"\s+|[^\s\u2e80-\uffff]+|[\u2e80-\uffff]")


def format_text(found: Explanation) -> str:
    """The explanation for a terminal; whatever the data hold is shown as text."""
    lines = [found.id]
    for fate in found.fates:
        what = (
            f"kept in {fate.artifact}"
            if fate.reason is None
            else f"rejected from {fate.artifact}: {fate.reason}"
        )
        lines += ["", what if fate.id == found.id else f"{what} ({fate.id})"]
        lines += _format_facts({key: value for key, value in fate.facts.items() if key != "reason"})
    if not found.fates:
        lines += ["", f"not in data/: {found.absence}"]
    lines += ["", "where it is from", *_format_facts(found.origin), "", "what each step decided"]
    for step in found.steps:
        lines += [f"  {step.name}: {step.outcome}", *_format_facts(step.facts)]
    for title, told in (("what could not be read", found.notes), ("what to do next", found.commands)):
        if told:
            lines += ["", title, *(f"    {line}" for line in told)]
    return "\n".join(sanitize(line).replace("\n", " ").rstrip() for line in lines)


def format_json(found: Explanation) -> str:
    """The same as JSON; a place is `{"file": …, "row": …}`."""
    told = {
        "id": found.id,
        "fates": [
            {"id": each.id, "artifact": each.artifact} | {"reason": each.reason} | each.facts
            for each in found.fates
        ],
        "absence": found.absence,
        "from": found.origin,
        "steps": [{"step": step.name, "outcome": step.outcome} | step.facts for step in found.steps],
        "notes": found.notes,
        "next": found.commands,
    }
    return json.dumps(_as_json(told), indent=2, ensure_ascii=False)


def _as_json(value: Any) -> Any:
    if isinstance(value, Place):
        return {"file": str(value.file), "row": value.row}
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    return sanitize(str(value)) if isinstance(value, (str, Path)) else value


def _format_facts(facts: dict[str, Any]) -> Iterator[str]:
    for label, value in facts.items():
        if value is None:
            continue
        own = value if isinstance(value, list) else [value]
        lines = [line for each in own for line in wrap_text(_format_value(each), COLUMNS - LABEL - 4)]
        for number, line in enumerate(lines):
            yield f"    {'' if number else label:<{LABEL}}{line}"


def _format_value(value: Any) -> str:
    if isinstance(value, Place):
        return f"{value.file}, row {value.row}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return json.dumps(value) if isinstance(value, dict) else sanitize(str(value)).expandtabs(4)


def wrap_text(text: str, columns: int) -> list[str]:
    """A text in lines of so many columns, of which a Chinese character takes two; a long word stays whole."""
    lines, line, used = [], "", 0
    for piece in _PIECE.findall(text.replace("\n", " ")):
        wide = sum(1 + (unicodedata.east_asian_width(each) in "WF") for each in piece)
        if line.strip() and used + wide > columns:
            lines.append(line.rstrip())
            line, used = "", 0
            if piece.isspace():
                continue
        line += piece
        used += wide
    return [*lines, line.rstrip()]
