"""Cache policy of answers: which journaled answer counts for a request, so that settings never mix.

What decides an answer is in its request's key; how a request travels (time limits, concurrency, endpoints,
streaming) is not. Three things decide an answer beside the request, and are kept apart in this way:

- An answer that the end of the context cut stands under a key of its own, and counts until the context is
  longer.
- A second try with a larger budget is another request, with that budget in its key. Whether it is made
  depends on what the journal has for the first, so every run decides it alike.
- An answer that was stopped for repetition stands under a key that names the length that was
  looked for. Where none is looked for it does not count, and the whole answer is asked for; where one is,
  an answer that came whole is held to it too, and counts as if it had been stopped.
"""

import hashlib
from typing import Any

from prep.inference.errors import finish_reason
from prep.inference.journal import Journal
from prep.inference.request import Request, Response, request_kind
from prep.inference.streaming import find_repetition
from prep.records.reason import Reason


class Answers:
    """The answers of one model in a journal.

    `context`: the tokens of prompt and answer together. `longer_budget`: an answer that its own budget cut is
    asked for once more with so many times the tokens, as far as the context has room. `window`: an answer
    that repeats itself for so many characters is no answer.
    """

    def __init__(
        self,
        journal: Journal,
        model: str,
        context: int,
        longer_budget: float | None = None,
        window: int | None = None,
    ):
        self._journal = journal
        self._model = model
        self._context = context
        self._longer_budget = longer_budget
        self.window = window

    def key(self, request: Request) -> str:
        """The key of a request to this model: the same for every server of it."""
        return request.key(self._model)

    def has(self, key: str) -> bool:
        """Whether a request of this key has an answer that counts."""
        return key in self._journal or self._cut(key) is not None or self._stopped_key(key) in self._journal

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer that counts for a request of this key: content, reasoning, finish_reason, tokens."""
        return self._read(key) or self._cut(key) or self._read(self._stopped_key(key))

    def store(self, request: Request, answer: dict[str, Any]) -> None:
        """Journal an answer, under the key by which it counts."""
        key = self.key(request)
        by_context = request.budget is None or answer["tokens"][1] < request.budget
        if answer["finish_reason"] == Reason.REPETITION:
            key = self._stopped_key(key)
        elif answer["finish_reason"] == "length" and by_context:
            key = _cut_key(key)
        asked = request_kind(request.mode, self._model, request.sampling, request.template, request.added)
        told = {"id": request.id, "asked": asked | {"seed": request.seed}, "max_model_len": self._context}
        self._journal.append(key, told | answer)

    def latest(self, request: Request) -> Request:
        """The request whose answer counts: this one, or, where its budget cut it, that with a larger one."""
        if self._longer_budget is None or request.budget is None:
            return request
        record = self._read(self.key(request))
        if record is None or record["finish_reason"] != "length" or self._repeats(record):
            return request
        room = self._context - record["tokens"][0]
        budget = min(int(request.budget * self._longer_budget), room)
        return request.with_budget(budget) if budget > request.budget else request

    def response(self, record: dict[str, Any]) -> Response:
        """What an answer is to those who asked."""
        if self._repeats(record):
            detail = f"repeated itself for {self.window} characters"
            return Response("", None, None, Reason.REPETITION, detail)
        # Journals of earlier versions hold other servers' names of it.
        return Response(
            record["content"],
            record["reasoning"],
            finish_reason(record["finish_reason"]),
            tokens=record["tokens"][1] or None,
            reasoning_tokens=record.get("reasoning_tokens"),
        )

    def _cut(self, key: str) -> dict[str, Any] | None:
        """The answer that the end of the context cut, unless today's context is longer."""
        record = self._read(_cut_key(key))
        return record if record and record.get("max_model_len", 0) >= self._context else None

    def _read(self, key: str) -> dict[str, Any] | None:
        """The answer that is journaled under a key. Raises UserError for a record that is none."""
        record = self._journal.get(key)
        if record is not None and (fault := _find_fault(record)):
            raise self._journal.describe_damage(key, fault)
        return record

    def _repeats(self, record: dict[str, Any]) -> bool:
        """Whether an answer repeats itself, if that is looked for."""
        texts = (record["content"], record["reasoning"] or "")
        return self.window is not None and any(find_repetition(text, self.window) for text in texts)

    def _stopped_key(self, key: str) -> str:
        """Under which an answer is journaled that was stopped for repetition."""
        return hashlib.sha256(f"{key} stopped after {self.window} characters".encode()).hexdigest()


def _find_fault(record: dict[str, Any]) -> str | None:
    """What of a journaled answer is not as it was written; None: nothing."""
    kinds = {"content": str, "reasoning": str | None, "finish_reason": object, "tokens": list}
    wrong = [name for name, kind in kinds.items() if name not in record or not isinstance(record[name], kind)]
    if not wrong and [type(count) for count in record["tokens"]] != [int, int]:
        wrong.append("tokens")
    if type(record.get("max_model_len", 0)) is not int:
        wrong.append("max_model_len")
    return f"the answer's {', '.join(wrong)} cannot be read" if wrong else None


def _cut_key(key: str) -> str:
    """Under which an answer is journaled that the end of the context cut: a longer one may finish it."""
    return hashlib.sha256(f"{key} cut by the context".encode()).hexdigest()
