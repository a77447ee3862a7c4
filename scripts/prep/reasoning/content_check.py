"""Content checks of an answer, by rules: a refusal, another language than the question's, a quoted prompt."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from prep.reasoning.answer_format import strip_thinking
from prep.records.question import Question
from prep.records.reason import Reason, Rejection

REFUSAL_BEGINS_WITHIN = 200
"""Characters of an answer. Further back, such a phrase is part of something else."""
QUOTE = 60
"""So many characters of a prompt in an answer, word for word, are a quote."""
FEWEST_LETTERS = 20
"""Fewer letters show no language. A Chinese character counts as three."""
LANGUAGE_CHARS = 10_000
"""Characters of a text that show its language: formulas that never close take time squared."""

_NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]"
    r"|\\begin\{(?P<name>[^}]*)\}.*?\\end\{(?P=name)\}|\\[A-Za-z]+|https?://\S+",
    re.DOTALL,
)
_NAMES_A_LANGUAGE = re.compile(
    r"translat|翻译|译[为成文]|languages?\b|语言|\b(?:English|Chinese|Mandarin|French|German|Spanish|Japanese)\b"
    r"|英[文语]|[中汉日法德俄韩][文语]|西班牙语",
    re.IGNORECASE,
)


class ContentChecks(NamedTuple):
    """What is looked for: phrases of refusal, and which language an answer may have (any, question)."""

    refusals: Sequence[str] = ()
    language: str = "any"


def find_content_fault(
    stored: str, asked: Question, checks: ContentChecks, system: str = ""
) -> Rejection | None:
    """Why an answer in the stored form is rejected for what it says, or None.

    What the reference does too is no fault: it may be in another language than the question, or a refusal.
    """
    text, reference = strip_thinking(stored), asked.reference or ""
    if (phrase := find_refusal(text, checks.refusals)) and not find_refusal(reference, [phrase]):
        return Reason.REFUSAL, phrase
    if passage := find_quote(stored, system):
        return Reason.PROMPT_QUOTED, passage
    if checks.language == "question" and (detail := find_other_language(text, asked.text, reference)):
        return Reason.OTHER_LANGUAGE, detail
    return None


def find_refusal(text: str, phrases: Sequence[str]) -> str | None:
    """The phrase that stands near the beginning of a text, whatever its case, quotes and white space."""
    begin = _fold(text[:REFUSAL_BEGINS_WITHIN])
    return next((phrase for phrase in phrases if _fold(phrase) in begin), None)


def _fold(text: str) -> str:
    return " ".join(text.casefold().replace("’", "'").split())


def find_quote(text: str, prompt: str) -> str | None:
    """A passage of a prompt that stands in a text word for word, but for white space; None: none does."""
    said, prompt = " ".join(text.split()), " ".join(prompt.split())
    starts = range(0, len(prompt) - QUOTE + 1)
    return next((prompt[at : at + QUOTE] for at in starts if prompt[at : at + QUOTE] in said), None)


def find_other_language(text: str, question: str, reference: str) -> str | None:
    """How the language of an answer differs from the question's and the reference's; None where it does not.

    A question that names a language may want an answer in it.
    """
    said, wanted = find_language(text), find_language(question)
    if None in (said, wanted) or said in (wanted, find_language(reference)):
        return None
    return None if _NAMES_A_LANGUAGE.search(question) else f"the question is {wanted}, the answer {said}"


def find_language(text: str) -> str | None:
    """English or Chinese, by the letters outside of formulas, code, links; None: mixed, other, too few."""
    prose = _NOT_PROSE.sub(" ", text[:LANGUAGE_CHARS])
    latin, chinese = len(re.findall("[A-Za-z]", prose)), len(re.findall("[\u4e00-\u9fff]", prose))
    if latin + 3 * chinese < FEWEST_LETTERS:
        return None
    share = chinese / (latin + chinese)
    return "English" if share <= 0.05 else "Chinese" if share >= 0.3 else None
