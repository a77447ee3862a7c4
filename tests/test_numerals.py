"""Numerals in words: what is one is read exactly, and nothing else is read."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.comparison.numerals import read_chinese, read_english


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("zero", 0),
        ("one", 1),
        (" Nine ", 9),
        ("ten", 10),
        ("nineteen", 19),
        ("twenty", 20),
        ("twenty-one", 21),
        ("ninety  nine", 99),
        ("hundred", 100),
        ("one hundred", 100),
        ("one hundred and one", 101),
        ("one hundred and twenty-five", 125),
        ("two hundred nineteen", 219),
        ("twelve hundred", 1200),
        ("twenty hundred", 2000),
        ("one thousand", 1000),
        ("one thousand and one", 1001),
        ("nineteen thousand eighty", 19_080),
        ("hundred thousand", 100_000),
        ("two hundred and five thousand three hundred and forty", 205_340),
        ("one million two thousand and three", 1_002_003),
        ("three billion four million", 3_004_000_000),
        ("five trillion six billion seven million eight thousand nine", 5_006_007_008_009),
        ("", None),
        ("and", None),
        ("and one", None),
        ("first", None),
        ("one apple", None),
        ("one two", None),
        ("one zero", None),
        ("twenty zero", None),
        ("twenty ten", None),
        ("twenty nineteen", None),
        ("nineteen eighty", None),
        ("eighty twenty", None),
        ("ten five", None),
        ("one hundred two hundred", None),
        ("one hundred hundred", None),
        ("zero hundred", None),
        ("thousand", None),
        ("zero thousand", None),
        ("one thousand hundred", None),
        ("one thousand thousand", None),
        ("one thousand million", None),
        ("one thousand two million", None),
        ("one million two million", None),
    ],
)
def test_english_words_are_a_number_or_none(text, number):
    assert read_english(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("零", 0),
        ("〇", 0),
        ("九", 9),
        ("两", 2),
        ("俩", 2),
        ("十", 10),
        ("十一", 11),
        ("二十", 20),
        ("九十九", 99),
        ("一百", 100),
        ("一百零一", 101),
        ("一百〇一", 101),
        ("一百一十", 110),
        ("一百二十三", 123),
        ("壹佰贰拾叁", 123),
        ("一千", 1000),
        ("一千零一", 1001),
        ("一千零一十", 1010),
        ("一千一百", 1100),
        ("九千八百七十六", 9876),
        ("一万", 10**4),
        ("一万零一", 10_001),
        ("一万二千三百", 12_300),
        ("十二万三千", 123_000),
        ("一百二十三万四千五百六十七", 1_234_567),
        ("一亿", 10**8),
        ("一亿零一", 10**8 + 1),
        ("一亿二千万", 120_000_000),
        ("五万万", 5 * 10**8),
        ("一万亿", 10**12),
        ("三億點五", Fraction(600_000_001, 2)),
        ("二〇二四", 2024),
        ("一零零", 100),
        ("三点五", Fraction(7, 2)),
        ("零点零五", Fraction(1, 20)),
        ("十二点二五", Fraction(49, 4)),
        ("负五", -5),
        ("负三点五", Fraction(-7, 2)),
        ("負壹點伍", Fraction(-3, 2)),
        ("", None),
        ("负", None),
        ("点五", None),
        ("三点", None),
        ("三点十", None),
        ("百", None),
        ("万", None),
        ("一个", None),
        ("一百个", None),
        ("十十", None),
        ("三四十", None),
        ("一百百", None),
        ("五百六百", None),
        ("五十六百", None),
        ("一百十", None),
        # Colloquial: 120, 1200, 12,000 and 350,000,000.
        ("一百二", None),
        ("一千二", None),
        ("一万二", None),
        ("三亿五", None),
        ("一万百", None),
        ("百万", None),
    ],
)
def test_chinese_words_are_a_number_or_none(text, number):
    assert read_chinese(text) == number


ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
ONES = [*ONES.split(), "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def write_english(number: int) -> str:
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {write_english(number % size)}" if number % size else ""
            return f"{write_english(number // size)} {name}{rest}"
    if number < 20:
        return ONES[number]
    return TENS[number // 10 - 2] + (f"-{ONES[number % 10]}" if number % 10 else "")


def write_chinese(number: int) -> str:
    """As it is written without 零 where a place is left out: for numbers that leave out none."""
    for size, name in ((10**4, "万"), (1000, "千"), (100, "百"), (10, "十")):
        if number >= size:
            rest = write_chinese(number % size) if number % size else ""
            return f"{write_chinese(number // size)}{name}{rest}"
    return "零一二三四五六七八九"[number]


@given(st.integers(0, 10**12 - 1))
def test_every_number_is_read_as_english_writes_it(number):
    assert read_english(write_english(number)) == number


@given(st.lists(st.integers(1, 9), min_size=2, max_size=8))
def test_every_number_without_a_zero_is_read_as_chinese_writes_it(digits):
    number = int("".join(map(str, digits)))
    assert read_chinese(write_chinese(number)) == number
