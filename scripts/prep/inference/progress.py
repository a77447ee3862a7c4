"""Progress report of a batch: a line a minute in the log, and a small JSON file."""

import json
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from prep.inference.errors import RequestError
from prep.inference.forecast import MIN_ANSWERS, estimate_mean
from prep.records.reason import Reason
from prep.serving.server_config import ServerConfig
from prep.storage.atomic import BrokenFile

log = logging.getLogger("prep")

WRITE_INTERVAL_S = 5.0  # seconds between two times that the file is written
LOG_INTERVAL_S = 60.0  # seconds between two lines of the log

Number = Annotated[float, Field(ge=0, le=1e15)]  # beyond, sums and times overflow
InFlight = Annotated[int, Field(ge=0, le=100_000)]  # far above what a job has connections for


@dataclass
class Limit:
    """Of an endpoint: how many requests may be in flight there, and why no more."""

    limit: Number
    reason: str


@dataclass
class Throughput:
    """Of an endpoint: what it writes for all jobs, or as far as this job can tell."""

    tokens_per_second: Number
    is_counted: bool


@dataclass
class JobStats:
    """What is read of a job's file; those of older versions lack the last three."""

    server: str
    state: str
    total: int
    from_journal: int
    answered: int
    failed: dict[str, int]
    in_flight: InFlight
    requests_per_second: Number
    completion_tokens_per_second: Number
    seconds: Number
    eta_seconds: Number | None
    updated: AwareDatetime
    limits: dict[str, Limit] = field(default_factory=dict)
    throughputs: dict[str, Throughput] = field(default_factory=dict)
    unfinished: dict[str, dict[Number, InFlight]] = field(default_factory=dict)


def read_progress(path: Path) -> dict[str, Any]:
    """What a job said last. Raises BrokenFile where it is not as `Progress` says it."""
    text = path.read_bytes()
    try:
        TypeAdapter(JobStats).validate_json(text, strict=True)
    except ValidationError as error:
        raise BrokenFile(path) from error
    return json.loads(text)


class Progress:
    """The counts of one batch of `total` requests.

    Tokens are those that the server counted: of what was answered in this run, and by mode of all answers
    that the batch was given, whichever run asked for them.
    """

    def __init__(self, config: ServerConfig, total: int):
        self._named = {"server": config.name, "model": config.model}
        self.total = total
        self.from_journal = 0
        self.answered = 0
        self.failed: Counter[Reason] = Counter()
        self.server_failures: Counter[Reason] = Counter()  # of these, what is held against the server
        self._retries: Counter[Reason] = Counter()
        self._finished: Counter[str] = Counter()
        self._lengths: Counter[int] = Counter()  # tokens of the answers of this run
        self._unfinished: dict[str, list[float]] = {}  # tokens so far of those in flight, by mode
        self._throughputs: dict[str, dict[str, Any]] = {}  # by address of the endpoint
        self._tokens = [0, 0]
        self._modes: dict[str, Counter[str]] = {}
        self._started = time.monotonic()
        # When, answered and tokens out, as each time the file was written in the last minute.
        self._marks = deque([(self._started, 0, 0)], maxlen=round(LOG_INTERVAL_S / WRITE_INTERVAL_S) + 1)
        self._state, self._in_flight = "running", 0
        self.limits: dict[str, dict[str, Any]] = {}  # found for each endpoint, by address, and why

    @property
    def left(self) -> int:
        """Requests that have no end yet."""
        return self.total - self.from_journal - self.answered - self.failed.total()

    def count_answer(self, record: dict[str, Any]) -> None:
        """Count an answer that came in."""
        self.answered += 1
        self._lengths[record["tokens"][1]] += 1
        self._finished[record["finish_reason"]] += 1
        self._spend(record)

    def count_failure(self, error: RequestError) -> None:
        """Count a request that has failed for good."""
        self.failed[error.reason] += 1
        if not error.is_row_fault:
            self.server_failures[error.reason] += 1

    def count_retry(self, reason: Reason, record: dict[str, Any] | None = None) -> None:
        """Count a request that is sent again, and what the answer cost that was of no use."""
        self._retries[reason] += 1
        if record:
            self._spend(record)

    def count_response(self, mode: str, record: dict[str, Any]) -> None:
        """Count an answer that the batch is given, new or from the journal."""
        prompt, completion = record["tokens"]
        counts = self._modes.setdefault(mode, Counter())
        counts.update(answers=1, prompt_tokens=prompt, completion_tokens=completion)

    def _spend(self, record: dict[str, Any]) -> None:
        self._tokens = [sum(pair) for pair in zip(self._tokens, record["tokens"], strict=True)]

    def report(self) -> None:
        """Write a line of the log."""
        rate, token_rate, left = self._rates()
        log.info(
            "%s: %d of %d answered, %d from the journal%s; %d in flight, %.2f requests/s, %.0f tokens/s%s%s",
            self._state,
            self.answered,
            self.total,
            self.from_journal,
            "".join(f", {count} failed: {name}" for name, count in _sorted(self.failed).items()),
            self._in_flight,
            rate,
            token_rate,
            f", {left // 3600} h {left // 60 % 60:02} min to go" if left else "",
            f"; at most {format_limits(self.limits)}" if self.limits else "",
        )

    def mark(self, state: str, in_flight: int) -> None:
        """Take down how it stands: rates are of what lies between such moments."""
        self._state, self._in_flight = state, in_flight
        self._marks.append((time.monotonic(), self.answered, self._tokens[1]))

    def mark_unfinished(
        self, unfinished: dict[str, list[float]], throughputs: dict[str, dict[str, Any]]
    ) -> None:
        """Take down what the answers in flight have so far, and tokens a second by endpoint."""
        self._unfinished, self._throughputs = unfinished, throughputs

    def snapshot(self) -> dict[str, Any]:
        """The counts as they are now, as the file tells them."""
        rate, token_rate, left = self._rates()
        return {
            **self._named,
            "state": self._state,
            "total": self.total,
            "from_journal": self.from_journal,
            "asked": self.answered + self.failed.total() + self._in_flight,
            "answered": self.answered,
            "finish_reasons": _sorted(self._finished),
            "failed": _sorted(self.failed),
            "retries": _sorted(self._retries),
            "in_flight": self._in_flight,
            "limits": self.limits,
            "throughputs": self._throughputs,
            "unfinished": {
                mode: dict(sorted(Counter(round(each, -1) for each in written).items()))
                for mode, written in self._unfinished.items()
            },
            "requests_per_second": round(rate, 3),
            "prompt_tokens": self._tokens[0],
            "completion_tokens": self._tokens[1],
            "completion_tokens_per_second": round(token_rate, 1),
            "modes": {mode: dict(counts) for mode, counts in sorted(self._modes.items())},
            "seconds": round(self._marks[-1][0] - self._started, 1),
            "eta_seconds": left,
            "updated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

    def _rates(self) -> tuple[float, float, int | None]:
        """Answers and tokens a second, of the last minute or in the end of all, and the seconds to go."""
        then = self._marks[0] if self._state == "running" else (self._started, 0, 0)
        seconds, answered, tokens = (now - was for now, was in zip(self._marks[-1], then, strict=True))
        if seconds <= 0:
            return 0.0, 0.0, None
        rate = answered / seconds
        return rate, tokens / seconds, self._seconds_left(rate)

    def _seconds_left(self, rate: float) -> int | None:
        """Seconds to go: by the tokens to come, or else by answers a second."""
        throughput = sum(each["own_tokens_per_second"] for each in self._throughputs.values())
        written = [each for mode in self._unfinished.values() for each in mode]
        if self._state == "running" and throughput and self.answered >= MIN_ANSWERS:
            mean = estimate_mean(self._lengths.elements(), written)
            return round(max(0.0, self.left * mean - sum(written)) / throughput)
        return round(self.left / rate) if rate else None


def format_limits(limits: dict[str, dict[str, Any]]) -> str:
    """The sum of the endpoints' concurrency limits, and why they are what they are."""
    reasons = Counter(each["reason"] for each in limits.values())
    why = ", ".join(f"{count} x {reason}" if len(limits) > 1 else reason for reason, count in reasons.items())
    return f"{sum(each['limit'] for each in limits.values()):,} ({why})" if limits else ""


def _sorted(counts: Counter) -> dict[str, int]:
    """Counts by name, the largest first."""
    return {str(name): count for name, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))}
