"""Text normalisation: Unicode, Markdown and LaTeX marks that change no meaning."""

import re
import unicodedata
from functools import lru_cache

_VULGAR = {char: unicodedata.normalize("NFKC", char).replace("⁄", "/") for char in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT_RUN = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SIGNS = str.maketrans(
    {
        "−": "-", "‐": "-", "‑": "-", "–": "–", "“": '"', "”": '"', "‘": "'", "’": "'", "。": ".",
        "【": "[", "】": "]", "「": '"', "」": '"', "『": '"', "』": '"', "《": '"', "》": '"',
        "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "",
    }
)  # fmt: skip
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|operatorname|mbox|boldsymbol)\s*\{([^{}]*)\}"
)
_DOLLARS = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(?!\s)([^$\n]+?)(?<!\s)(?<!\\)\$(?!\d)", re.DOTALL)
_EMPHASIS = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")
_EXCLAMATION = re.compile(r"(?<=[^\W\d_]{2})!+$")
"""A sentence's; behind a number or a variable it is a factorial."""
_LATEX = (
    (re.compile(r"\\[()\[\]]"), " "),
    (re.compile(r"\\(?:left|right|displaystyle|limits|big|Big|bigg|Bigg)(?![a-zA-Z])"), ""),
    (re.compile(r"\\[dt]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?"), "°"),
    (re.compile(r"\\(?:times|cdot)(?![a-zA-Z])\s*"), "×"),
    (re.compile(r"\\(?:leq?|leqslant)(?![a-zA-Z])"), "≤"),
    (re.compile(r"\\(?:geq?|geqslant)(?![a-zA-Z])"), "≥"),
    (re.compile(r"\\infty(?![a-zA-Z])"), "∞"),
    (re.compile(r"\\cup(?![a-zA-Z])"), "∪"),
    (re.compile(r"\\in(?![a-zA-Z])"), "∈"),
    (re.compile(r"\\approx(?![a-zA-Z])"), "≈"),
    (re.compile(r"\\(?:quad|qquad|,|;|!|:| )(?![a-zA-Z])"), " "),
    (re.compile(r"\\([%$#&_{}])"), r"\1"),
    (re.compile(r"(?<=\d)\{,\}(?=\d)"), ","),
)


@lru_cache(maxsize=4096)
def normalize(text: str) -> str:
    """The text with one form of digits, signs, quotation marks and spaces, and without emphasis.

    A superscript becomes `^2`: else ten squared would read as 102. Lines stay.
    """
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^" + run[0].translate(_SUPERSCRIPTS), text)
    for char, plain in _VULGAR.items():
        if char in text:
            text = text.replace(char, f" {plain}")
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)
    text = _DOLLARS.sub(lambda found: found[1] or found[2], text)
    if "\\" in text:
        for _ in range(3):
            text, changes = _WRAPPED.subn(r"\1", text)
            if not changes:
                break
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    text = _EMPHASIS.sub(r"\2", text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def fold(text: str) -> str:
    """A normalised text for the comparison of words: no case, article, quotation marks or final stop."""
    text = _EXCLAMATION.sub("", text.strip(" \t\n\"'`*.,;:")).strip(" \"'`*.,;:").casefold()
    text = re.sub(r"^(?:the|a|an)\s+(?=\w)", "", text)
    return re.sub(r"\s+", " ", text)
