"""Numbers with units: exact values of digits, fractions, percentages, powers of ten and number words."""

import re
from fractions import Fraction
from typing import NamedTuple

from prep.comparison import numerals
from prep.comparison.outcome import Outcome, decide
from prep.comparison.units import Unit, find_unit, is_ratio_of_units

MAX_EXPONENT = 300
MAX_LENGTH = 80
MONEY = {"dollar", "euro", "sterling", "yuan"}

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:[ ']\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_WHOLE = re.compile(
    rf"""(?P<sign>[-+]?)\s*(?:
        (?P<mixed>\d+)\s*(?:\\frac\s*\{{\s*(?P<mfn>\d+)\s*\}}\s*\{{\s*(?P<mfd>\d+)\s*\}}|\s(?P<mn>\d+)/(?P<md>\d+))
      | \\frac\s*(?:\{{\s*(?P<fn>-?\d+(?:\.\d+)?)\s*\}}\s*\{{\s*(?P<fd>\d+(?:\.\d+)?)\s*\}}
          |(?P<fn1>\d)\s*(?P<fd1>\d)(?!\d))
      | (?P<n>{_NUMBER})\s*/\s*(?P<d>{_NUMBER})(?!\s*/)
      | (?P<number>{_NUMBER})
        (?:\s*(?:[×x*·]\s*10\s*\^\s*\{{?\(?(?P<power>[-+]?\d{{1,4}})\)?\}}?|[eE](?P<exponent>[-+]?\d{{1,4}})))?
    )""",
    re.VERBOSE,
)
_POWER_OF_TEN = re.compile(r"(?P<sign>[-+]?)10\s*\^\s*\{?\(?(?P<power>[-+]?\d{1,4})\)?\}?")
_NAME = re.compile(r"(?P<name>\\?[A-Za-zα-ω](?:_\{?\w+\}?)?|∠\s?[A-Z]{1,3})\s*=\s*(?=\S)")
_ABOUT = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|nearly|almost|≈|~|大约|大概|约等于|约为|约|近似)\s*",
    re.IGNORECASE,
)
_CURRENCY = re.compile(r"(US\$|[$€£¥￥])\s*")
_CHINESE = rf"[{numerals.CHINESE_CHARS}]"
_CHINESE_PERCENT = re.compile(rf"(负?)百分之\s*(负?(?:{_CHINESE}|点)+|\d+(?:\.\d+)?)")
_CHINESE_FRACTION = re.compile(rf"(负?)(?:({_CHINESE}+)又)?({_CHINESE}+|\d+)分之({_CHINESE}+|\d+)")
_CHINESE_NUMBER = re.compile(rf"负?{_CHINESE}+(?:点[零〇一二三四五六七八九]+)?")
_ENGLISH_NUMBER = re.compile(
    rf"(?:minus |negative )?(?:{numerals.ENGLISH_WORD})"
    rf"(?:(?:[\s-]+|\s+and\s+)(?:{numerals.ENGLISH_WORD}))*\b",
    re.IGNORECASE,
)
_ENGLISH_FRACTION = re.compile(
    r"(?:(?:a|one|(two|three|four|five|seven))[\s-]+(half|halves|thirds?|quarters?|fourths?|fifths?|sixths?"
    r"|eighths?|tenths?)|(half|quarter))",
    re.IGNORECASE,
)
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
_PARTS |= {"eighth": 8, "tenth": 10}
_SCALES = {"千": 10**3, "万": 10**4, "十万": 10**5, "百万": 10**6, "千万": 10**7, "亿": 10**8, "dozen": 12}
_SCALES |= {word: size for word, size in numerals.SCALES.items() if size > 100}
_SCALE = re.compile(
    r"\s*(百万|千万|十万|千(?![米克瓦帕卡伏牛欧赫焦])|万|亿|(?:thousand|million|billion|trillion|dozen)\b)",
    re.I,
)
_NOUN = re.compile(
    r"\s[A-Za-z][a-z]{2,}(?:\s[A-Za-z][a-z]{2,})?|\s?[个只条本张人次件名位支枚颗块棵辆种页根头匹朵双箱袋瓶盒杯道题]?[\u4e00-\u9fff]{0,3}"
)
_NO_NOUN = re.compile(
    r"[多几余半倍以上下前后或至到和与左右不非加减乘除约分之内外差比]"
    r"|\b(?:and|or|not|to|plus|minus|times|mod|more|less|fewer|than|over|under|per|is|are|was|were|but|of|by"
    r"|left|right|half|squared|cubed|factorial|sqrt|log|sin|cos|tan|pi|hundred|pair|pairs|score|gross|ago|below"
    r"|above|before|after|until|from|percentage|points?|the|th|st|nd|rd|if|when|in|on|at|for|off|up|down"
    r"|north|south|east|west|because|since|which|either|neither|nor|no|yes|very|too|still|only|instead)\b",
    re.IGNORECASE,
)


class Quantity(NamedTuple):
    """A number as it is written. `name` is its variable, as in `x = 5`; `noun` what is counted."""

    value: Fraction
    unit: Unit | None = None
    noun: str = ""
    name: str = ""
    places: int | None = 0
    """Decimal places, negative for round powers of ten; None where the value is no decimal, so exact."""
    is_rounded: bool = False
    """Whether it is told as approximate."""
    symbol: str = ""

    @property
    def scaled(self) -> Fraction:
        """The value in the first unit of its dimension."""
        return self.value * self.unit.factor if self.unit else self.value


def parse_quantity(text: str) -> Quantity | None:
    """A normalised text that is one number and perhaps its unit; None where it is anything else."""
    text = text.strip().rstrip(".").strip()
    if not text or len(text) > MAX_LENGTH or "±" in text:
        return None
    name = ""
    if found := _NAME.match(text):
        name, text = re.sub(r"[\\{} ]", "", found["name"]), text[found.end() :]
    is_rounded = False
    if found := _ABOUT.match(text):
        is_rounded, text = True, text[found.end() :]
    if text.endswith("左右"):
        is_rounded, text = True, text[:-2].strip()
    currency = None
    sign = ""
    if found := re.match(r"-\s*(?=(?:US\$|[$€£¥￥]))", text):
        sign, text = "-", text[found.end() :]
    if found := _CURRENCY.match(text):
        currency, text = found[1].replace("US", ""), sign + text[found.end() :]
    elif sign:
        return None
    read = _read_number(text)
    if read is None:
        return None
    value, places, end = read
    rest = text[end:]
    if scale := _SCALE.match(rest):
        size = _SCALES[scale[1].lower()]
        value, rest = value * size, rest[scale.end() :]
        if places is not None and size != 12:
            places -= len(str(size)) - 1
    unit, noun, symbol = None, "", ""
    if currency:
        unit, symbol = find_unit(currency), currency
        if rest.strip() and find_unit(rest) not in (None, unit):
            return None
        if rest.strip() and find_unit(rest) is None:
            return None
    elif rest.strip():
        symbol = rest.strip()
        unit = find_unit(symbol.removeprefix("of ").strip())
        if unit is None:
            if not _NOUN.fullmatch(rest) or _NO_NOUN.search(rest):
                return None
            noun, symbol = _singular(symbol.casefold()), ""
    return Quantity(value, unit, noun, name, places, is_rounded, symbol)


def _read_number(text: str) -> tuple[Fraction, int | None, int] | None:
    """The number that a text begins with: its value, decimal places, and where it ends."""
    if (found := _POWER_OF_TEN.match(text)) and abs(int(found["power"])) <= MAX_EXPONENT:
        value = Fraction(10) ** int(found["power"])
        return (-value if found["sign"] == "-" else value), None, found.end()
    if found := _WHOLE.match(text):
        return _read_digits(found)
    if found := _CHINESE_PERCENT.match(text):
        part = _read_chinese(found[2])
        return None if part is None else ((-part if found[1] else part) / 100, None, found.end())
    if found := _CHINESE_FRACTION.match(text):
        whole = _read_chinese(found[2]) if found[2] else Fraction(0)
        below, above = _read_chinese(found[3]), _read_chinese(found[4])
        if whole is None or above is None or not below:
            return None
        value = whole + above / below
        return (-value if found[1] else value), None, found.end()
    if found := _CHINESE_NUMBER.match(text):
        value = numerals.read_chinese(found[0])
        return None if value is None else (value, len(found[0].partition("点")[2]), found.end())
    if (fraction := _read_english_fraction(text)) is not None:
        return fraction
    if found := _ENGLISH_NUMBER.match(text):
        words = found[0].lower()
        negative = words.startswith(("minus ", "negative "))
        number = numerals.read_english(words.split(" ", 1)[1] if negative else words)
        if number is not None:
            return Fraction(-number if negative else number), 0, found.end()
    return None


def _read_english_fraction(text: str) -> tuple[Fraction, int | None, int] | None:
    if not (found := _ENGLISH_FRACTION.match(text)) or not re.match(r"\W|$", text[found.end() :]):
        return None
    above = numerals.read_english(found[1]) if found[1] else 1
    below = _PARTS[(found[2] or found[3]).lower().rstrip("s")]
    return Fraction(above or 1, below), None, found.end()


def _read_chinese(text: str) -> Fraction | None:
    return Fraction(text) if text[0].isdigit() and text.isascii() else numerals.read_chinese(text)


def _read_digits(found: re.Match[str]) -> tuple[Fraction, int | None, int] | None:
    sign = -1 if found["sign"] == "-" else 1
    if found["mixed"]:
        above, below = found["mfn"] or found["mn"], found["mfd"] or found["md"]
        if not int(below):
            return None
        return sign * (int(found["mixed"]) + Fraction(int(above), int(below))), None, found.end()
    above, below = found["fn"] or found["fn1"] or found["n"], found["fd"] or found["fd1"] or found["d"]
    if above:
        if not Fraction(_plain(below)):
            return None
        return sign * Fraction(_plain(above)) / Fraction(_plain(below)), None, found.end()
    number = _plain(found["number"])
    places = len(number.partition(".")[2])
    power = int(found["power"] or found["exponent"] or 0)
    if abs(power) > MAX_EXPONENT:
        return None
    value = sign * Fraction(number) * Fraction(10) ** power
    return value, places - power, found.end()


def _plain(number: str) -> str:
    return number.replace(",", "").replace(" ", "").replace("'", "")


def _singular(noun: str) -> str:
    return " ".join(word[:-1] if word.endswith("s") and len(word) > 3 else word for word in noun.split())


def compare_quantities(reference: Quantity, answer: Quantity, question: str = "") -> Outcome:
    """Whether two numbers are the same. Where rounding or a unit may explain a difference: CANNOT_TELL."""
    if reference.name and answer.name and reference.name != answer.name:
        return Outcome.CANNOT_TELL
    one, other = reference.unit, answer.unit
    if one and other:
        if one.dimension == other.dimension:
            return _compare_values(reference, answer, reference.scaled, answer.scaled)
        if reference.value == answer.value or {one.dimension, other.dimension} & {"percent", "times"}:
            return Outcome.CANNOT_TELL
        if {one.dimension, other.dimension} <= {"time", "months", "age"}:
            return Outcome.CANNOT_TELL
        if {one.dimension, other.dimension} <= {"celsius", "fahrenheit", "kelvin"}:
            return Outcome.CANNOT_TELL
        if {one.dimension, other.dimension} <= MONEY:
            return Outcome.CANNOT_TELL
        return Outcome.DISAGREES
    if one or other:
        return _compare_with_bare(reference, answer, question)
    if reference.noun and answer.noun and reference.noun != answer.noun:
        return Outcome.CANNOT_TELL
    found = _compare_values(reference, answer, reference.value, answer.value)
    noun = reference.noun or answer.noun
    if found is Outcome.DISAGREES and noun and reference.noun != answer.noun:
        # Packs of what is counted, say, are another number of them.
        return found if noun in question.casefold() else Outcome.CANNOT_TELL
    return found


def _compare_with_bare(reference: Quantity, answer: Quantity, question: str) -> Outcome:
    """One of the two has a unit: the other may mean the same one."""
    with_unit, bare = (reference, answer) if reference.unit else (answer, reference)
    unit = with_unit.unit
    if bare.noun:
        return Outcome.CANNOT_TELL
    if unit.dimension == "percent":
        if bare.value == with_unit.scaled:
            return Outcome.AGREES
        if bare.value == with_unit.value:
            asks = re.search(r"%|percent|百分", question, re.IGNORECASE)
            return Outcome.AGREES if asks else Outcome.CANNOT_TELL
        if _is_near(bare, with_unit, bare.value, with_unit.scaled):
            return Outcome.CANNOT_TELL
        return _weaken_near(bare, with_unit)
    if unit.dimension == "times":
        return Outcome.CANNOT_TELL
    if bare.value == with_unit.value:
        return Outcome.AGREES if _is_expected(with_unit, reference, question) else Outcome.CANNOT_TELL
    if bare.value and with_unit.value and is_ratio_of_units(unit.dimension, with_unit.value / bare.value):
        return Outcome.CANNOT_TELL
    return _weaken_near(bare, with_unit)


def _weaken_near(bare: Quantity, with_unit: Quantity) -> Outcome:
    near = _is_near(bare, with_unit, bare.value, with_unit.value)
    return Outcome.CANNOT_TELL if near else Outcome.DISAGREES


def _is_expected(with_unit: Quantity, reference: Quantity, question: str) -> bool:
    """Whether a bare number may stand for one with this unit.

    Where the reference is bare, any unit that is no lone letter says more than was asked. Otherwise the
    question must name the unit, which is then left out.
    """
    symbol = with_unit.symbol
    named = re.search(rf"(?<![A-Za-z]){re.escape(symbol)}(?![A-Za-z])", question) is not None
    if named or with_unit.unit.dimension in ("angle", "months", "age"):
        return True
    others = [word for word in re.findall(r"[A-Za-z°%$€£]+(?:\^\d)?|[\u4e00-\u9fff]{1,3}", question)]
    asked = {found for word in others if len(word) > 1 and (found := find_unit(word))}
    if with_unit.unit in asked:
        return True
    if any(found.dimension == with_unit.unit.dimension for found in asked):
        return False
    if with_unit.unit.dimension in MONEY:
        return True
    return with_unit is not reference and (len(symbol) > 1 or symbol in "$€£¥元")


def _compare_values(reference: Quantity, answer: Quantity, one: Fraction, other: Fraction) -> Outcome:
    if one == other:
        return Outcome.AGREES
    if _is_near(reference, answer, one, other):
        return Outcome.CANNOT_TELL
    return decide(False)


def _is_near(reference: Quantity, answer: Quantity, one: Fraction, other: Fraction) -> bool:
    """Whether rounding, or a separator of thousands that reads as a decimal point, explains a difference."""
    if one and other and one / other in (1000, Fraction(1, 1000)) and 3 in (reference.places, answer.places):
        return True
    for exact, rounded, by in ((one, other, answer), (other, one, reference)):
        if by.places is None:
            continue
        step = (abs(rounded / by.value) if by.value else 1) / Fraction(10) ** by.places
        gap = abs(exact - rounded)
        if (exact / step).denominator > 1 and (gap <= step / 2 or (by.places > 0 and gap < step)):
            return True
    if reference.is_rounded or answer.is_rounded:
        tolerance = Fraction(1, 10)
    elif any(each.places for each in (reference, answer)) or _factor(reference) != _factor(answer):
        tolerance = Fraction(1, 50)
    else:
        return False
    return abs(one - other) <= tolerance * max(abs(one), abs(other))


def _factor(quantity: Quantity) -> Fraction | None:
    return quantity.unit and quantity.unit.factor
