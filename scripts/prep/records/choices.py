"""Multiple choice in a source: which choice its answer column names, and the choices as lettered lines."""

from string import ascii_uppercase

from prep.records.reason import Reason, Rejection


def find_choice(answer: str, choices: list[str], answer_by: str) -> int | None:
    """The number of the choice that an answer names by its `text`, `letter` or `index` (from 0)."""
    answer = answer.strip()
    if answer_by == "text":
        found = [number for number, choice in enumerate(choices) if choice.strip() == answer]
        return found[0] if found else None
    if answer_by == "letter":
        number = ascii_uppercase.find(answer.upper()) if len(answer) == 1 else -1
    else:
        number = int(answer) if answer.isascii() and answer.isdigit() else -1
    return number if 0 <= number < len(choices) else None


def list_choices(choices: list[str]) -> list[str]:
    """The choices as lines that begin with their letters."""
    return [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]


def add_choices(
    question: str, answer: str | None, choices: list[str | None] | None, answer_by: str | None
) -> tuple[str, str | None] | Rejection:
    """The question with its choices as lines, and the answer as the one that it names; or why there is none.

    Where there are choices, an answer must name one. A letter or an index without choices names nothing.
    """
    if choices:
        if None in choices or len(choices) > len(ascii_uppercase):
            return Reason.CHOICE_INVALID, "a choice is null" if None in choices else f"{len(choices)} choices"
        lines = list_choices(choices)
        if answer is not None:
            number = find_choice(answer, choices, answer_by or "text")
            if number is None:
                return Reason.CHOICE_INVALID, f"{answer!r:.100} names none of {len(choices)} choices"
            answer = lines[number]
        return "\n".join([question, *lines]), answer
    if answer_by in ("letter", "index") and answer is not None:
        return Reason.CHOICE_INVALID, f"{answer!r:.100}, and no choices"
    return question, answer
