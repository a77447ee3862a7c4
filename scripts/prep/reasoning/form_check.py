"""Early stop of a batch whose answers are mostly malformed or cut, before many requests are spent."""

from abc import ABC, abstractmethod
from collections import Counter

from prep.inference.request import Response
from prep.reasoning.answer_format import Form, name_form, parse_answer
from prep.reasoning.trial import REQUESTS, Trial
from prep.reasoning.verdict import build_verdict_row
from prep.records.reason import Reason, Rejection
from prep.runtime.program import UserError

FORM_REASONS = (Reason.ANSWER_MALFORMED, Reason.TEMPLATE_TOKEN_IN_ANSWER, Reason.EMPTY)
"""Why an answer is rejected whose form is another one."""
EXAMPLES = 3


class FormCheck(ABC):
    """Counts what a server said by how it is malformed; raises UserError once too much is.

    That is more than `max_share` of what was read, and of trial.REQUESTS at least. What other batches read
    counts too while the run is on `trial`.
    """

    noun = "answers"

    def __init__(self, task: str, max_share: float, trial: Trial | None = None):
        self._task, self._max_share, self._trial = task, max_share, trial
        self.trial = trial.left if trial else 0
        self.read = 0
        self._malformed: Counter[str] = Counter()
        self._examples: dict[str, list[tuple[Response, str, str]]] = {}

    @abstractmethod
    def find_fault(self, mode: str, response: Response) -> tuple[str, str] | None:
        """How an answer is malformed, with what was found; None where it is not, or has failed."""

    @abstractmethod
    def advise(self, fault: str, examples: list[tuple[Response, str, str]]) -> str:
        """What to set; examples are answers with their mode and what was found."""

    def add(self, mode: str, response: Response) -> None:
        """Read the end of a request: an answer, or a failure, which is not malformed. Raises UserError."""
        self.count(mode, response)
        try:
            self.check()
        except UserError as error:
            if self._trial:
                self._trial.fail(error)
            raise
        if self.read <= self.trial and self._has_passed():
            self.trial = self.read
            self._trial.end()

    def _has_passed(self) -> bool:
        """Whether the trial is passed, whatever comes of the answers that are left of it."""
        malformed = max((self._malformed + self._trial.malformed).values(), default=0)
        left = REQUESTS - self.read - self._trial.read_before
        return malformed + left <= self._max_share * REQUESTS

    def end(self) -> None:
        """Keep what was read for the next batch, where the trial is not over."""
        if self._trial:
            self._trial.keep(self.read, self._malformed)

    def count(self, mode: str, response: Response) -> None:
        """Count what came of an answer."""
        self.read += 1
        if (found := self.find_fault(mode, response)) is None:
            return
        fault, detail = found
        self._malformed[fault] += 1
        examples = self._examples.setdefault(fault, [])
        if len(examples) < REQUESTS:
            examples.append((response, mode, detail))

    def check(self) -> None:
        """Raise UserError where most answers are malformed, with examples and what to set."""
        for fault, count in self._malformed.most_common(1):
            read = self.read
            if self._trial:
                count, read = count + self._trial.malformed[fault], read + self._trial.read_before
            if count > self._max_share * max(read, REQUESTS):
                raise UserError(
                    f"{self._task}: {count} of {read} {self.noun} are rejected as {fault}, more than"
                    f" max_malformed_share ({self._max_share:g}) allows: {self._show_examples(fault)}."
                    f" {self.advise(fault, self._examples[fault])}; what was answered stays in the journal"
                )

    def _show_examples(self, fault: str) -> str:
        shown = self._examples[fault][:EXAMPLES]
        return "; ".join(f"{detail}: {show_answer(response)}" for response, _, detail in shown)


class AnswerCheck(FormCheck):
    """Counts answers of a teacher that do not have its form."""

    def __init__(
        self,
        task: str,
        form: str | dict,
        forms: tuple[Form, ...],
        max_share: float,
        trial: Trial | None = None,
    ):
        super().__init__(task, max_share, trial)
        self._form, self._forms = form, forms

    def find_fault(self, mode: str, response: Response) -> Rejection | None:
        found = parse_answer(response, mode, self._forms)
        return None if isinstance(found, str) or found[0] not in (*FORM_REASONS, Reason.LENGTH) else found

    def advise(self, fault: str, examples: list[tuple[Response, str, str]]) -> str:
        if fault == Reason.LENGTH:
            return (
                f"Give {self._task}.sampling more max_tokens or the server a larger max_model_len, or set"
                f" {self._task}.longer_budget; where the teacher repeats itself, set {self._task}.repetition"
            )
        named = Counter(name_form(response, mode) for response, mode, _ in examples)
        named.pop(None, None)
        return advise_form(self._task, self._form, next(iter(dict(named.most_common(1))), None))


class VerdictCheck(FormCheck):
    """Counts what a judge said that reads as no verdict."""

    noun = "verdicts"
    CUT = f"{Reason.JUDGE_UNCLEAR} (cut before the verdict)"
    NONE = f"{Reason.JUDGE_UNCLEAR} (no verdict in them)"

    def find_fault(self, mode: str, response: Response) -> tuple[str, str] | None:
        if response.failure or build_verdict_row("", response)["reason"] is None:
            return None
        cut = response.finish_reason != "stop"
        detail = f"finish_reason is {response.finish_reason}" if cut else "no verdict"
        return (self.CUT if cut else self.NONE), detail

    def advise(self, fault: str, examples: list[tuple[Response, str, str]]) -> str:
        if fault == self.CUT:
            return (
                f"Give {self._task}.sampling.judge more max_tokens, or switch the judge's thinking off in"
                f" {self._task}.request.judge (docs/teachers.md)"
            )
        return (
            f"{self._task}.judge_prompt must ask for a JSON object of verdict (pass or fail), score (1 to 5)"
            f" and reason; where it does, name another server as {self._task}.judge"
        )


def advise_form(task: str, form: str | dict, seen: str | None) -> str:
    """What to set where a task's answers do not have its form, but the one that was seen, if any was."""
    today = form if isinstance(form, str) else "custom"
    if seen is None:
        return f"{task}.form is {today}, and no named form reads them: see docs/teachers.md"
    return f"Set {task}.form: {seen} (it is {today}), or auto"


def show_answer(response: Response) -> str:
    """The beginning and the end of an answer, and of the field of its thought, in one line."""
    split = f" with reasoning {_shorten(response.reasoning)}" if response.reasoning else ""
    return _shorten(response.content) + split


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 160 else f"{text[:100]} … {text[-50:]}")
