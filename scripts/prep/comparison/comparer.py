"""Comparer: the rules, and a child process for formulas, with a limit of CPU time."""

from types import TracebackType
from typing import Self

from prep.comparison.compare import Formulas, compare
from prep.comparison.outcome import Outcome
from prep.runtime.child_process import ChildProcess

FORMULA_CPU_S = 5.0
"""A formula that takes longer is CANNOT_TELL; most take milliseconds."""


class Comparer:
    """Compares answers with references. A context manager: it ends the child process of formulas."""

    def __init__(self, formula_cpu_seconds: float = FORMULA_CPU_S):
        self._child = ChildProcess(_compare_formulas, _prepare, formula_cpu_seconds)

    def __enter__(self) -> Self:
        self._child.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def compare(self, question: str, reference: str | None, answer: str) -> Outcome:
        """What a rule says of an answer, without its thought, beside its reference."""
        found = compare(question, reference, answer)
        if isinstance(found, Formulas):
            said = self._child.call(found.reference, found.answer)
            if said is None or (found.is_form_asked and said == Outcome.AGREES):
                return Outcome.CANNOT_TELL
            return Outcome(said)
        return found


def _prepare() -> None:
    from prep.comparison import mathematics  # a second of CPU and 80 MB, in the child process alone

    mathematics.limit_memory()


def _compare_formulas(reference: str, answer: str) -> Outcome:
    from prep.comparison import mathematics

    return mathematics.compare_formulas(reference, answer)
