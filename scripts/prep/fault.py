"""What can go wrong with a request: each fault by its name, and whether and how often it is tried again."""

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from prep.program import Failure
from prep.reason import Reason
from prep.sanitize import sanitize

# How often a request is sent when it meets nothing but faults of one reason.
TRIES = {
    Reason.TRANSPORT: 7,
    Reason.RATE_LIMITED: 8,
    Reason.SERVER_ERROR: 4,
    Reason.CUT_JSON: 4,
    Reason.MALFORMED: 4,
    Reason.TIMEOUT: 2,  # each costs the whole time limit
    Reason.BAD_REQUEST: 1,
    Reason.LENGTH: 1,
}
RETRY_AFTER = 3600.0  # seconds; a server that asks for more is tried again after this
DETAIL = 300  # characters of what a server says of a fault
# How vLLM, SGLang, llama.cpp, TGI and OpenAI word that prompt and budget do not fit into the context.
CONTEXT = re.compile(
    r"\bcontext|maximum (model|input|sequence) length|max_tokens must be at least|max_new_tokens", re.I
)


class Fault(Exception):
    """A request that came to nothing: its reason, and one line of detail.

    `retry_after` is the seconds for which the server asks to be left alone, or None.
    """

    def __init__(self, reason: Reason, detail: str, retry_after: float | None = None):
        super().__init__(detail)
        self.reason, self.retry_after = reason, retry_after
        self.detail = sanitize(" ".join(detail.split()))[:DETAIL]  # no secret is cut before it is masked

    @property
    def row(self) -> bool:
        """Whether it is the row's own, so that no other request need suffer it."""
        return self.reason in OWN


OWN = (Reason.BAD_REQUEST, Reason.LENGTH)
"""Faults that are the row's own: the server lives, and refuses this one."""


def of_status(status: int, headers: Mapping[str, str], body: bytes, url: str) -> Fault:
    """The fault of an answer with an error status.

    Raises Failure for what every request would meet: a key or a model that the server does not know.
    """
    text = body.decode(errors="replace")
    try:
        said = message(parsed(body))
    except Fault:
        said = text
    detail = f"HTTP {status}: {said or 'nothing more'}"
    if status in (401, 403):
        raise Failure(f"{url} refuses the key ({detail}); see api_key_env")
    if status == 402:
        raise Failure(f"{url} wants to be paid ({detail}); see the account of the key")
    if status in (404, 405):
        raise Failure(f"{url} does not serve the model ({detail}); see model and base_urls")
    if 300 <= status < 400:
        raise Failure(f"{url} sends us on to {headers.get('Location')}; mend base_urls")
    after = _retry_after(headers)
    if status == 429:
        return Fault(Reason.RATE_LIMITED, detail, after)
    if status == 408:
        return Fault(Reason.TIMEOUT, detail, after)
    if status in (400, 413, 422) and CONTEXT.search(text):
        return Fault(Reason.LENGTH, f"prompt and answer do not fit into the context: {detail}")
    if 400 <= status < 500 and status not in (409, 425):
        return Fault(Reason.BAD_REQUEST, detail)
    return Fault(Reason.SERVER_ERROR, detail, after)


def parsed(text: bytes) -> Any:
    """JSON that a server sent; raises Fault when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Fault(Reason.CUT_JSON, f"not JSON: {error}") from error


def read(body: Any) -> dict[str, Any]:
    """The parts of a chat completion that are kept: content, reasoning, finish_reason, usage.

    The thinking is taken from `reasoning` or `reasoning_content`, the older name, where a server splits
    it off. Raises Fault for anything else than a finished completion: `abort`, `error` or no reason at
    all is how servers that are going down end what they have begun.
    """
    try:
        choice = body["choices"][0]
        answer = choice["message"]
        content = answer.get("content") or ""
        reasoning = answer.get("reasoning") or answer.get("reasoning_content") or None
        finish = choice.get("finish_reason")
        usage = body.get("usage") or {}
        tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        if not isinstance(content, str) or not isinstance(reasoning, str | None):
            raise TypeError("content is not a string")
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        said = message(body) or f"{type(error).__name__}: {error}"
        raise Fault(Reason.MALFORMED, f"not a chat completion: {said}") from error
    if not finish or finish in ("abort", "error"):
        raise Fault(Reason.SERVER_ERROR, f"the answer was broken off (finish_reason {finish})")
    finish = sanitize(str(finish))
    return {"content": content, "reasoning": reasoning, "finish_reason": finish, "tokens": tokens}


def message(body: Any) -> str | None:
    """What a server says of an error, as OpenAI, vLLM or a plain web framework word it."""
    for key in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(key):
            body = body[key]
    return body if isinstance(body, str) else json.dumps(body) if body else None


def storable(text: str) -> str:
    """What a server says, as UTF-8: half of a surrogate pair, which JSON may hold, is a question mark."""
    return text.encode(errors="replace").decode()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which gives them or a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), RETRY_AFTER)
