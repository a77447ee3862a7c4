"""Values with parts: sets, tuples, lists, intervals, inequalities, ranges, ratios."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from prep.comparison.outcome import Outcome, decide
from prep.comparison.quantities import Quantity, parse_quantity

MAX_ITEMS = 40


class Group(NamedTuple):
    """Some texts: `kind` is set (braces), tuple (round brackets), list (square ones), or plain."""

    kind: str
    items: tuple[str, ...]
    is_unordered: bool


class Interval(NamedTuple):
    """A part of the real line; None is without an end. Brackets tell whether an end belongs to it."""

    low: Fraction | None
    high: Fraction | None
    has_low: bool
    has_high: bool


class Range(NamedTuple):
    """From one number to another, without a word on the ends."""

    low: Quantity
    high: Quantity


class Ratio(NamedTuple):
    """Numbers to each other, as in 3:4."""

    parts: tuple[Fraction, ...]


_PAIRS = {"{": "}", "(": ")", "[": "]"}
_KINDS = {"{": "set", "(": "tuple", "[": "list"}
_JOINT = re.compile(
    r"\s*(?:,\s*(?:and|or)\s+|\s+(?:and|or|&)\s+|\s*(?:和|与|及|或|以及|且)\s*|[、;]|,(?!\d{3}(?!\d))|,\s+)\s*"
)
_NAME = r"[A-Za-zα-ω](?:_\{?\w+\}?)?"
_END = r"[-+]?\s*(?:∞|\\frac\{\d+\}\{\d+\}|[\d.,/]+)"
_INTERVAL = re.compile(rf"(?:{_NAME}\s*(?:∈|in)\s*)?([(\[])\s*({_END})\s*[,;]\s*({_END})\s*([)\]])")
_BETWEEN = re.compile(rf"({_END})\s*([<≤])=?\s*({_NAME})\s*([<≤])=?\s*({_END})")
_ONE_SIDE = re.compile(rf"({_NAME})\s*([<≤>≥])\s*({_END})")
_OTHER_SIDE = re.compile(rf"({_END})\s*([<≤>≥])\s*({_NAME})")
_RANGE = re.compile(
    r"(?:(?P<between>between|介于)\s*|from\s+|从)?(?P<low>[^\s,~–到至-][^,~–到至-]*?)"
    r"\s*(?P<joint>-|–|—|~|\bto\b|到|至|\band\b|和)\s*(?P<high>[^\s,~–到至-][^,~–到至-]*?)(?P<tail>之间)?",
    re.IGNORECASE,
)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*(?::|to|比)\s*\d+(?:\.\d+)?)+")
_SORTED = re.compile(
    r"sort|order|rank|arrange|sequence|respectively|mean and|排序|顺序|排列|分别|依次|从[小大]到", re.I
)
_SOLVED = re.compile(
    r"solve|solutions?|roots?|zeros|factors|divisors|set of|elements|\bwhich\b|\blist\b"
    r"|解|根|因数|约数|集合|哪些",
    re.I,
)


def parse_interval(text: str) -> tuple[Interval, ...] | None:
    """An interval or an inequality of one variable, or a union of intervals; None for anything else."""
    parts = re.split(r"∪|\bor\b|或", text.strip().rstrip("."))
    found = [_parse_one(part.strip()) for part in parts if part.strip()]
    if not found or None in found or len(found) < len(parts):
        return None
    return tuple(sorted(found, key=lambda each: (each.low is not None, each.low or 0)))


def _parse_one(text: str) -> Interval | None:
    text = text.replace("<=", "≤").replace(">=", "≥")
    if found := _INTERVAL.fullmatch(text):
        low, high = _read_end(found[2]), _read_end(found[3])
        return _make(low, high, found[1] == "[", found[4] == "]")
    if found := _BETWEEN.fullmatch(text):
        return _make(_read_end(found[1]), _read_end(found[5]), found[2] == "≤", found[4] == "≤")
    if found := _ONE_SIDE.fullmatch(text):
        sign, end = found[2], found[3]
    elif found := _OTHER_SIDE.fullmatch(text):
        sign, end = {"<": ">", "≤": "≥", ">": "<", "≥": "≤"}[found[2]], found[1]
    else:
        return None
    if sign in "<≤":
        return _make("-∞", _read_end(end), False, sign == "≤")
    return _make(_read_end(end), "∞", sign == "≥", False)


def _read_end(text: str) -> Fraction | str | None:
    text = text.replace(" ", "")
    if text.endswith("∞"):
        return text.lstrip("+")
    found = parse_quantity(text)
    return found.value if found and not found.unit and not found.noun else None


def _make(
    low: Fraction | str | None, high: Fraction | str | None, has_low: bool, has_high: bool
) -> Interval | None:
    if low is None or high is None or low == "∞" or high == "-∞":
        return None
    if not isinstance(low, str) and not isinstance(high, str) and low >= high:
        return None
    free_low, free_high = isinstance(low, str), isinstance(high, str)
    return Interval(
        None if free_low else low,
        None if free_high else high,
        has_low and not free_low,
        has_high and not free_high,
    )


def parse_ratio(text: str) -> Ratio | None:
    """`3:4` or `3 to 4` with `:`; None for anything else."""
    text = text.strip().rstrip(".")
    if ":" not in text and "比" not in text:
        return None
    if not _RATIO.fullmatch(text):
        return None
    return Ratio(tuple(Fraction(part) for part in re.findall(r"\d+(?:\.\d+)?", text)))


def compare_ratios(reference: Ratio, answer: Ratio) -> Outcome:
    """The same parts agree; parts that are only in proportion may be asked for in lowest terms."""
    if reference == answer:
        return Outcome.AGREES
    one, other = reference.parts, answer.parts
    if len(one) != len(other):
        return Outcome.DISAGREES
    proportional = all(a * other[0] == b * one[0] for a, b in zip(one, other, strict=True))
    reverse = len(one) == 2 and one == other[::-1]
    return Outcome.CANNOT_TELL if proportional or reverse else Outcome.DISAGREES


def parse_range(text: str) -> Range | None:
    """`3-5`, `3 to 5 cm`, `between 3 and 5`, `3到5`; None for anything else, such as `5-3`."""
    text = text.strip().rstrip(".")
    found = _RANGE.fullmatch(text)
    if not found:
        return None
    joins = found["joint"].lower() in ("and", "和")
    if joins != bool(found["between"] or found["tail"]) and (joins or found["between"]):
        return None
    low, high = parse_quantity(found["low"]), parse_quantity(found["high"])
    if not low or not high or low.name or high.name:
        return None
    if not low.unit and not low.noun and (high.unit or high.noun):
        low = low._replace(unit=high.unit, noun=high.noun, symbol=high.symbol)
    return Range(low, high) if low.scaled < high.scaled else None


def parse_group(text: str) -> Group | None:
    """Several values, or one in braces; None for a text that is one value."""
    text = text.strip().rstrip(".").strip()
    text = re.sub(rf"^(?:{_NAME})\s*(?:=|∈)\s*(?=[{{(\[])", "", text)
    kind = _KINDS.get(text[:1], "plain")
    if kind != "plain" and _find_end(text) == len(text) - 1:
        inner = text[1:-1].strip()
        items = [] if not inner else _split(inner)
        if kind == "set" or len(items) > 1:
            return None if len(items) > MAX_ITEMS else Group(kind, tuple(items), kind == "set")
        return None
    items = _split(text)
    if not 1 < len(items) <= MAX_ITEMS or not all(items):
        return None
    is_unordered = bool(re.search(r"\bor\b|或|±", text))
    return Group("plain", tuple(items), is_unordered)


def _find_end(text: str) -> int:
    """Where the bracket that a text begins with is closed."""
    depth = 0
    for place, char in enumerate(text):
        depth += (char in "{([") - (char in "})]")
        if depth == 0:
            return place
    return -1


def _split(text: str) -> list[str]:
    """The items of a list: what stands between its commas and joints outside brackets."""
    items, start, depth = [], 0, 0
    place = 0
    while place < len(text):
        char = text[place]
        depth += (char in "{([") - (char in "})]")
        if depth == 0 and (found := _JOINT.match(text, place)) and found.end() > place:
            items.append(text[start:place].strip())
            start = place = found.end()
            continue
        place += 1
    items.append(text[start:].strip())
    return items


def compare_groups(
    reference: Group, answer: Group, question: str, compare: Callable[[str, str], Outcome]
) -> Outcome:
    """Compare item by item: in order, or, where the order is free, each with any."""
    if reference.kind != answer.kind and {reference.kind, answer.kind} != {"plain", "set"}:
        kinds = {reference.kind, answer.kind}
        if kinds != {"plain", "list"} and kinds != {"plain", "tuple"}:
            return Outcome.CANNOT_TELL
    one, other = reference.items, answer.items
    if len(one) == len(other):
        in_order = [compare(a, b) for a, b in zip(one, other, strict=True)]
        if all(outcome is Outcome.AGREES for outcome in in_order):
            return Outcome.AGREES
    table = [[compare(a, b) for b in other] for a in one]
    if len(one) == len(other) and _is_matched(table):
        if reference.is_unordered or (
            reference.kind == "plain" and _SOLVED.search(question) and not _SORTED.search(question)
        ):
            return Outcome.AGREES
        if reference.kind in ("tuple", "list") and reference.kind == answer.kind:
            return Outcome.DISAGREES
        return Outcome.CANNOT_TELL
    rows = [*table, *map(list, zip(*table, strict=True))] if one and other else []
    if any(row and all(outcome is Outcome.DISAGREES for outcome in row) for row in rows):
        return Outcome.DISAGREES
    flat = [outcome for row in table for outcome in row]
    if len(set(one)) != len(set(other)) and Outcome.CANNOT_TELL not in flat:
        return decide(False)
    return Outcome.CANNOT_TELL


def _is_matched(table: list[list[Outcome]]) -> bool:
    """Whether each row agrees with a column of its own."""
    free = set(range(len(table)))
    for row in table:
        place = next((column for column in sorted(free) if row[column] is Outcome.AGREES), None)
        if place is None:
            return False
        free.remove(place)
    return True
