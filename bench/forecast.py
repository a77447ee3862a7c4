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
from dataclasses import dataclass

from batching_engine import Machine, machine
from prep.inference import forecast
from prep.runtime.program import parser, run
from virtual_run import REPLICAS, VirtualRun, cut_batches

QUESTIONS, BATCH, NO_THINK_SHARE = 162_000, 10_000, 0.5
CONTEXT = 8192
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


def begin_run(truth: Truth, width: int, draw: random.Random, has_metrics: bool = False) -> VirtualRun:
    """The run, on `width` of its replicas, with as large a part of its questions."""

    def measure(kind: str) -> tuple[int, int]:
        (median, sigma), normal = truth.lengths[kind], draw.gauss
        length = max(1, min(truth.most, round(median * math.exp(sigma * normal(0, 1)))))
        return max(20, round(truth.prompts[kind] * math.exp(0.4 * normal(0, 1) - 0.08))), length

    batches = cut_batches(QUESTIONS * width // REPLICAS, BATCH * width // REPLICAS, NO_THINK_SHARE, draw)
    return VirtualRun(truth.machine(width), batches, measure, width, has_metrics=has_metrics)


def predict_seconds(begun: VirtualRun, most: int) -> float:
    """Seconds to come, reckoned as the plan does; no answer has more than `most` tokens."""
    unfinished: dict[str, list[float]] = {}
    for job in begun.jobs:
        for kind, written in job.in_flight.written(begun.now).items():
            unfinished.setdefault(kind, []).extend(written)
    asked, kinds = [], []
    for kind, to_send in begun.to_send.items():
        rows, written = begun.finished.get(kind), unfinished.get(kind, [])
        if not rows:
            kinds.append(forecast.RequestKind(to_send, *JUDGE))
            continue
        prompt = statistics.fmean(prompt for prompt, _ in rows)
        mean = forecast.estimate_mean([length for _, length in rows], written, most)
        asked.append(forecast.RequestKind(len(rows) + len(written), prompt, mean))
        kinds.append(forecast.RequestKind(to_send + len(written), prompt, mean, sum(written)))
    seen = [job.in_flight.throughput(begun.now) for job in begun.jobs]
    written_a_second = seen[0] if begun.has_metrics else sum(seen)
    throughput = written_a_second * forecast.weigh_prompts(asked, PROMPT_WEIGHT)
    server = forecast.Server(8, 8 * 2350, alone=38, beside=11.4, replicas=REPLICAS)
    return forecast.forecast_seconds(kinds, throughput, PROMPT_WEIGHT, server.tail_s(JUDGE[1], CONTEXT))


def predict_run(has_metrics: bool, seed: int) -> tuple[float, float]:
    """Predicted and final GPU-hours of a run."""
    truth = draw_truth(random.Random(seed))
    begun = begin_run(truth, REPLICAS, random.Random(f"begun {seed}"), has_metrics)
    while sum(map(len, begun.finished.values())) < begun.total / 100:
        begun.advance()
    predicted = begun.now + predict_seconds(begun, truth.most)
    whole = begin_run(truth, 1, random.Random(f"whole {seed}"))
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
