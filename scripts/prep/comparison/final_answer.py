"""Extraction of the final answer from an answer's text: boxes, statements, short answers."""

import re
from typing import NamedTuple

from prep.comparison.plain_text import normalize

SHORT = 160
"""Characters of an answer that is looked at as a whole."""
WINDOW = (400, 1200)
"""Characters of an answer's beginning and end that are searched for statements."""

MAX_BOX = 500
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_DOUBT = re.compile(
    r"\b(?:not|never|neither|nor|no longer|cannot|can't|isn't|aren't|doesn't|don't|didn't|wasn't|won't"
    r"|couldn't|wouldn't|shouldn't|n't|except|instead|rather than|unless|incorrect|wrong|mistaken"
    r"|false|might"
    r"|may be|maybe|perhaps|possibly|probably|could|unclear|unknown|unsure|either|if|suppose|assume|would"
    r"|depends|some (?:people|say|think)|think|thought|claim(?:s|ed)?|guess|previous(?:ly)?|at first"
    r"|initially|hypothetical)\b"
    r"|不|非|没|未|无法|可能|也许|或许|除|错|误|如果|假设|若|假如|大概是|有人|以为",
    re.IGNORECASE,
)
_TURN = re.compile(
    r"\b(?:wait|however|but|actually|correction|on second thought|sorry|let me re|recheck|mistake"
    r"|alternatively|hmm)\b"
    r"|等等|不过|但是|然而|抱歉|更正|重新|其实",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|never)\b|n't\b|不是|并非|而非|rather than|instead of|wrong|incorrect|错", re.IGNORECASE
)
_LIMITED = re.compile(
    r"\b(?:not|wrong|incorrect|only|if|when|unless|false)\b|n't\b|错|不对|如果|当|若", re.IGNORECASE
)
_STATEMENT = re.compile(
    r"####\s*"
    r"|\b(?:answer|option|choice)\s*(?:to (?:the|this) (?:question|problem)\s*|here\s*)?"
    r"(?:is\b|are\b|:|=|→)\s*:?\s*"
    r"|(?:答案|选项|选择)(?:应该|应当|应)?\s*(?:是|为|选|:)\s*:?\s*"
    r"|(?:故|因此|所以|应|本题)\s*(?:应?选择?|答案选)\s*:?\s*|^选择?\s*:?\s*(?=[A-J(])|^答\s*:\s*",
    re.IGNORECASE | re.MULTILINE,
)
_BREAK = re.compile(r"[\n.!?;]")
BEFORE = 80
"""Characters before a statement in which a doubt counts."""
MAX_STATEMENTS, MAX_BOXES = 20, 20
_SENTENCE_END = re.compile(
    r"(?<!\b[A-J])\.(?:\s|$)|[!?;](?:\s|$)|(?<=[^\x00-\x7f])\.|\.(?=[^\x00-\x7f])|(?<=[^\x00-\x7f])[;!]"
)
_CONCLUDED = re.compile("故|因此|所以")
"""What was said before such a word may deny other answers."""
_NOT_OTHER = re.compile(r",?\s*(?:而不是|而非)\S{1,20}$|,\s*(?:and\s+)?not\s+\S+(?:\s\S+)?$")
_BECAUSE = re.compile(
    r",?\s*(?:\b(?:because|since|as it|as they|which|so that|due to)\b|,?\s*(?:因为|由于|因此|所以)).*",
    re.I | re.DOTALL,
)


class Candidate(NamedTuple):
    """A text that an answer ends in; `is_joined`: it is made of several boxes."""

    text: str
    is_joined: bool = False


def find_candidates(text: str) -> list[Candidate] | None:
    """The normalised texts that an answer may mean as its answer; None where it contradicts itself.

    Boxes count before statements such as `the answer is …`; without either a short answer counts as a whole,
    and of a longer one its first and last line.
    """
    if (boxes := find_boxes(text)) is None:
        return None
    if boxes:
        distinct = list({re.sub(r"\s+", "", box): box for box in map(normalize, boxes)}.values())
        return [Candidate(", ".join(distinct), len(distinct) > 1)]
    if len(text) > sum(WINDOW):
        text = f"{text[: WINDOW[0]]}\n\n{text[-WINDOW[1] :]}"
    text = normalize(text)
    found = _find_statements(text)
    if found is None or found:
        return found
    if len(text) <= SHORT and "\n" not in text:
        return [Candidate(text)] if text else []
    lines = [line for line in text.splitlines() if line]
    if not lines or _TURN.search(text[len(lines[0]) :]):
        return None
    return [Candidate(line) for line in dict.fromkeys((lines[0], lines[-1])) if len(line) <= SHORT]


def find_boxes(text: str) -> list[str] | None:
    """What stands in the last boxes of a text, in order; None where the words around one deny or limit it."""
    found, end = [], 0
    for start in list(_BOX.finditer(text))[-MAX_BOXES:]:
        if start.start() < end:
            continue
        depth, place = 1, start.end()
        while place < len(text) and depth and place < start.end() + MAX_BOX:
            depth += (text[place] == "{") - (text[place] == "}")
            place += 1
        if depth:
            continue
        before, after, end = text[max(0, start.start() - 25) : start.start()], text[place : place + 40], place
        if _DENIED.search(before.rpartition("\n")[2]) or _LIMITED.search(after.partition("\n")[0]):
            return None
        found.append(text[start.end() : place - 1])
    return None if found and _TURN.search(text[end:]) else [each for each in found if each.strip()]


def _find_statements(text: str) -> list[Candidate] | None:
    """What statements such as `the answer is …` say; None where one is in doubt, or they differ."""
    found, end = [], 0
    for start in list(_STATEMENT.finditer(text))[-MAX_STATEMENTS:]:
        line = text[start.end() :].partition("\n")[0]
        said = cut_sentence(line[:300])
        if not said or line[len(said) :].lstrip(" *").startswith("?"):
            return None
        before = _BREAK.split(text[max(0, start.start() - BEFORE) : start.start()])[-1]
        if _DOUBT.search(before) and not _CONCLUDED.search(start[0]):
            return None
        found.append(said)
        end = start.end() + len(said)
    distinct = list(dict.fromkeys(each.casefold().rstrip(".") for each in found))
    if len(distinct) > 1 or (found and _TURN.search(text[end:])):
        return None
    return [Candidate(found[0])] if found else []


def cut_sentence(text: str) -> str:
    """The first sentence of a text, without a reason that follows."""
    text = text.strip()
    if found := _SENTENCE_END.search(text):
        text = text[: found.start()]
    return _NOT_OTHER.sub("", _BECAUSE.sub("", text)).strip(" *\"'")


def has_doubt(text: str) -> bool:
    """Whether a text negates or weakens what it says."""
    return _DOUBT.search(text) is not None


def split_sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]
