"""Early stop of a batch whose answers are mostly malformed: a misfit costs few requests."""

from collections import Counter
from pathlib import Path

from prep.inference.request import Response
from prep.reasoning.answer_format import Form, name_form, parse_answer
from prep.records.reason import Reason, Rejection
from prep.runtime.program import UserError

TRIAL_REQUESTS = 20
"""So many answers are read before more requests are sent."""
FORM_REASONS = (Reason.ANSWER_MALFORMED, Reason.TEMPLATE_TOKEN_IN_ANSWER, Reason.EMPTY)
"""Why an answer is rejected whose form is another one."""
EXAMPLES = 3


class FormCheck:
    """Counts answers of a task by how they are malformed; raises UserError once too many are.

    That is more than `max_share` of what was read, and of TRIAL_REQUESTS at least. The file `passed` marks
    that the trial of a run was passed: the batches after the first have none.
    """

    def __init__(
        self,
        task: str,
        form: str | dict,
        forms: tuple[Form, ...],
        max_share: float,
        passed: Path | None = None,
    ):
        self._task, self._form, self._forms, self._max_share = task, form, forms, max_share
        self._passed = passed
        self.trial = 0 if passed and passed.exists() else TRIAL_REQUESTS
        self.read = 0
        self._malformed: Counter[Reason] = Counter()
        self._examples: dict[Reason, list[tuple[Response, str, str]]] = {}

    def add(self, mode: str, response: Response) -> None:
        """Read the end of a request: an answer, or a failure, which is not malformed. Raises UserError."""
        self.count(mode, response, parse_answer(response, mode, self._forms))
        self.check()
        if self.read == self.trial and self._passed:
            self._passed.touch()

    def count(self, mode: str, response: Response, found: str | Rejection) -> None:
        """Count what came of an answer."""
        self.read += 1
        if isinstance(found, str) or found[0] not in FORM_REASONS:
            return
        reason, detail = found
        self._malformed[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < TRIAL_REQUESTS:
            examples.append((response, mode, detail))

    def check(self) -> None:
        """Raise UserError where most answers are malformed, with examples and what to set."""
        for reason, count in self._malformed.most_common(1):
            if count > self._max_share * max(self.read, TRIAL_REQUESTS):
                raise UserError(
                    f"{self._task}: {count} of {self.read} answers are rejected as {reason}, more than"
                    f" max_malformed_share ({self._max_share:g}) allows: {self._show_examples(reason)}."
                    f" {self._advise(reason)}; what was answered stays in the journal"
                )

    def _show_examples(self, reason: Reason) -> str:
        shown = self._examples[reason][:EXAMPLES]
        return "; ".join(f"{detail}: {show_answer(response)}" for response, _, detail in shown)

    def _advise(self, reason: Reason) -> str:
        named = Counter(name_form(response, mode) for response, mode, _ in self._examples[reason])
        named.pop(None, None)
        return advise_form(self._task, self._form, next(iter(dict(named.most_common(1))), None))


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
