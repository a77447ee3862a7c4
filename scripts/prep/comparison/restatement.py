"""Sentences that restate their question: what they say besides, such as the number in `There are 5 dogs`."""

import re

from prep.comparison.final_answer import split_sentences

_PIVOT = re.compile(r"\b(?:is|are|was|were|equals?|has|have|had)\b|是|为|等于|有", re.IGNORECASE)
_TAIL = re.compile(r"\s+(?:in|on|at|of|for|from|with)\s+.*", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[-$€£¥]?\d[\d,]*(?:\.\d+)?(?:\s?(?:%|°C?|[a-zA-Z]{1,3}\b(?:\^\d)?))?")
_STOP_WORDS = (
    "the a an it this that there these those here answer is are was were in of to for on at by total final so"
    " therefore thus hence correct picture image photo figure diagram shown his her its their he she they has"
    " have had be will we get and you see can i find equals equal value result"
)
_STOP = frozenset(_STOP_WORDS.split())
_STOP_CHARS = frozenset("的这那图中答案它他她们为是有共一在里面上所以因此故了即位等于")


def reduce_sentence(answer: str, question: str) -> list[str]:
    """What a sentence says that restates its question: its number, or what follows `is`."""
    sentences = split_sentences(answer)
    if not question or len(sentences) != 1:
        return []
    (sentence,) = sentences
    found = []
    numbers = list(_NUMBER.finditer(sentence))
    if len(numbers) == 1 and _is_restated(sentence.replace(numbers[0][0], " ", 1), question):
        found.append(numbers[0][0])
    pivot = _PIVOT.search(sentence)
    if pivot and _is_restated(sentence[: pivot.start()], question):
        said = sentence[pivot.end() :].strip()
        found.append(said)
        if (tail := _TAIL.search(said)) and _is_restated(tail[0], question):
            found.append(said[: tail.start()])
    return [each for each in found if each and each != answer]


def _is_restated(text: str, question: str) -> bool:
    """Whether a text has no word that the question has not."""
    known = set(re.findall(r"[a-z]+", question.casefold())) | _STOP
    words = re.findall(r"[a-z]+", text.casefold())
    chars = re.findall(r"[\u4e00-\u9fff]", text)
    fits = all(word in known or word.rstrip("s") in known or f"{word}s" in known for word in words)
    return (
        fits and all(char in question or char in _STOP_CHARS for char in chars) and not re.search(r"\d", text)
    )
