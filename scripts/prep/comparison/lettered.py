"""Multiple choice in a comparison: the letters that questions, references and answers name."""

import re
from string import ascii_uppercase
from typing import NamedTuple

LETTERS = ascii_uppercase[:10]
_LINE = re.compile(r"^\s*[(\[]?([A-J])\s*[)\].:、]\s*(\S.*?)\s*$", re.MULTILINE)
_INLINE = re.compile(r"(?:^|[\s;,(])\(?([A-J])\s*(?:[).:、])\s*")
_WORD = (
    r"(?:the\s+)?(?:correct\s+|right\s+|final\s+)?(?:options?|choices?|answers?|letters?|选项|答案|选)\s*"
    r"(?:is|are|是|为|:)?\s*"
)
_SINGLE = re.compile(rf"(?:{_WORD})?[(\[]?\s*([A-J])\s*[)\]]?(?:\s*(?:选项|项))?", re.IGNORECASE)
_WITH_TEXT = re.compile(
    rf"(?:{_WORD})?(?:[(\[]\s*([A-J])\s*[)\]]\s*[.:,、-]?|([A-J])\s*(?:[.):、]|\s-\s|,\s))\s*(\S.*)",
    re.DOTALL,
)
_SEVERAL = re.compile(
    rf"(?:{_WORD})?(?:both\s+)?[(\[]?[A-J][)\]]?(?:\s*(?:,|、|;|&|\band\b|和|与|及|以及|\s)\s*(?:and\s+)?[(\[]?[A-J][)\]]?)+"
)
_RUN = re.compile(rf"(?:{_WORD})?([A-J]{{2,8}})")
_CORRECT = re.compile(
    r"(?:is|are)\s+(?:the\s+)?(?:correct|right|true)(?:\s+(?:answers?|options?|choices?))?|(?:是)?正确(?:的|答案)?",
    re.IGNORECASE,
)


class Letters(NamedTuple):
    """The letters that a text names, and the choice's text behind one."""

    letters: frozenset[str]
    text: str = ""


def parse_choices(question: str) -> dict[str, str]:
    """The choices of a normalised question, by letter; none where they are not lettered from A on."""
    found = _LINE.findall(question)
    if len(found) < 2:
        marks = list(_INLINE.finditer(question))
        starts = [number for number, mark in enumerate(marks) if mark[1] == "A"]
        marks = marks[starts[-1] :] if starts else []
        ends = [*(mark.start() for mark in marks[1:]), len(question)]
        found = [
            (mark[1], question[mark.end() : end].strip(" \n,;"))
            for mark, end in zip(marks, ends, strict=False)
        ]
    letters = [letter for letter, _ in found]
    return dict(found) if len(found) > 1 and "".join(letters) == LETTERS[: len(letters)] else {}


def parse_letters(text: str, has_choices: bool, may_run: bool = True) -> Letters | None:
    """The letters that a normalised text consists of, perhaps with one choice's text; None for other texts.

    `may_run`: whether letters may stand together, as in `AC`.
    """
    text = _CORRECT.sub("", text).strip().rstrip(".").strip()
    if found := _SINGLE.fullmatch(text):
        if found[1].isupper() or len(text) == 1 or re.search(r"[()\[\]]", text):
            return Letters(frozenset(found[1].upper()))
        return None
    if len(text) < 40 and _SEVERAL.fullmatch(text):
        return Letters(frozenset(re.findall(r"(?<![A-Za-z])[A-J](?![A-Za-z])", text)))
    if may_run and (found := _RUN.fullmatch(text)) and list(found[1]) == sorted(set(found[1])):
        return Letters(frozenset(found[1]))
    if found := _WITH_TEXT.fullmatch(text):
        letter, rest = found[1] or found[2], found[3].strip()
        # A lower-case word behind a letter is a species' name, as in `C. elegans`.
        is_name = found[2] and (letter > "F" or re.fullmatch(r"[a-z]+", rest))
        return None if is_name and not has_choices else Letters(frozenset(letter), rest)
    return None
