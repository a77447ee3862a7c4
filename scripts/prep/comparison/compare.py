"""Rule-based comparison of an answer with its reference, three-valued and conservative.

Each kind of definite reference has a parser. Only two texts of one kind are compared; whatever does not
parse, is in doubt, or may differ by wording alone is CANNOT_TELL.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from prep.comparison import dates, groups, vocabulary
from prep.comparison.final_answer import SHORT, Candidate, find_candidates, has_doubt
from prep.comparison.lettered import Letters, parse_choices, parse_letters
from prep.comparison.outcome import Outcome, decide
from prep.comparison.plain_text import fold, normalize
from prep.comparison.quantities import Quantity, compare_quantities, parse_quantity
from prep.comparison.restatement import reduce_sentence

MAX_QUESTION = 4000
"""Characters of a question's end that are read: choices, and what is asked, stand there."""
MAX_FORMULA = 300

_COMMAND = re.compile(
    r"\\[A-Za-z]+|\b(?:sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|arcsin|arccos|arctan|pi|max|min|det)\b"
)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{\w+\}")
_FORMULA = re.compile(r"[A-Za-zα-ωΑ-Ω0-9\s+\-*/^_=<>≤≥≠×÷·()\[\]{}|.,!'°∞∪∈√π&\\:]+")
_HINT = re.compile(
    r"[\\^√π+*/×÷·=!]|\d\s*[a-zA-Z]\b|\b[a-zA-Z]\s*-|-\s*[a-zA-Z]\b|\b(?:sqrt|pi|ln|log|sin|cos|tan)\b"
)
_ARITHMETIC = re.compile(r"[-+\d\s.,*/×÷·x()^]+|[A-Za-z](?:_\w)?")
_WORD = re.compile(r"[^\W\d_]+")
_SHORT_WORD = re.compile("a|an|as|at|be|by|do|he|if|in|is|it|me|my|no|of|on|or|so|to|up|we", re.IGNORECASE)
_FORM_ASKED = re.compile(
    r"\b(?:factor|simplif|simplest|lowest terms|expand|standard form|scientific notation|in the form"
    r"|in terms of|as an? (?:mixed|improper|decimal|fraction|percent|common))"
    r"|因式分解|化简|最简|展开|科学记数|写成",
    re.IGNORECASE,
)


class Formulas(NamedTuple):
    """Two texts that only a computer algebra system can compare."""

    reference: str
    answer: str
    is_form_asked: bool
    """Whether the question asks for a form, such as factors: equal values are not enough then."""


def compare(question: str, reference: str | None, answer: str) -> Outcome | Formulas:
    """What a rule says of an answer, without its thought, beside its reference; or formulas to compare."""
    if not reference or not reference.strip() or not answer.strip():
        return Outcome.CANNOT_TELL
    gold = read_reference(reference)
    candidates = find_candidates(answer) if gold is not None else None
    if not candidates:
        return Outcome.CANNOT_TELL
    question = normalize(question[-MAX_QUESTION:])
    choices = parse_choices(question)
    return _join(_compare_candidate(gold, each, question, choices) for each in candidates)


def read_reference(text: str) -> str | None:
    """The one definite text of a reference, normalised; None where it is prose."""
    candidates = find_candidates(text)
    if not candidates or len(candidates) > 1:
        return None
    (found,) = candidates
    if found.is_joined or len(found.text) > SHORT:
        return None
    return found.text


def _join(outcomes: Iterable[Outcome | Formulas]) -> Outcome | Formulas:
    """One outcome of those of several candidates: none may speak against another."""
    told = [each for each in outcomes if each is not Outcome.CANNOT_TELL]
    if not told or len(set(told)) > 1:
        return Outcome.CANNOT_TELL
    return told[0]


def _compare_candidate(
    gold: str, candidate: Candidate, question: str, choices: dict[str, str]
) -> Outcome | Formulas:
    found = compare_texts(gold, candidate.text, question, choices)
    if candidate.is_joined and found is not Outcome.AGREES:
        return Outcome.CANNOT_TELL
    return found


def compare_texts(
    reference: str,
    answer: str,
    question: str = "",
    choices: dict[str, str] | None = None,
    is_part: bool = False,
) -> Outcome | Formulas:
    """Compare two normalised short texts; see compare. `is_part`: the answer is a part of a sentence."""
    choices = choices or {}
    found = _compare_letters(reference, answer, question, choices)
    if found is not None:
        return found
    if (found := _compare_equal(reference, answer)) is not None:
        return found
    if _is_doubtful(reference) or _is_doubtful(answer):
        return Outcome.CANNOT_TELL
    is_form_asked = _FORM_ASKED.search(question) is not None
    if (found := compare_values(reference, answer, question)) is not None:
        return Outcome.CANNOT_TELL if is_form_asked and found is Outcome.AGREES else found
    if (found := _compare_result(reference, answer, question)) is not Outcome.CANNOT_TELL:
        return found
    if _is_formula(reference) and _is_formula(answer):
        return Formulas(reference, answer, is_form_asked)
    for said in [] if is_part else reduce_sentence(answer, question):
        found = compare_texts(reference, said, question, choices, is_part=True)
        is_given = re.sub(r"[^\d.]", "", said).strip(".") in re.findall(r"\d+(?:\.\d+)?", question)
        if found is Outcome.AGREES or (found is not Outcome.CANNOT_TELL and not is_given):
            return found
    return Outcome.CANNOT_TELL


def _compare_equal(reference: str, answer: str) -> Outcome | None:
    """AGREES for the same words; None where they differ. The case of symbols such as `Co` counts."""
    one, other = fold(reference), fold(answer)
    if one != other or not one:
        return None
    if one in vocabulary.POLARITY or one in vocabulary.CLASSES:
        return Outcome.AGREES
    words = zip(_WORD.findall(reference), _WORD.findall(answer), strict=False)
    return Outcome.AGREES if all(map(_is_same_but_case, words)) else Outcome.CANNOT_TELL


def _is_same_but_case(words: tuple[str, str]) -> bool:
    """Whether two words differ at most in a case that means nothing: not `m` and `M`, not `Co` and `CO`."""
    one, other = words
    if one == other or one.casefold() != other.casefold():
        return True  # an article may stand in front of one text
    if len(one) < 3:
        return _SHORT_WORD.fullmatch(one) is not None
    return all(word in (word.lower(), word.capitalize(), word.upper()) for word in words)


def _is_doubtful(text: str) -> bool:
    return has_doubt(text) and vocabulary.read_polarity(text) is None and fold(text) not in vocabulary.CLASSES


def compare_values(reference: str, answer: str, question: str = "") -> Outcome | None:
    """Compare two texts that are values of one kind: numbers, dates, intervals, lists, words of a class.

    None where they are not both of one kind.
    """
    if (found := vocabulary.compare_polarity(reference, answer, question)) is not None:
        return found
    one, other = parse_quantity(reference), parse_quantity(answer)
    if one and other:
        return compare_quantities(one, other, question)
    if found := _compare_times(reference, answer, one, other):
        return found
    if (ratios := _both(groups.parse_ratio, reference, answer)) is not None:
        return groups.compare_ratios(*ratios)
    if (intervals := _both(groups.parse_interval, reference, answer)) is not None:
        return decide(intervals[0] == intervals[1])
    if (ranges := _both(groups.parse_range, reference, answer)) is not None:
        ends = [compare_quantities(*pair, question) for pair in zip(*ranges, strict=True)]
        return _join_ends(ends)
    if (items := _both(groups.parse_group, reference, answer)) is not None:
        found = groups.compare_groups(*items, question, _compare_items)
        return None if found is Outcome.CANNOT_TELL else found
    found = vocabulary.compare_words(reference, answer)
    return None if found is Outcome.CANNOT_TELL else found


def _both(parse, reference: str, answer: str):
    found = parse(reference), parse(answer)
    return None if None in found else found


def _join_ends(ends: list[Outcome]) -> Outcome:
    if Outcome.DISAGREES in ends:
        return Outcome.DISAGREES
    return Outcome.AGREES if set(ends) == {Outcome.AGREES} else Outcome.CANNOT_TELL


def _compare_times(
    reference: str, answer: str, one: Quantity | None, other: Quantity | None
) -> Outcome | None:
    """Dates, years and times of day; None where they are not both some."""
    days = dates.parse_date(reference), dates.parse_date(answer)
    if days[0] and days[1]:
        return dates.compare_dates(*days)
    if days[1] and one and _is_year(one):
        return dates.compare_year(int(one.value), days[1])
    if days[0] and other and _is_year(other):
        found = dates.compare_year(int(other.value), days[0])
        whole = days[0].month is None
        return found if whole or found is Outcome.DISAGREES else Outcome.CANNOT_TELL
    hours = dates.parse_time(reference), dates.parse_time(answer)
    return dates.compare_times(*hours) if hours[0] and hours[1] else None


def _is_year(quantity: Quantity) -> bool:
    bare = not quantity.unit and not quantity.noun and quantity.value.denominator == 1
    return bare and 100 <= quantity.value <= 2200


def _compare_items(reference: str, answer: str) -> Outcome:
    """Compare two items of lists, which may be lists themselves."""
    if (found := _compare_equal(reference, answer)) is not None:
        return found
    if _is_doubtful(reference) or _is_doubtful(answer):
        return Outcome.CANNOT_TELL
    return compare_values(reference, answer) or Outcome.CANNOT_TELL


def _compare_letters(reference: str, answer: str, question: str, choices: dict[str, str]) -> Outcome | None:
    """Compare as choices, by letter or by the choice's text; None where the two are none."""
    may_run = bool(choices) or not question
    one, other = (parse_letters(text, bool(choices), may_run) for text in (reference, answer))
    if one is None and other is None and not choices:
        return None
    if one and other:
        return _compare_named(one, other, choices)
    if one is None and not choices:
        return None if _compare_equal(reference, answer) else Outcome.CANNOT_TELL
    if one and not choices:
        if one.text and not _is_doubtful(answer):
            found = compare_texts(one.text, answer)
            return found if found is Outcome.AGREES else Outcome.CANNOT_TELL
        return Outcome.CANNOT_TELL
    named = one.letters if one else _find_choice(reference, choices)
    said = other.letters if other else _find_choice(answer, choices)
    if named and said:
        return decide(named == said)
    return Outcome.CANNOT_TELL if one or other else None


def _compare_named(one: Letters, other: Letters, choices: dict[str, str]) -> Outcome:
    """Compare letters; a text beside them must not speak against them."""
    text = one.text or (choices.get(next(iter(one.letters)), "") if len(one.letters) == 1 else "")
    told = other.text
    if one.letters == other.letters:
        if told and text:
            found = _compare_items(text, told)
            if found is Outcome.DISAGREES or (found is not Outcome.AGREES and not choices):
                return Outcome.CANNOT_TELL
        if told and (meant := _find_choice(told, choices)) and meant != other.letters:
            return Outcome.CANNOT_TELL
        return (
            Outcome.CANNOT_TELL
            if told and _is_doubtful(told) and fold(told) != fold(text)
            else Outcome.AGREES
        )
    if told and text and _compare_items(text, told) is Outcome.AGREES:
        return Outcome.CANNOT_TELL
    if told and _is_doubtful(told) and told not in choices.values():
        return Outcome.CANNOT_TELL
    return Outcome.DISAGREES


def _find_choice(text: str, choices: dict[str, str]) -> frozenset[str]:
    """The letter of the one choice that a text is; none where it is no choice, or may be two."""
    same = [letter for letter, choice in choices.items() if _compare_equal(choice, text) is Outcome.AGREES]
    if not same and not _is_doubtful(text):
        same = [
            letter for letter, choice in choices.items() if compare_values(choice, text) is Outcome.AGREES
        ]
    return frozenset(same) if len(same) == 1 else frozenset()


def _compare_result(reference: str, answer: str, question: str) -> Outcome:
    """Compare what stands behind the last `=` of a computation such as `12 × 3 = 36`."""
    before, equals, result = answer.rpartition("=")
    if not equals or "=" in reference or "," in before:
        return Outcome.CANNOT_TELL
    if not all(_ARITHMETIC.fullmatch(part.strip()) for part in before.split("=")):
        return Outcome.CANNOT_TELL
    one, other = parse_quantity(reference), parse_quantity(result)
    return compare_quantities(one, other, question) if one and other else Outcome.CANNOT_TELL


def _is_formula(text: str) -> bool:
    if len(text) > MAX_FORMULA:
        return False
    plain = _COMMAND.sub(" ", _ENVIRONMENT.sub(" ", text))
    if re.search(r"[A-Za-z]{3,}", plain) or not _FORMULA.fullmatch(text):
        return False
    return bool(_HINT.search(text)) or parse_quantity(text) is not None
