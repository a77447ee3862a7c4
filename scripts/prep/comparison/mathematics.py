"""Formulas compared by a computer algebra system (math-verify, sympy); for a child process: it may hang.

math-verify says whether two formulas are the same. Its `no` also covers what it cannot simplify, so that
DISAGREES takes two numbers, at some point, that differ. That is also found at once, where `no` takes long.
"""

import logging
import re
import resource

import sympy
from math_verify import parse, verify
from math_verify.parser import LatexExtractionConfig
from sympy import Basic, Eq, Expr, MatrixBase, Symbol

from prep.comparison.outcome import Outcome

MEMORY_BYTES = 3 * 2**30
"""Address space of a child process; a tower of powers must not take the machine's."""
POINTS = (sympy.Rational(7, 10), sympy.Rational(13, 9), sympy.Rational(29, 11))
"""Where formulas with variables are evaluated: each variable gets another multiple of these."""
DIGITS = 30
SAME, NEAR = 1e-9, 0.02
_ASCII_ROOT = re.compile(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)")
_ASCII_NAME = re.compile(r"(?<![\\a-zA-Z])(pi|sin|cos|tan|ln|log)(?![a-zA-Z])")
_ROUND_POWER = re.compile(r"\^\s*\(([^()]*)\)")
_BARE_LOGARITHM = re.compile(r"\blog(?!\s*_)")
_CONFIG = [LatexExtractionConfig(boxed_match_priority=-1)]


def limit_memory() -> None:
    """Bound the memory of this process, which is a child, and silence the parsers."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)


def compare_formulas(reference: str, answer: str) -> Outcome:
    """Compare two formulas. Never raises; has no time limit of its own."""
    if any(map(_BARE_LOGARITHM.search, (reference, answer))) and "ln" in reference + answer:
        return Outcome.CANNOT_TELL  # `log` is either logarithm
    try:
        return _compare(_parse(reference), _parse(answer))
    except (Exception, RecursionError, MemoryError):  # whatever a parser or simplifier trips over
        return Outcome.CANNOT_TELL


def _parse(text: str) -> Basic | MatrixBase | None:
    """A formula as sympy has it; None where math-verify reads none. Its signals are switched off."""
    text = text.replace("π", r"\pi ").replace("√", r"\sqrt").replace("×", r"\times ").replace("·", r"\cdot ")
    text = text.replace("∞", r"\infty ").replace("∪", r"\cup ").replace("≤", r"\le ").replace("≥", r"\ge ")
    text = (
        _ASCII_ROOT.sub(r"\\sqrt{\1}", _ASCII_NAME.sub(r"\\\1 ", text))
        .replace("**", "^")
        .replace("*", r"\cdot ")
    )
    text = _ROUND_POWER.sub(r"^{\1}", text)
    found = parse(f"${text}$", extraction_config=_CONFIG, parsing_timeout=None, fallback_mode="no_fallback")
    return next((each for each in found if isinstance(each, (Basic, MatrixBase))), None)


def _compare(one: Basic | MatrixBase | None, other: Basic | MatrixBase | None) -> Outcome:
    if one is None or other is None:
        return Outcome.CANNOT_TELL
    difference = _measure_difference(_right_side(one, other), _right_side(other, one))
    if difference is not None and difference > NEAR:
        return Outcome.DISAGREES
    if (difference is None or difference <= SAME) and verify(one, other, timeout_seconds=None):
        return Outcome.AGREES
    return Outcome.CANNOT_TELL


def _right_side(one: Basic | MatrixBase, other: Basic | MatrixBase) -> Basic | MatrixBase:
    """What a variable is said to be, unless the other formula is about another variable."""
    if not isinstance(one, Eq) or not isinstance(one.lhs, Symbol) or one.lhs in one.rhs.free_symbols:
        return one
    return one.rhs if not isinstance(other, Eq) or other.lhs == one.lhs else one


def _measure_difference(one: Basic | MatrixBase, other: Basic | MatrixBase) -> float | None:
    """How far apart, relatively, two formulas are where they are farthest; None where that says nothing.

    That is where they are no expressions of the same variables, or have a constant of integration.
    """
    if isinstance(one, MatrixBase) and isinstance(other, MatrixBase):
        if one.shape != other.shape:
            return None
        gaps = [_measure_difference(a, b) for a, b in zip(one, other, strict=True)]
        return None if None in gaps else max(gaps, default=None)
    if not isinstance(one, Expr) or not isinstance(other, Expr) or one.free_symbols != other.free_symbols:
        return None
    symbols = sorted(one.free_symbols, key=str)
    if any(symbol.name in ("C", "c", "C_1", "C_{1}") for symbol in symbols):
        return None
    gaps = [_measure_at(one, other, dict(zip(symbols, _spread(point), strict=False))) for point in POINTS]
    told = [gap for gap in (gaps if symbols else gaps[:1]) if gap is not None]
    return max(told, default=None)


def _spread(point: sympy.Rational) -> list[sympy.Rational]:
    """Values of several variables, all positive and none a simple multiple of another."""
    return [point * sympy.Rational(10 + 3 * number, 10 - number) for number in range(9)]


def _measure_at(one: Expr, other: Expr, values: dict[Symbol, sympy.Rational]) -> float | None:
    """The relative difference at a point; None where either has no finite value there."""
    pair = [complex(sympy.N(each.subs(values), DIGITS)) for each in (one, other)]
    size = max(map(abs, pair))
    if not all(abs(each) < 1e300 for each in pair):
        return None
    return abs(pair[0] - pair[1]) / size if size else 0.0
