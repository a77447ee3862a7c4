"""A run of the text or the image path in virtual time: jobs of batches, their clients' limits, one engine.

Each job is a batch whose answers, or whose verdicts, are asked for. Its client's limit is the real one
(prep.inference.concurrency); the engine is the tests' (tests/support/batching_engine.py). Replicas are one
engine that is so many times as wide: a step takes the same time.
"""

import functools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from batching_engine import BatchingEngine, Machine, Sequence
from prep.inference.concurrency import AdaptiveLimit, ServerLoad, initial_limit
from prep.inference.forecast import AnswersInFlight

POLL_S = 2.0  # between two times that clients read metrics
MOST_AT_ONCE = 4096
REPLICAS = 8


@dataclass
class Job:
    """A batch at the server: what it sends, from when on, and its client's limit for a replica."""

    kinds: list[str]
    limit: AdaptiveLimit
    place: int
    begins: float
    sent: int = 0
    in_flight: AnswersInFlight = field(default_factory=AnswersInFlight)


def cut_batches(
    questions: int, batch: int, no_think_share: float, draw: random.Random
) -> Iterable[list[str]]:
    """The kinds of answers that are asked for, batch by batch; a share is asked without thinking too."""
    for start in range(0, questions, batch):
        kinds = []
        for _ in range(min(batch, questions - start)):
            kinds += ["thinking", *["no_thinking"] * (draw.random() < no_think_share)]
        yield kinds


class VirtualRun:
    """A run of `batches` on `width` replicas, each of whose answers `measure(kind)` draws: prompt and length.

    A job's program takes `start_s` until it sends. With `has_metrics`, jobs know what the server counts.
    """

    def __init__(
        self,
        what: Machine,
        batches: Iterable[list[str]],
        measure: Callable[[str], tuple[int, int]],
        width: int = 1,
        jobs_at_once: int = REPLICAS,
        start_s: float = 0.0,
        has_metrics: bool = False,
    ):
        self.width, self.has_metrics = width, has_metrics
        self._measure, self._jobs_at_once, self._start_s = measure, jobs_at_once, start_s
        self.engine = BatchingEngine(what)
        self.now = 0.0
        self.finished: dict[str, list[tuple[int, int]]] = {}  # prompt and answer by kind
        self.due = list(batches)
        self.to_send = {
            kind: sum(kinds.count(kind) for kinds in self.due) for kind in ("thinking", "no_thinking")
        }
        self.to_send["judge"] = sum(self.to_send.values())
        self.total = sum(self.to_send.values())
        self.jobs: list[Job] = []
        self._start_jobs()

    @property
    def written(self) -> int:
        """The tokens of all answers."""
        return sum(length for rows in self.finished.values() for _, length in rows)

    def advance(self) -> None:
        """Go on to the next time that clients read metrics."""
        self.now += POLL_S
        engine, width = self.engine, self.width
        engine.advance(self.now)
        used = engine.kv_used / engine.machine.kv_tokens
        load = ServerLoad(len(engine.running) / width, len(engine.waiting) / width, used)
        for job in list(self.jobs):
            counts = engine.generated, len(engine.running), len(engine.waiting), self.now
            if self.has_metrics:
                job.in_flight.record_counter(*counts)
            job.limit.record_metrics(load, len(job.in_flight) // width, self.now)
            self._fill(job)
            if job.sent == len(job.kinds) and not job.in_flight:
                self.jobs.remove(job)
                if job.kinds[0] != "judge":
                    self.due.insert(0, ["judge"] * len(job.kinds))
        self._start_jobs()

    def _start_jobs(self) -> None:
        while self.due and len(self.jobs) < self._jobs_at_once:
            place = min(set(range(self._jobs_at_once)) - {job.place for job in self.jobs})
            limit = AdaptiveLimit(MOST_AT_ONCE, self.now, initial_limit(place))
            self.jobs.append(Job(self.due.pop(0), limit, place, self.now + self._start_s))

    def _fill(self, job: Job) -> None:
        most = min(int(job.limit.limit) * self.width, MOST_AT_ONCE * self.width // REPLICAS)
        while self.now >= job.begins and job.sent < len(job.kinds) and len(job.in_flight) < most:
            self._send(job)

    def _send(self, job: Job) -> None:
        kind = job.kinds[job.sent]
        job.sent += 1
        self.to_send[kind] -= 1
        sequence = Sequence(*self._measure(kind))
        number = job.in_flight.begin(kind, self.engine.now)
        sequence.done = functools.partial(self._end, job, sequence, kind, number)
        self.engine.submit(sequence, self.engine.now)

    def _end(self, job: Job, sequence: Sequence, kind: str, number: int) -> None:
        job.in_flight.end(number, sequence.length, self.engine.now)
        self.finished.setdefault(kind, []).append((sequence.prompt, sequence.length))
        self._fill(job)
