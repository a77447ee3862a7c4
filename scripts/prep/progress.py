"""How far a batch is: a line a minute in the log, and a small JSON file for whoever watches."""

import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

from prep.fault import Fault
from prep.files import write_json
from prep.reason import Reason

log = logging.getLogger("prep")

EVERY = 60.0  # seconds between two reports


class Progress:
    """The counts of one batch of `total` requests; reports go to the log and to `path`.

    Tokens are those that the server counted, for what was answered in this run.
    """

    def __init__(self, path: Path, settings: dict[str, Any], total: int):
        self._path = path
        self._named = {"server": settings["name"], "model": settings["model"]}
        self.total = total
        self.from_journal = 0
        self.answered = 0
        self.failed: Counter[Reason] = Counter()
        self._retries: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._tokens = [0, 0]
        self._started = time.monotonic()
        self._last = (self._started, 0, 0)  # when, answered and tokens out at the last report

    @property
    def left(self) -> int:
        """Requests that have no end yet."""
        return self.total - self.from_journal - self.answered - self.failed.total()

    def answer(self, record: dict[str, Any]) -> None:
        """Count an answer that came in."""
        self.answered += 1
        self._finished[record["finish_reason"]] += 1
        self._tokens = [sum(pair) for pair in zip(self._tokens, record["tokens"], strict=True)]

    def retry(self, fault: Fault) -> None:
        """Count a request that is sent again after a fault."""
        self._retries[fault.name] += 1

    def report(self, state: str, in_flight: int) -> None:
        """Write the file and a line of the log; rates are those since the last report, at the end of all."""
        now = time.monotonic()
        when, answered, tokens = self._last if state == "running" else (self._started, 0, 0)
        seconds = max(now - when, 1e-9)
        rate = (self.answered - answered) / seconds
        token_rate = (self._tokens[1] - tokens) / seconds
        self._last = (now, self.answered, self._tokens[1])
        left = round(self.left / rate) if rate else None
        write_json(
            self._path,
            {
                **self._named,
                "state": state,
                "total": self.total,
                "from_journal": self.from_journal,
                "asked": self.answered + self.failed.total() + in_flight,
                "answered": self.answered,
                "finish_reasons": _sorted(self._finished),
                "failed": _sorted(self.failed),
                "retries": _sorted(self._retries),
                "in_flight": in_flight,
                "requests_per_second": round(rate, 3),
                "prompt_tokens": self._tokens[0],
                "completion_tokens": self._tokens[1],
                "completion_tokens_per_second": round(token_rate, 1),
                "seconds": round(now - self._started, 1),
                "eta_seconds": left,
                "updated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
        )
        log.info(
            "%s: %d of %d answered, %d from the journal%s; %d in flight, %.2f requests/s, %.0f tokens/s%s",
            state,
            self.answered,
            self.total,
            self.from_journal,
            "".join(f", {count} failed: {name}" for name, count in _sorted(self.failed).items()),
            in_flight,
            rate,
            token_rate,
            f", {left // 3600} h {left // 60 % 60:02} min to go" if left else "",
        )


def _sorted(counts: Counter) -> dict[str, int]:
    """Counts by name, the largest first."""
    return {str(name): count for name, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))}
