"""Text similarity: normalization, character shingles with Jaccard similarity, and words for n-grams."""

import re
import unicodedata

SHINGLE_CHARACTERS = 5
"""The length of a shingle: it serves texts with spaces between words and those without, such as Chinese."""
MIN_JACCARD = 0.8
"""From here on two questions are near duplicates (docs/quality.md names the source)."""

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han characters and kana: scripts without spaces between words."""
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")
_QUANTITY = re.compile(r"\d+(?:[.,]\d+)*|[+*/^=<>≤≥×÷√%−]|-(?![^\W\d_])")


def normalize_text(text: str) -> str:
    """A text as it is compared: NFKC, folded case, and one space for each run of whitespace."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def list_words(text: str) -> list[str]:
    """The words of a normalized text without punctuation; each Chinese character is a word."""
    return _WORD.findall(text)


def list_shingles(text: str) -> frozenset[str]:
    """Every run of SHINGLE_CHARACTERS characters of a normalized text; a shorter text is one shingle."""
    last = max(1, len(text) - SHINGLE_CHARACTERS + 1)
    return frozenset(text[start : start + SHINGLE_CHARACTERS] for start in range(last))


def list_quantities(text: str) -> list[str]:
    """The numbers and the signs of calculation in a text, in order.

    Questions from one template differ in these alone, and have other answers.
    """
    return _QUANTITY.findall(text)


def measure_jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """The size of the intersection of two sets that are not empty, as a share of their union."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def are_similar(one: str, other: str) -> bool:
    """Whether two normalized texts are the same question: the same quantities, and Jaccard similarity."""
    if one == other:
        return True
    if list_quantities(one) != list_quantities(other):
        return False
    shingles = list_shingles(one), list_shingles(other)
    sizes = sorted(map(len, shingles))
    # The smaller set can be no larger share of the union than of the larger set.
    return sizes[0] >= MIN_JACCARD * sizes[1] and measure_jaccard(*shingles) >= MIN_JACCARD
