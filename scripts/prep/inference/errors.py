"""Request errors: parser of completions and error responses, and attempts for each reason."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from prep.records.reason import Reason
from prep.runtime.program import UserError
from prep.runtime.retry_after import parse_retry_after
from prep.runtime.sanitize import sanitize

# How often a request is sent when it meets nothing but errors of one reason.
MAX_ATTEMPTS = {
    Reason.TRANSPORT: 7,
    Reason.RATE_LIMITED: 8,
    Reason.SERVER_ERROR: 4,
    Reason.CUT_JSON: 4,
    Reason.MALFORMED: 4,
    Reason.TIMEOUT: 2,  # each costs the whole time limit
    Reason.BAD_REQUEST: 1,
    Reason.LENGTH: 1,
}
DETAIL = 300  # characters of what a server says of an error
# How vLLM, SGLang, llama.cpp, TGI and OpenAI word that prompt and budget do not fit into the context.
CONTEXT = re.compile(
    r"\bcontext|maximum (model|input|sequence) length|max_tokens must be at least|max_new_tokens", re.I
)


# What servers call an answer that is whole, that its budget or the context cut, or that a filter ended (in
# lower case): OpenAI's names, and those of TGI, Anthropic, Cohere, Google and llama.cpp.
FINISH_REASONS = {
    **dict.fromkeys(("eos", "eos_token", "stop_sequence", "stop_token", "end_turn", "stopped"), "stop"),
    **dict.fromkeys(("complete", "completed"), "stop"),
    **dict.fromkeys(("max_tokens", "max_length", "max_new_tokens", "max_output_tokens"), "length"),
    "safety": "content_filter",
    **{name: name for name in ("stop", "length", "content_filter")},
}
# What servers that are going down or have too much to do call an answer that they broke off.
BROKEN_OFF = {"abort", "aborted", "cancelled", "canceled", "error", "insufficient_system_resource"}
NO_REASON = "missing"
"""The finish_reason of a stream that came to its end and gave none."""


def _error_name(text: str) -> str:
    """An error's name without case, separators and the word `error`."""
    return re.sub(r"[^a-z]", "", text.lower()).removesuffix("error")


# The HTTP status that the name of an error stands for, where an error object has no number.
STATUSES = {_error_name(status.phrase): status.value for status in HTTPStatus if status >= 400} | {
    **dict.fromkeys(("invalidrequest", "invalidargument", "invalidprompt", "contextlengthexceeded"), 400),
    **dict.fromkeys(("contentfilter", "contentpolicyviolation", "validation"), 400),
    **dict.fromkeys(("authentication", "invalidapikey", "unauthenticated"), 401),
    **dict.fromkeys(("insufficientcredits", "billing"), 402),
    **dict.fromkeys(("permission", "permissiondenied"), 403),
    **dict.fromkeys(("modelnotfound", "deploymentnotfound"), 404),
    **dict.fromkeys(("timeout", "deadlineexceeded"), 408),
    "requesttoolarge": 413,
    **dict.fromkeys(("ratelimit", "ratelimitexceeded", "resourceexhausted", "insufficientquota"), 429),
    **dict.fromkeys(("server", "internal", "api"), 500),
    **dict.fromkeys(("overloaded", "engineoverloaded", "unavailable"), 503),
}


class RequestError(Exception):
    """A request that came to nothing: its reason, and one line of detail.

    `retry_after` is the seconds for which the server asks to be left alone, or None. `is_row_fault` says that
    the row may be at fault, so that no other request need suffer. A `Refusal` may be about key or model too.
    """

    def __init__(self, reason: Reason, detail: str, retry_after: float | None = None):
        super().__init__(detail)
        self.reason, self.retry_after = reason, retry_after
        self.detail = one_line(detail)
        self.is_row_fault = reason in ROW_ERRORS


class Refusal(RequestError, UserError):
    """A refusal that every request meets where key, model or address are wrong, and that one row may meet.

    A gateway says 403 to a prompt that it flags, a firewall 405. As long as no request was answered it is
    the failure of the run: as text it is `line`, which says what to mend.
    """

    def __init__(self, detail: str, line: str):
        super().__init__(Reason.BAD_REQUEST, detail)
        self.args = (line,)


OVERLOADED = (429, 503, 529)
"""What servers and proxies say while they have too much to do (RFC 6585, 4; RFC 9110, 15.6.4; Anthropic)."""

REFUSALS = {
    401: ("refuses the key", "see api_key_env"),
    402: ("wants to be paid", "see the account of the key"),
    403: ("refuses the key or the prompt", "see api_key_env"),
    **dict.fromkeys((404, 405, 410), ("does not serve the model", "see model and base_urls")),
}
"""What a server refuses by a status, and what to mend."""
FINISH_CHARS = 100
"""Of a finish_reason that no server is known for, so many are kept."""
ROW_ERRORS = (Reason.BAD_REQUEST, Reason.LENGTH)
"""Errors that are the row's own: the server lives, and refuses this one."""


def error_of_status(status: int, headers: Mapping[str, str], body: bytes, url: str) -> RequestError:
    """The error of an answer with an error status; raises Refusal where it may be the run's settings."""
    text = body.decode(errors="replace")
    try:
        said = message(parse_json(body))
    except RequestError:
        said = text
    return _meaning(status, f"HTTP {status}: {said or 'nothing more'}", text, headers, url)


def error_of_body(body: Any, url: str) -> RequestError | None:
    """What an error object in an answer of status 200 tells of: its code is read like a status.

    None when it has no code that can be read. Raises Refusal as error_of_status does.
    """
    try:
        text = json.dumps(body)
    except RecursionError:
        return None
    status = _error_status(body)
    said = message(body) or "nothing more"
    return status and _meaning(status, f"HTTP 200 with error {status}: {said}", text, {}, url)


def _error_status(body: Any) -> int | None:
    """The HTTP status that an error object names: OpenAI's, vLLM's, SGLang's, OpenRouter's, Google's."""
    error = body[0] if isinstance(body, list) and body else body
    named: list[Any] = []  # what the innermost object says comes first
    while isinstance(error, dict):
        named = [error.get(name) for name in ("code", "status", "status_code", "statusCode", "type")] + named
        error = error.get("error")
    for value in [error, *named]:
        if isinstance(value, str):
            value = int(value) if re.fullmatch(r"[1-9]\d\d", value) else STATUSES.get(_error_name(value))
        if type(value) in (int, float) and 400 <= value < 600:
            return int(value)
    return None


def _meaning(status: int, detail: str, text: str, headers: Mapping[str, str], url: str) -> RequestError:
    """The error that an error status stands for; `text`: all that the server said."""
    if status in REFUSALS:
        what, advice = REFUSALS[status]
        raise Refusal(detail, f"{url} {what} ({one_line(detail)}); {advice}")
    if 300 <= status < 400:
        there = one_line(str(headers.get("Location")))
        raise Refusal(f"HTTP {status}: sent on to {there}", f"{url} sends us on to {there}; mend base_urls")
    after = parse_retry_after(headers)
    if status in OVERLOADED:
        return RequestError(Reason.RATE_LIMITED, detail, after)
    if status == 408:
        return RequestError(Reason.TIMEOUT, detail, after)
    if status in (400, 413, 422) and CONTEXT.search(text):
        return RequestError(Reason.LENGTH, f"prompt and answer do not fit into the context: {detail}")
    if 400 <= status < 500 and status not in (409, 425):
        return RequestError(Reason.BAD_REQUEST, detail)
    return RequestError(Reason.SERVER_ERROR, detail, after)


def parse_json(text: bytes) -> Any:
    """JSON that a server sent; raises RequestError when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(Reason.CUT_JSON, f"not JSON: {error}") from error


def parse_completion(body: Any, url: str = "the server") -> dict[str, Any]:
    """The parts of a chat completion that are kept: content, reasoning, finish_reason, tokens.

    `tokens` are those of the prompt and of the completion; `reasoning_tokens`, how many of the latter are the
    thinking, is there where the server says it (`completion_tokens_details`).
    The thinking is taken from `reasoning` or `reasoning_content`, the older name, where a server splits
    it off, or from parts of the content. Token counts that cannot be read are 0. Raises RequestError for
    anything else than a finished completion: `abort`, `error` or no reason at all is how servers that are
    going down end what they have begun. An error object's code is read like an HTTP status of `url`.
    """
    try:
        choice = body["choices"][0]
        answer = choice["message"]
        content = text_of(answer.get("content"))
        fields = (answer.get("reasoning"), answer.get("reasoning_content"), thoughts(answer.get("content")))
        reasoning = next(filter(None, map(text_of, fields)), None)
        finish = finish_reason(choice.get("finish_reason"))
        usage = body.get("usage")
    except (LookupError, TypeError, AttributeError) as error:
        if told := error_of_body(body, url):
            raise told from error
        what = message(body) or f"{type(error).__name__}: {error}"
        raise RequestError(Reason.MALFORMED, f"not a chat completion: {what}") from error
    if finish is None or finish in BROKEN_OFF:
        if told := next((error_of_body(each, url) for each in (choice, body) if each.get("error")), None):
            raise told
        raise RequestError(Reason.SERVER_ERROR, f"the answer was broken off (finish_reason {finish})")
    counts = usage if isinstance(usage, dict) else {}
    tokens = [_count(counts.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    said = {"content": content, "reasoning": reasoning, "finish_reason": finish, "tokens": tokens}
    details = counts.get("completion_tokens_details")
    of_thinking = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    return said | ({"reasoning_tokens": of_thinking} if 0 < of_thinking <= tokens[1] else {})


def text_of(value: Any) -> str:
    """The text of a content, a reasoning or a piece of one: a string, an object with one, or a list of these.

    Objects of another kind than text are passed over. Raises TypeError or AttributeError for what is no text.
    """
    if not value or isinstance(value, str):
        return value or ""
    if not isinstance(value, dict | list):
        raise TypeError("it is not a text")
    pieces = []
    for part in [value] if isinstance(value, dict) else value:
        piece = next((part[name] for name in ("text", "content") if part.get(name) is not None), None)
        if piece is None and "type" in part:
            continue
        if not isinstance(piece, str):
            raise TypeError("it has a part that is not a text")
        pieces.append(piece)
    return "".join(pieces)


def thoughts(content: Any) -> Any:
    """The thinking among the parts of a content (`{"type": "thinking", "thinking": …}`), if there is any."""
    parts = content if isinstance(content, list) else []
    return "".join(text_of(part.get("thinking")) for part in parts)


def finish_reason(value: Any) -> str | None:
    """A server's finish_reason under OpenAI's name; None when it gave none. Names of no meaning here stay."""
    if isinstance(value, dict):  # SGLang's own interface
        value = value.get("type")
    name = str(value).strip().lower()
    if not value or name in ("", "null", "none"):
        return None
    return FINISH_REASONS.get(name) or (name if name in BROKEN_OFF else sanitize(str(value)[:FINISH_CHARS]))


def _count(value: Any) -> int:
    """The number of tokens in a usage: a number, or the first in words such as `12 tokens`; else 0."""
    if isinstance(value, str):
        found = re.search(r"\d[\d,]{0,17}", value)
        return int(found[0].replace(",", "")) if found else 0
    return int(value) if type(value) in (int, float) and 0 <= value < 1e18 else 0


def message(body: Any) -> str | None:
    """What a server says of an error, as OpenAI, vLLM or a plain web framework word it."""
    for key in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(key):
            body = body[key]
    return body if isinstance(body, str) else json.dumps(body) if body else None


def storable(text: str) -> str:
    """What a server says, as UTF-8: half of a surrogate pair, which JSON may hold, is a question mark."""
    return text.encode(errors="replace").decode()


def one_line(text: str) -> str:
    """What a server says, as one short line that can be stored; no secret is cut before it is masked."""
    return sanitize(" ".join(text.split()))[:DETAIL]
