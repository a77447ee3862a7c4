"""What a hub's errors mean: whether and when to ask again, and what to tell the user."""

import logging
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import errors
from huggingface_hub.utils import parse_ratelimit_headers
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from prep.runtime.sanitize import sanitize

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Pause = Callable[[RetryCallState], float]

TRIES = 5
"""How often a request is tried that brings nothing."""
LONGEST_PAUSE = 330
"""Seconds; the hub counts requests in windows of five minutes, and says when the next begins."""
GROWING = wait_exponential_jitter(initial=1, max=30, jitter=1)
"""1, 2, 4 … seconds and up to one more, so that jobs that failed together do not come back together."""


def patiently(call: Callable[[], Result], pause: Pause) -> Result:
    """Call, and again while the error is a transient one; the last error is raised as it came."""
    return Retrying(
        retry=retry_if_exception(transient),
        wait=pause,
        stop=stop_after_attempt(TRIES),
        before_sleep=_told,
        reraise=True,
    )(call)


def transient(error: BaseException) -> bool:
    """What may pass by itself: the connection, too many requests, the server's own errors."""
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    if isinstance(error, errors.OfflineModeIsEnabled):
        return False
    return isinstance(error, errors.HTTPError | ConnectionError)


def pause(state: RetryCallState) -> float:
    """Seconds until the next try: what the server asks for, or else growing ones."""
    headers = getattr(getattr(state.outcome.exception(), "response", None), "headers", {})
    limit = parse_ratelimit_headers(headers)
    if (asked := headers.get("Retry-After", "").strip()).isdecimal():
        return min(int(asked), LONGEST_PAUSE)
    if limit and limit.remaining == 0:
        return min(limit.reset_in_seconds, LONGEST_PAUSE)
    return GROWING(state)


def words(error: BaseException) -> str:
    """What an error says, without the address, which may be a signed one."""
    if isinstance(error, errors.HfHubHTTPError):
        said = error.server_message or error.response.reason_phrase
        return sanitize(f"{error.response.status_code} {said}")
    return sanitize(str(error)) or type(error).__name__


def advice(error: Exception) -> str:
    """What an error means, and what to do about it."""
    match error:
        case errors.GatedRepoError():
            return "is gated: accept its terms on its page, then set HF_TOKEN to a token of that account"
        case errors.RevisionNotFoundError():
            return "has no such revision; check it, or delete the listing if the revision was there once"
        case errors.RepositoryNotFoundError():
            return "is no dataset, or a private one: check the repo's name, or set HF_TOKEN"
        case errors.EntryNotFoundError():
            return "has no such file or folder in this revision; check its name"
        case errors.OfflineModeIsEnabled():
            return "is not asked, as HF_HUB_OFFLINE is set: unset it, or set hub.mirror"
        case errors.HfHubHTTPError() if error.response.status_code in (401, 403):
            return f"answers {words(error)}; set HF_TOKEN to a token that may read it"
        case errors.HfHubHTTPError() if transient(error):
            return f"answers {words(error)}, {TRIES} times; run again later"
        case errors.HfHubHTTPError():
            return f"answers {words(error)}; check hub.endpoint or HF_ENDPOINT"
    return f"cannot be reached: {words(error)}; check the network and hub.endpoint, or set hub.mirror"


def _told(state: RetryCallState) -> None:
    error = words(state.outcome.exception())
    log.info("try %d of %d: %s; again in %.0f s", state.attempt_number, TRIES, error, state.upcoming_sleep)
