"""Numbers with units: what is read of a text, and when two of them agree."""

from fractions import Fraction

import pytest

from prep.comparison.outcome import Outcome
from prep.comparison.plain_text import normalize
from prep.comparison.quantities import MAX_EXPONENT, MAX_LENGTH, compare_quantities, parse_quantity

AGREES, DISAGREES, CANNOT_TELL = Outcome.AGREES, Outcome.DISAGREES, Outcome.CANNOT_TELL
NUMBERS = [
    # text, value, decimal places
    ("42", 42, 0),
    ("-42", -42, 0),
    ("- 7", -7, 0),
    ("+7", 7, 0),
    ("-0", 0, 0),
    ("5.", 5, 0),
    (".5", "1/2", 1),
    ("0.050", "1/20", 3),
    ("1,234", 1234, 0),
    ("1234.50", "2469/2", 2),
    ("12,345,678.9", "123456789/10", 1),
    ("1 000 000", 1_000_000, 0),
    ("3/4", "3/4", None),
    ("-3/4", "-3/4", None),
    ("1.5/2", "3/4", None),
    ("1 1/2", "3/2", None),
    ("-1 1/2", "-3/2", None),
    (r"2\frac{1}{3}", "7/3", None),
    (r"12 \frac { 34 } { 56 }", "353/28", None),
    ("12 34/56", "353/28", None),
    (r"\frac { 12.25 } { 100.5 }", "49/402", None),
    ("1.25 × 10 ^ {(12)}", "1250000000000", -10),
    ("1,234.5 / 1,000", "2469/2000", None),
    (r"\frac{1}{2}", "1/2", None),
    (r"-\frac{1}{2}", "-1/2", None),
    (r"\frac{-1.5}{2}", "-3/4", None),
    (r"\frac12", "1/2", None),
    ("1.5×10^3", 1500, -2),
    ("1.5 x 10^{-3}", "3/2000", 4),
    ("2e5", 200_000, -5),
    ("2E-3", "1/500", 3),
    ("10^6", 1_000_000, None),
    ("-10^3", -1000, None),
    ("10^{-2}", "1/100", None),
    (f"10^{MAX_EXPONENT}", 10**MAX_EXPONENT, None),
    (f"1e{MAX_EXPONENT}", 10**MAX_EXPONENT, -MAX_EXPONENT),
    ("1" * MAX_LENGTH, int("1" * MAX_LENGTH), 0),
    ("3 thousand", 3000, -3),
    ("3.5 million", 3_500_000, -5),
    ("2 dozen", 24, 0),
    ("3万", 30_000, -4),
    ("3.5亿", 350_000_000, -7),
    ("3千", 3000, -3),
    ("3十万", 300_000, -5),
    ("3百万", 3_000_000, -6),
    ("3千万", 30_000_000, -7),
    ("4 billion", 4 * 10**9, -9),
    ("5 trillion", 5 * 10**12, -12),
    ("百分之五", "1/20", None),
    ("负百分之五", "-1/20", None),
    ("百分之12.5", "1/8", None),
    ("二分之一", "1/2", None),
    ("五分之3", "3/5", None),
    ("三又二分之一", "7/2", None),
    ("负三分之一", "-1/3", None),
    ("三十五", 35, 0),
    ("负三十五", -35, 0),
    ("三点五", "7/2", 1),
    ("thirty-five", 35, 0),
    ("minus five", -5, 0),
    ("negative one hundred and two", -102, 0),
    ("half", "1/2", None),
    ("a half", "1/2", None),
    ("one third", "1/3", None),
    ("two thirds", "2/3", None),
    ("three quarters", "3/4", None),
    ("seven-eighths", "7/8", None),
    ("three tenths", "3/10", None),
    ("five sixths", "5/6", None),
    ("four fifths", "4/5", None),
]
NO_NUMBERS = [
    *("", "x", "±5", "of 5", "5 or 6", "5 of apples", "1,23", "12:30", "3rd", "5 times", "3 hundred"),
    *("3/0", "1 1/0", "3/4/5", r"\frac{1}{0}", r"\frac123", "零分之一", "half an hour", "two and"),
    *(f"10^{MAX_EXPONENT + 1}", f"1e{MAX_EXPONENT + 1}", f"1e-{MAX_EXPONENT + 1}", "1" * (MAX_LENGTH + 1)),
    *("$5 euros", "$5 apples", "-apples", "- $x", "5 apples left", "one thousand million", "百分之百百"),
]


@pytest.mark.parametrize(("text", "value", "places"), NUMBERS)
def test_a_number_is_read_exactly(text, value, places):
    found = parse_quantity(normalize(text))
    assert found[:2] == (Fraction(value), None)
    assert (found.noun, found.name, found.places, found.is_rounded, found.symbol) == (
        "",
        "",
        places,
        False,
        "",
    )


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_not_read(text):
    assert parse_quantity(normalize(text)) is None


@pytest.mark.parametrize(
    ("text", "value", "fields"),
    [
        ("x = 5", 5, {"name": "x"}),
        ("y=-2", -2, {"name": "y"}),
        ("x_{1} = 5", 5, {"name": "x_1"}),
        ("about 5", 5, {"is_rounded": True}),
        ("≈ 3.1", "3.1", {"is_rounded": True, "places": 1}),
        ("大约5", 5, {"is_rounded": True}),
        ("5左右", 5, {"is_rounded": True}),
        ("x = about 5", 5, {"name": "x", "is_rounded": True}),
        ("5 apples", 5, {"noun": "apple"}),
        ("5 red apples", 5, {"noun": "red apple"}),
        ("5 bus", 5, {"noun": "bus"}),
        ("5个苹果", 5, {"noun": "个苹果"}),
        ("- 5 apples", -5, {"noun": "apple"}),
    ],
)
def test_what_stands_beside_a_number_is_read(text, value, fields):
    found = parse_quantity(normalize(text))
    told = {"unit": None, "noun": "", "name": "", "places": 0, "is_rounded": False, "symbol": ""} | fields
    assert found._asdict() == {"value": Fraction(value)} | told


@pytest.mark.parametrize(
    ("text", "value", "dimension", "scaled", "symbol"),
    [
        ("5 km", 5, "length", 5000, "km"),
        ("五公里", 5, "length", 5000, "公里"),
        ("36 km/h", 36, "speed", 10, "km/h"),
        ("5%", 5, "percent", "1/20", "%"),
        ("30°", 30, "angle", 30, "°"),
        ("3千克", 3, "mass", 3, "千克"),
        ("$5", 5, "dollar", 5, "$"),
        ("-$5", -5, "dollar", -5, "$"),
        ("US$5", 5, "dollar", 5, "$"),
        ("€1,000", 1000, "euro", 1000, "€"),
        ("$5 million", 5_000_000, "dollar", 5_000_000, "$"),
        ("$5 dollars", 5, "dollar", 5, "$"),
        ("5 USD", 5, "dollar", 5, "USD"),
    ],
)
def test_a_unit_scales_the_value(text, value, dimension, scaled, symbol):
    found = parse_quantity(normalize(text))
    assert (found.value, found.unit.dimension, found.scaled) == (value, dimension, Fraction(scaled))
    assert (found.noun, found.symbol) == ("", symbol)


@pytest.mark.parametrize(
    ("reference", "answer", "question", "outcome"),
    [
        ("5", "5", "", AGREES),
        ("5", "6", "", DISAGREES),
        ("x = 5", "y = 5", "", CANNOT_TELL),
        ("y = 5", "x = 5", "", CANNOT_TELL),
        ("x = 5", "x = 5", "", AGREES),
        ("x = 5", "5", "", AGREES),
        ("x = 5", "x = 6", "", DISAGREES),
        # units
        ("5 km", "5000 m", "", AGREES),
        ("5 km", "5 m", "", DISAGREES),
        ("5 km", "5 kg", "", CANNOT_TELL),
        ("5 km", "6 kg", "", DISAGREES),
        ("5 km", "6%", "", CANNOT_TELL),
        ("5 minutes", "6 months", "", CANNOT_TELL),
        ("5 °C", "6 °F", "", CANNOT_TELL),
        ("$5", "€6", "", CANNOT_TELL),
        ("$5", "6 km", "", DISAGREES),
        ("5 months", "6 km", "", DISAGREES),
        ("5 °C", "6 km", "", DISAGREES),
        # a bare number beside one with a unit
        ("5", "5 km", "", AGREES),
        ("5 km", "5", "", CANNOT_TELL),
        ("5 km", "5", "How many km?", AGREES),
        ("5 km", "5", "How many kilometers?", AGREES),
        ("5 km", "5", "How many miles?", CANNOT_TELL),
        ("5", "5 km", "How many miles?", CANNOT_TELL),
        ("5 km", "6", "How many km?", DISAGREES),
        ("6 km", "5", "How many km?", DISAGREES),
        ("5 km", "5000", "", CANNOT_TELL),
        ("5 km", "6 apples", "", CANNOT_TELL),
        ("30°", "30", "", AGREES),
        ("$5", "5", "", AGREES),
        ("$5", "5", "How many euros?", AGREES),
        ("5", "$5", "", AGREES),
        ("5", "5 m", "", CANNOT_TELL),
        # percentages
        ("5%", "0.05", "", AGREES),
        ("5%", "5", "", CANNOT_TELL),
        ("5%", "5", "What percent?", AGREES),
        ("5%", "5", "百分之几？", AGREES),
        ("5%", "6", "What percent?", DISAGREES),
        ("0.05", "5%", "", AGREES),
        ("12.5%", "0.13", "", CANNOT_TELL),
        ("12.5%", "13", "What percent?", CANNOT_TELL),
        # what is counted
        ("5 apples", "5 apples", "", AGREES),
        ("5 apples", "5 pears", "", CANNOT_TELL),
        ("5 apples", "5", "", AGREES),
        ("5 apples", "6", "", CANNOT_TELL),
        ("5 apples", "6", "How many apples?", DISAGREES),
        ("5", "6 apples", "How many pears?", CANNOT_TELL),
        ("5 apples", "6 apples", "", DISAGREES),
        # rounding
        ("3.14159", "3.14", "", CANNOT_TELL),
        ("3.14", "3.14159", "", CANNOT_TELL),
        ("3.14159", "3.2", "", CANNOT_TELL),
        ("3.14159", "3.3", "", DISAGREES),
        ("1/3", "0.33", "", CANNOT_TELL),
        ("1/3", "0.34", "", CANNOT_TELL),
        ("1/3", "0.35", "", DISAGREES),
        ("2/3", "0", "", DISAGREES),
        ("1/3", "0", "", CANNOT_TELL),
        ("5/2", "3", "", CANNOT_TELL),
        ("5/2", "2", "", CANNOT_TELL),
        ("5/2", "4", "", DISAGREES),
        ("1/3", "2/3", "", DISAGREES),
        ("100", "102", "", DISAGREES),
        ("100.0", "102", "", CANNOT_TELL),
        ("100.0", "103", "", DISAGREES),
        ("100", "about 110", "", CANNOT_TELL),
        ("100", "about 90", "", CANNOT_TELL),
        ("100", "about 120", "", DISAGREES),
        ("about 100", "89", "", DISAGREES),
        ("about 100", "90", "", CANNOT_TELL),
        ("-100", "about -110", "", CANNOT_TELL),
        ("1234567", "1.2 million", "", CANNOT_TELL),
        ("1260000", "1.2 million", "", DISAGREES),
        ("1400000", "1.2 million", "", DISAGREES),
        ("10 inches", "25 cm", "", CANNOT_TELL),
        ("10 inches", "28 cm", "", DISAGREES),
        # a separator of thousands that reads as a decimal point
        ("1.234", "1234", "", CANNOT_TELL),
        ("1234", "1.234", "", CANNOT_TELL),
        ("1.2", "1200", "", DISAGREES),
        ("0.000", "1", "", DISAGREES),
    ],
)
def test_quantities_agree_where_nothing_explains_a_difference(reference, answer, question, outcome):
    one, other = (parse_quantity(normalize(text)) for text in (reference, answer))
    assert compare_quantities(one, other, question) is outcome
