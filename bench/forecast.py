#!/usr/bin/env python
"""How right the forecast is after 1 % of a run: 100 full-size runs on the tests' engine, in virtual time.

A run is the text path: 162,000 questions, half of them asked once more without thinking, in batches of
10,000, all judged: 486,000 requests, eight jobs at the server. Each draws its own lengths, prompts and
speeds. The forecast knows what the plan assumes, and of the run what the progress of the jobs tells.
Eight replicas are one engine that is eight times as wide (a step takes the same time) until 1 % is
answered. The whole run is simulated on one of the eight, with an eighth of the questions.
"""

import functools
import math
import multiprocessing
import random
import statistics
from dataclasses import dataclass, field

from batching_engine import BatchingEngine, Machine, Sequence, machine
from prep.inference import forecast
from prep.inference.concurrency import AdaptiveLimit, ServerLoad, initial_limit
from prep.runtime.program import parser, run

QUESTIONS, BATCH, NO_THINK_SHARE = 162_000, 10_000, 0.5
REPLICAS = 8
JOBS_AT_ONCE = 8
CONTEXT = 8192
POLL_S = 2.0
MOST_AT_ONCE = 4096
PROMPT_WEIGHT = 0.25
JUDGE = (
    1200.0,
    60.0,
)  # tokens of a prompt and of a verdict, assumed; a run has others, by a fifth
WITHIN = 0.1


@dataclass(frozen=True)
class Truth:
    """What a run draws: speeds beside those of machines.toml, and medians and sigmas of lengths by kind."""

    speed: float
    prefill: float
    load_s: float
    most: int
    lengths: dict[str, tuple[float, float]]
    prompts: dict[str, float]

    def machine(self, width: int) -> Machine:
        """So many replicas as one."""
        what = machine("eight_80gb")
        return Machine(
            replicas=1,
            step_base_s=what.step_base_s / self.speed,
            step_per_sequence_s=what.step_per_sequence_s / width / self.speed,
            kv_tokens=what.kv_tokens * width,
            max_sequences=what.max_sequences * width,
            prefill_tokens_per_s=what.prefill_tokens_per_s * width * self.speed * self.prefill,
            load_s=self.load_s,
        )


def draw_truth(draw: random.Random) -> Truth:
    """The lengths and speeds of a run."""
    question, verdict = draw.uniform(100, 300), draw.uniform(0.8, 1.2)
    lengths = {
        "thinking": (draw.uniform(600, 1500), draw.uniform(0.5, 0.9)),
        "no_thinking": (draw.uniform(150, 400), draw.uniform(0.4, 0.7)),
        "judge": (JUDGE[1] * verdict, 0.3),
    }
    prompts = {"thinking": question, "no_thinking": question, "judge": JUDGE[0] * draw.uniform(0.8, 1.2)}
    speeds = draw.uniform(0.6, 1.5), draw.uniform(0.7, 1.3), 240 * draw.uniform(0.5, 2)
    return Truth(*speeds, draw.choice((2000, CONTEXT - 300)), lengths, prompts)


@dataclass
class Job:
    """A batch at the server: what it has still to send, and its client's limit for a replica."""

    kinds: list[str]
    limit: AdaptiveLimit
    place: int
    sent: int = 0
    in_flight: forecast.AnswersInFlight = field(default_factory=forecast.AnswersInFlight)


class Simulation:
    """A run on `width` replicas."""

    def __init__(self, truth: Truth, width: int, draw: random.Random, has_metrics: bool = True):
        self.truth, self.width, self.draw, self.has_metrics = truth, width, draw, has_metrics
        self.engine = BatchingEngine(truth.machine(width))
        self.now = 0.0
        self.finished: dict[str, list[tuple[int, int]]] = {}  # prompt and answer by kind
        self.to_send = {"thinking": 0, "no_thinking": 0, "judge": 0}
        self.due = []
        left = QUESTIONS * width // REPLICAS
        while left > 0:
            kinds = []
            for _ in range(min(BATCH * width // REPLICAS, left)):
                kinds += ["thinking", *["no_thinking"] * (draw.random() < NO_THINK_SHARE)]
            left -= BATCH * width // REPLICAS
            self.due.append(kinds)
            for kind in ("thinking", "no_thinking"):
                self.to_send[kind] += kinds.count(kind)
            self.to_send["judge"] += len(kinds)
        self.total = sum(self.to_send.values())
        self.jobs: list[Job] = []
        self._start_jobs()

    def _start_jobs(self) -> None:
        while self.due and len(self.jobs) < JOBS_AT_ONCE:
            place = min(set(range(JOBS_AT_ONCE)) - {job.place for job in self.jobs})
            limit = AdaptiveLimit(MOST_AT_ONCE, self.now, initial_limit(place))
            self.jobs.append(Job(self.due.pop(0), limit, place))

    def _send(self, job: Job) -> None:
        kind = job.kinds[job.sent]
        job.sent += 1
        self.to_send[kind] -= 1
        (median, sigma), normal = self.truth.lengths[kind], self.draw.gauss
        length = max(1, min(self.truth.most, round(median * math.exp(sigma * normal(0, 1)))))
        prompt = max(20, round(self.truth.prompts[kind] * math.exp(0.4 * normal(0, 1) - 0.08)))
        sequence = Sequence(prompt, length)
        number = job.in_flight.begin(kind, self.engine.now)
        sequence.done = functools.partial(self._end, job, sequence, kind, number)
        self.engine.submit(sequence, self.engine.now)

    def _fill(self, job: Job) -> None:
        most = min(int(job.limit.limit) * self.width, MOST_AT_ONCE * self.width // REPLICAS)
        while job.sent < len(job.kinds) and len(job.in_flight) < most:
            self._send(job)

    def _end(self, job: Job, sequence: Sequence, kind: str, number: int) -> None:
        job.in_flight.end(number, sequence.length, self.engine.now)
        self.finished.setdefault(kind, []).append((sequence.prompt, sequence.length))
        self._fill(job)

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

    def predict_seconds(self) -> float:
        """Seconds to come, reckoned as the plan does."""
        unfinished: dict[str, list[float]] = {}
        for job in self.jobs:
            for kind, written in job.in_flight.written(self.now).items():
                unfinished.setdefault(kind, []).extend(written)
        asked, kinds = [], []
        for kind, to_send in self.to_send.items():
            rows, written = self.finished.get(kind), unfinished.get(kind, [])
            if not rows:
                kinds.append(forecast.RequestKind(to_send, *JUDGE))
                continue
            prompt = statistics.fmean(prompt for prompt, _ in rows)
            mean = forecast.estimate_mean([length for _, length in rows], written, self.truth.most)
            asked.append(forecast.RequestKind(len(rows) + len(written), prompt, mean))
            kinds.append(forecast.RequestKind(to_send + len(written), prompt, mean, sum(written)))
        seen = [job.in_flight.throughput(self.now) for job in self.jobs]
        written_a_second = seen[0] if self.has_metrics else sum(seen)
        throughput = written_a_second * forecast.weigh_prompts(asked, PROMPT_WEIGHT)
        server = forecast.Server(8, 8 * 2350, alone=38, beside=11.4, replicas=REPLICAS)
        return forecast.forecast_seconds(kinds, throughput, PROMPT_WEIGHT, server.tail_s(JUDGE[1], CONTEXT))


def predict_run(has_metrics: bool, seed: int) -> tuple[float, float]:
    """Predicted and final GPU-hours of a run."""
    truth = draw_truth(random.Random(seed))
    begun = Simulation(truth, REPLICAS, random.Random(f"begun {seed}"), has_metrics)
    while sum(map(len, begun.finished.values())) < begun.total / 100:
        begun.advance()
    predicted = begun.now + begun.predict_seconds()
    whole = Simulation(truth, 1, random.Random(f"whole {seed}"), has_metrics=False)
    while whole.jobs:
        whole.advance()
    return tuple((truth.load_s + seconds) * REPLICAS / 3600 for seconds in (predicted, whole.now))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--runs", type=int, default=100)
    flags.add_argument("--no-metrics", action="store_true", help="the forecast has no /metrics")
    args = flags.parse_args()
    with multiprocessing.Pool(2) as pool:
        found = pool.map(functools.partial(predict_run, not args.no_metrics), range(args.runs), chunksize=1)
    ratios = sorted(predicted / final for predicted, final in found)
    least, middle, most = ratios[0], statistics.median(ratios), ratios[-1]
    print(f"predicted / final GPU-hours: {least:.3f} to {most:.3f}, median {middle:.3f}")
    print(f"plan: within 10 % in {sum(abs(each - 1) <= WITHIN for each in ratios)} of {args.runs} runs")


if __name__ == "__main__":
    run(main)
