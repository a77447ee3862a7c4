"""Parser of the Retry-After header (RFC 9110, 10.2.3), for every client that retries."""

import email.utils
import math
import time
from collections.abc import Mapping

LONGEST_S = 3600.0  # the most that is honoured; a caller may honour less


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which gives them or a date; None: it asks for nothing.

    A date that is past asks for nothing: a clock is wrong, and the caller's own backoff is better. So does
    what is neither, or a date that no calendar has.
    """
    text = headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
        if seconds < 0:
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_S)
