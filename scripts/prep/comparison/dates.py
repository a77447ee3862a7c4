"""Calendar dates in English and Chinese: parsed to year, month, day; and times of day."""

import re
from typing import NamedTuple

from prep.comparison.outcome import Outcome, decide

MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]}|t)?\\.?" if month[3:] else month for month in MONTHS)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_ERA = r"(?:\s*(?P<era>BCE?|B\.C\.|AD|CE|A\.D\.))?"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?(?:on\s+)?"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}(?P<month>{_MONTH})\s+{_DAY}(?:,?\s+(?P<year>\d{{3,4}}){_ERA})?",
        rf"{_WEEKDAY}(?:the\s+)?{_DAY}(?:\s+of)?\s+(?P<month>{_MONTH})(?:,?\s+(?P<year>\d{{3,4}}){_ERA})?",
        rf"(?P<month>{_MONTH}),?\s+(?:of\s+)?(?P<year>\d{{3,4}}){_ERA}",
        r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
        r"(?P<year>\d{4})[/.](?P<month>\d{1,2})[/.](?P<day>\d{1,2})",
        r"(?P<cera>公元前?)?(?P<year>\d{1,4})\s*年(?:\s*(?P<month>\d{1,2})\s*月(?:份|\s*(?P<day>\d{1,2})\s*[日号])?)?",
        r"(?P<month>\d{1,2})\s*月\s*(?P<day>\d{1,2})\s*[日号]",
        r"(?P<year>\d{1,4})\s*(?P<era>BCE?|B\.C\.|AD|CE|A\.D\.)",
        r"(?P<era>AD)\s*(?P<year>\d{1,4})",
    )
)
_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})")
_TIME = re.compile(
    r"(?P<noon>上午|下午|晚上|早上|凌晨|中午)?\s*(?P<hour>\d{1,2})(?:[:时点](?P<minute>\d{2})?分?(?::(?P<second>\d{2}))?)?"
    r"\s*(?P<half>a\.?m\.?|p\.?m\.?)?",
    re.IGNORECASE,
)


class Date(NamedTuple):
    """A date; None where it does not tell. Years before Christ are negative. `is_swappable`: 3/4/2020."""

    year: int | None
    month: int | None
    day: int | None
    is_swappable: bool = False


class Time(NamedTuple):
    """A time of day in seconds; `is_half`: whether morning or afternoon is not told."""

    seconds: int
    is_half: bool


def parse_date(text: str) -> Date | None:
    """A normalised text that is a date; None otherwise. A bare number is none."""
    text = text.strip().rstrip(".")
    if len(text) > 40:
        return None
    for pattern in _PATTERNS:
        if found := pattern.fullmatch(text):
            groups = found.groupdict()
            year = int(groups["year"]) if groups.get("year") else None
            if year and ("B" in (groups.get("era") or "").upper() or groups.get("cera") == "公元前"):
                year = -year
            month = _read_month(groups.get("month"))
            day = int(groups["day"]) if groups.get("day") else None
            if (month is not None and not 1 <= month <= 12) or (day is not None and not 1 <= day <= 31):
                return None
            return Date(year, month, day)
    if found := _SLASHED.fullmatch(text):
        one, other, year = map(int, found.groups())
        if one > 12 >= other >= 1 and one <= 31:
            return Date(year, other, one)
        if other > 12 >= one >= 1 and other <= 31:
            return Date(year, one, other)
        if 1 <= one <= 12 and 1 <= other <= 12:
            return Date(year, one, other, one != other)
    return None


def _read_month(text: str | None) -> int | None:
    if text is None or text.isdigit():
        return int(text) if text else None
    return next(number for number, month in enumerate(MONTHS, 1) if month[:3] == text[:3].lower())


def compare_dates(reference: Date, answer: Date) -> Outcome:
    """AGREES where all that the reference tells is told; an answer that tells less is CANNOT_TELL."""
    if reference.is_swappable or answer.is_swappable:
        if reference[:3] == answer[:3] and reference.is_swappable == answer.is_swappable:
            return Outcome.AGREES
        same = reference.year == answer.year and {*reference[1:3]} == {*answer[1:3]}
        return Outcome.CANNOT_TELL if same else Outcome.DISAGREES
    pairs = list(zip(reference[:3], answer[:3], strict=True))
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return Outcome.DISAGREES
    if any(told is not None and said is None for told, said in pairs):
        return Outcome.CANNOT_TELL
    return Outcome.AGREES


def compare_year(year: int, date: Date) -> Outcome:
    """A reference that is a bare year, and a date."""
    return Outcome.CANNOT_TELL if date.year is None else decide(date.year == year)


def parse_time(text: str) -> Time | None:
    """A time of day such as `3:30 PM`, `15:30`, `下午3点`; None otherwise, also for a bare number."""
    text = text.strip()
    found = _TIME.fullmatch(text) or _TIME.fullmatch(text.rstrip("."))
    if not found or not (found["minute"] or found["half"] or "点" in text or "时" in text):
        return None
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 59:
        return None
    half = (found["half"] or "").lower()
    is_after = half.startswith("p") or found["noon"] in ("下午", "晚上")
    is_told = bool(half or found["noon"])
    if is_told and hour <= 12:
        hour = hour % 12 + 12 * is_after if found["noon"] != "中午" else hour
    return Time(hour * 3600 + minute * 60 + second, not is_told and 1 <= hour <= 12)


def compare_times(reference: Time, answer: Time) -> Outcome:
    """Times of which one does not tell morning from afternoon may be the same."""
    if reference == answer:
        return Outcome.AGREES
    if reference.is_half or answer.is_half:
        same = reference.seconds % 43200 == answer.seconds % 43200
        return Outcome.CANNOT_TELL if same else Outcome.DISAGREES
    return Outcome.DISAGREES if reference.seconds != answer.seconds else Outcome.AGREES
