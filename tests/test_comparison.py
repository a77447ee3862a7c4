"""Rules beside judges: of hand-written cases no outcome is wrong, and few are left undecided."""

import gc
import os
import signal
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from conftest import at_most
from hypothesis import given
from hypothesis import strategies as st

from prep.comparison.compare import Formulas, compare
from prep.comparison.comparer import Comparer
from prep.comparison.outcome import Outcome
from prep.comparison.plain_text import normalize
from prep.comparison.quantities import compare_quantities, parse_quantity
from prep.runtime.child_process import ChildProcess
from prep.runtime.process_pool import WorkerKilled
from prep.runtime.program import UserError

FOLDER = Path(__file__).parent / "comparison"
MAX_UNDECIDED = 0.25
HANG = r"\dfrac{5^{\left(5^{\left(5^{\left(5^5\right)}\right)} - 4\right)} - 5}{16}"
"""math-verify hangs on it whatever its own limits say (huggingface/Math-Verify issue 65)."""


def read_cases(name: str) -> list[tuple[str, str, str, str]]:
    """Question, reference, answer, and what a careful reader says."""
    cases = tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))
    return [tuple(case) for kind in cases.values() for case in kind]


CASES, TRAPS = read_cases("cases.toml"), read_cases("traps.toml")


@pytest.fixture(scope="module")
def by_rules() -> dict[tuple[str, str, str, str], Outcome | Formulas]:
    return {case: compare(*case[:3]) for case in [*CASES, *TRAPS]}


@pytest.fixture(scope="module")
def outcomes(by_rules) -> dict[tuple[str, str, str, str], Outcome]:
    """What the rules say, and of formulas what the child process says."""
    with Comparer() as comparer:
        return {
            case: comparer.compare(*case[:3]) if isinstance(found, Formulas) else found
            for case, found in by_rules.items()
        }


def find_wrong(outcomes: dict[tuple[str, str, str, str], Outcome | Formulas]) -> dict:
    """The cases that are decided, and not as a careful reader does."""
    decided = {case: found for case, found in outcomes.items() if found in ("agrees", "disagrees")}
    return {case: found for case, found in decided.items() if found != case[3]}


def test_no_case_is_decided_wrongly_by_rules(by_rules):
    assert find_wrong(by_rules) == {}


def test_what_rules_leave_undecided_is_listed(by_rules):
    listed = tomllib.loads((FOLDER / "undecided.toml").read_text(encoding="utf-8"))
    undecided = [case for case, found in by_rules.items() if found is Outcome.CANNOT_TELL != case[3]]
    formulas = [case for case, found in by_rules.items() if isinstance(found, Formulas)]
    assert [list(case[:3]) for case in undecided] == listed["undecided"]
    assert [list(case[:3]) for case in formulas] == listed["formulas"]


def test_no_case_is_decided_wrongly_with_formulas(outcomes):
    assert find_wrong(outcomes) == {}


def test_few_cases_are_left_undecided(outcomes):
    found = Counter(outcomes[case] for case in CASES)
    assert len(set(CASES)) == len(CASES) >= 250
    assert found[Outcome.CANNOT_TELL] <= MAX_UNDECIDED * len(CASES)
    assert min(found[Outcome.AGREES], found[Outcome.DISAGREES]) > 80


def test_a_formula_that_never_ends_is_undecided_and_the_next_one_is_not():
    with Comparer(formula_cpu_seconds=1.0) as comparer:
        assert comparer.compare("", HANG, "x^2") is Outcome.CANNOT_TELL
        assert comparer.compare("", r"2\sqrt{3}", r"\sqrt{12}") is Outcome.AGREES


def fail_to_import() -> None:
    raise ModuleNotFoundError("no module math_verify")


def test_a_process_that_cannot_start_is_an_error_and_no_outcome():
    with (
        ChildProcess(os.getpid, fail_to_import, 1.0) as child,
        pytest.raises(UserError, match="getpid did not start: ModuleNotFoundError: no module math_verify"),
    ):
        child.call()


def test_a_process_that_dies_of_a_call_is_replaced():
    with ChildProcess(os._exit, gc.collect, 1.0) as child:
        assert child.call(1) is None
        assert child.call(0) is None


def test_a_process_that_is_killed_from_outside_is_an_error_and_no_outcome():
    """An outcome that a lack of memory decides would be another one in the next run."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        with (
            ChildProcess(signal.raise_signal, gc.collect, 1.0) as child,
            pytest.raises(WorkerKilled, match=rf"killed \(signal {number}\), perhaps because memory ran out"),
        ):
            child.call(number)


def test_ctrl_c_reaches_a_process_by_its_program_alone():
    with ChildProcess(signal.raise_signal, gc.collect, 1.0) as child:
        assert child.call(signal.SIGINT) is None
        assert child._process is not None


PIECES = (
    r"1 2.5 A B not yes no 是 不 { } ( [ ] ) \boxed{ \frac{ = , and 或 % $ ^ 三 百 答案是 cm : - / . x"
    r" The answer is"
)
TEXTS = st.lists(st.sampled_from([*PIECES.split(), " ", "\n"]), max_size=25).map("".join) | st.text(
    max_size=60
)


@at_most(300)
@given(TEXTS, TEXTS, TEXTS)
def test_any_texts_have_an_outcome(question, reference, answer):
    found = compare(question, reference, answer)
    assert isinstance(found, Outcome | Formulas)


@at_most(200)
@given(TEXTS, TEXTS)
def test_agreement_without_a_question_has_no_direction(one, other):
    found = {compare("", one, other), compare("", other, one)}
    assert found != {Outcome.AGREES, Outcome.DISAGREES}


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_integers_agree_where_they_are_equal(one, other):
    found = compare("", f"{one:,}", str(other))
    assert found is (Outcome.AGREES if one == other else Outcome.DISAGREES)
    assert compare("", f"{one:,}", str(one)) is Outcome.AGREES


@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_quantities_compare_alike_both_ways(above, below):
    pair = parse_quantity(f"{above}/{below}"), parse_quantity(f"{above / below:.3f}")
    assert compare_quantities(*pair) is compare_quantities(*pair[::-1]) is not Outcome.DISAGREES


@given(TEXTS)
def test_normalising_twice_changes_no_number(text):
    assert parse_quantity(normalize(text)) == parse_quantity(normalize(normalize(text)))
