"""Retry policy for the hub: which errors are transient, exponential backoff with jitter, and advice."""

import logging
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import errors
from huggingface_hub.utils import parse_ratelimit_headers
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from prep.runtime.retry_after import parse_retry_after
from prep.runtime.sanitize import sanitize

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Pause = Callable[[RetryCallState], float]

TRIES = 5
"""The most tries of a request that brings nothing."""
LONGEST_PAUSE = 330
"""Seconds; the hub counts requests in windows of five minutes, and says when the next begins."""
BACKOFF = wait_exponential_jitter(initial=1, max=30, jitter=1)
"""1, 2, 4 … seconds, and jitter of up to one, so that jobs that failed together do not retry together."""


def call_with_retries(call: Callable[[], Result], pause: Pause) -> Result:
    """Call, and call again after a transient error; raises the last error."""
    return Retrying(
        retry=retry_if_exception(is_transient),
        wait=pause,
        stop=stop_after_attempt(TRIES),
        before_sleep=_log_retry,
        reraise=True,
    )(call)


def is_transient(error: BaseException) -> bool:
    """Whether an error may pass by itself: of the connection, too many requests, or the server's own."""
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    if isinstance(error, errors.OfflineModeIsEnabled):
        return False
    return isinstance(error, errors.HTTPError | ConnectionError)


def choose_pause(state: RetryCallState) -> float:
    """Seconds until the next try: what the server asks for, else exponential backoff."""
    headers = getattr(getattr(state.outcome.exception(), "response", None), "headers", {})
    limit = parse_ratelimit_headers(headers)
    if (asked := parse_retry_after(headers)) is not None:
        return min(asked, LONGEST_PAUSE)
    if limit and limit.remaining == 0:
        return min(limit.reset_in_seconds, LONGEST_PAUSE)
    return BACKOFF(state)


def describe_error(error: BaseException) -> str:
    """What an error says, without the address, which may be a signed one."""
    if isinstance(error, errors.HfHubHTTPError):
        said = error.server_message or error.response.reason_phrase
        return sanitize(f"{error.response.status_code} {said}")
    return sanitize(str(error)) or type(error).__name__


def explain_error(error: Exception) -> str:
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
            return f"answers {describe_error(error)}; set HF_TOKEN to a token that may read it"
        case errors.HfHubHTTPError() if is_transient(error):
            return f"answers {describe_error(error)}, {TRIES} times; run again later"
        case errors.HfHubHTTPError():
            return f"answers {describe_error(error)}; check hub.endpoint or HF_ENDPOINT"
    return (
        f"cannot be reached: {describe_error(error)}; check the network and hub.endpoint, or set hub.mirror"
    )


def _log_retry(state: RetryCallState) -> None:
    error = describe_error(state.outcome.exception())
    log.info("try %d of %d: %s; again in %.0f s", state.attempt_number, TRIES, error, state.upcoming_sleep)
