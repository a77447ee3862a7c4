"""Numerals in words: English and Chinese number words as exact numbers."""

import re
from fractions import Fraction

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ENGLISH = {word: number for number, word in enumerate(_SMALL)} | {
    word: 10 * number for number, word in enumerate(_TENS, 2)
}
SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
ENGLISH_WORD = "|".join([*sorted(_ENGLISH, key=len, reverse=True), *SCALES])

_DIGITS = {char: number for number, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2}
_FORMAL = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟萬億點負", "一二三四五六七八九十百千万亿点负")
_UNITS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
CHINESE_CHARS = "零〇一二三四五六七八九两十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟萬億"


def read_english(text: str) -> int | None:
    """`one hundred and twenty-five` as 125; None where the words are no number."""
    words = re.split(r"[\s-]+", text.strip().lower())
    total = group = 0
    last = last_scale = 10**15
    seen = False
    for word in words:
        if word == "and" and seen:
            continue
        if word in _ENGLISH:
            number = _ENGLISH[word]
            if number >= last or (seen and number == 0) or (last < 100 and number >= 10):
                return None
            group, last, seen = group + number, min(number or 1, last), True
            if number < 20:
                last = min(last, 1)
        elif word == "hundred":
            if group >= 100 or (seen and group == 0):
                return None
            group, last, seen = (group or 1) * 100, 100, True
        elif word in SCALES:
            if group == 0 or SCALES[word] >= last_scale:
                return None  # "one thousand million" is no sum of the two
            last = last_scale = SCALES[word]
            total, group = total + group * last, 0
        else:
            return None
    return total + group if seen else None


def read_chinese(text: str) -> Fraction | None:
    """`一万二千三百` as 12300, `二〇二四` as 2024, `三点五` as 3.5; None for another text."""
    text = text.translate(_FORMAL)
    if text.startswith("负"):
        found = read_chinese(text[1:])
        return None if found is None else -found
    whole, point, decimals = text.partition("点")
    if point:
        before = read_chinese(whole)
        if before is None or not decimals or any(char not in _DIGITS for char in decimals):
            return None
        return before + Fraction(int("".join(str(_DIGITS[char]) for char in decimals)), 10 ** len(decimals))
    if not text or any(char not in _DIGITS and char not in _UNITS and char not in _MYRIADS for char in text):
        return None
    if all(char in _DIGITS for char in text):
        return Fraction(int("".join(str(_DIGITS[char]) for char in text)))
    return _read_places(text)


def _read_places(text: str) -> Fraction | None:
    """A numeral with 十, 百, 千, 万, 亿; each place is smaller than the one before."""
    for char, size in sorted(_MYRIADS.items(), key=lambda each: -each[1]):
        if char in text:
            before, _, after = text.rpartition(char)
            high = _read_places(before) if before else None
            low = _read_places(after) if after else Fraction(0)
            if high is None or low is None or low >= size:
                return None
            # 一万二 is colloquial for 12000.
            if len(after) == 1 and after in _DIGITS and after != "零":
                return None
            return high * size + low
    total, digit, last = 0, None, 10**4
    for place, char in enumerate(text):
        if char in _UNITS:
            if _UNITS[char] >= last or (digit is None and not (char == "十" and place == 0)):
                return None
            total, digit, last = total + (1 if digit is None else digit) * _UNITS[char], None, _UNITS[char]
        elif _DIGITS[char] == 0:
            digit = None
            last = min(last, 100)
        elif digit is not None:
            return None
        else:
            digit = _DIGITS[char]
    if digit is not None and last > 10 and len(text) > 1 and text[-2] not in "零〇":
        return None  # 一百二 is colloquial for 120
    return Fraction(total + (digit or 0))
