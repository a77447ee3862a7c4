#!/usr/bin/env python
"""How busy `concurrency: auto` keeps a server, beside the best fixed limit: simulated, in virtual time."""

import itertools
from collections.abc import Callable

from batching_engine import BatchingEngine, Machine, Sequence, answer_length, machine
from prep.inference.concurrency import AdaptiveLimit, ServerLoad
from prep.runtime.program import parser, run

MACHINES = ("one_80gb", "eight_80gb", "eight_24gb_tensor_parallel")
FIXED = (32, 64, 96, 128, 160, 192, 224, 256, 320, 400, 512, 768, 1024)
POLL_S = 2.0
WINDOW_S = 600.0  # over which throughput is measured
PROMPT = 200
MOST_TOKENS = 2000
SPEEDS = (1.0, 0.5, 2.0)  # from the middle on
MOST_AT_ONCE = 4096


class Fixed:
    """A fixed limit, which a number in the configuration is."""

    request_seconds, reason = 0.0, "fixed"

    def __init__(self, limit: int):
        self.limit = limit

    def observe(self, *_: object) -> None: ...
    def record_answer(self, *_: object) -> None: ...
    def record_metrics(self, *_: object) -> None: ...


def simulate(
    what: Machine,
    limit: AdaptiveLimit | Fixed,
    metrics: bool,
    speed: float,
    change: float,
    end: float,
    seed: int = 0,
) -> Callable[[float], float]:
    """Keep an engine at a limit until `end`; its speed changes at `change`. Gives tokens written by when."""
    engine, seeds, written, in_flight, now = BatchingEngine(what), itertools.count(seed), [(0.0, 0.0)], 0, 0.0
    changed = False

    def send() -> None:
        nonlocal in_flight
        limit.observe(in_flight, now)
        in_flight += 1
        length = answer_length({"seed": next(seeds), "max_tokens": MOST_TOKENS})
        sent, began = now, limit.request_seconds

        def done() -> None:
            nonlocal in_flight
            limit.observe(in_flight, now)
            limit.record_answer(length, now - sent, limit.request_seconds - began)
            in_flight -= 1

        engine.submit(Sequence(PROMPT, length, done), now)

    poll = POLL_S
    while now < end:
        while in_flight < int(limit.limit):
            send()
        now = min(engine.next_event(), poll)
        engine.advance(now)
        if now >= poll:
            poll += POLL_S
            written.append((now, engine.generated))
            if not changed and now >= change:
                changed = True
                engine.set_speed(speed, now)
            if metrics:
                used = engine.kv_used / what.kv_tokens
                load = ServerLoad(len(engine.running), len(engine.waiting), used)
                limit.record_metrics(load, in_flight, now)
    return lambda then: next(tokens for time, tokens in written if time >= then)


def share(what: Machine, best: float, metrics: bool, speed: float, grace: float) -> tuple[float, float, str]:
    """The worst share of the best fixed throughput, `grace` seconds after the start and after the change."""
    limit = AdaptiveLimit(MOST_AT_ONCE, 0.0)
    change = grace + WINDOW_S
    again = change + grace / min(speed, 1)
    tokens = simulate(what, limit, metrics, speed, change, again + WINDOW_S + 2 * POLL_S)
    first = (tokens(grace + WINDOW_S) - tokens(grace)) / WINDOW_S / best
    second = (tokens(again + WINDOW_S) - tokens(again)) / WINDOW_S / best / speed
    return min(first, second), limit.limit, limit.reason


def best_fixed(what: Machine) -> tuple[float, int]:
    """The best fixed limit's tokens/s in steady state, and the least limit that gives 99.5 % of it."""

    def rate(limit: int) -> float:
        tokens = simulate(what, Fixed(limit), False, 1.0, 1e9, 600 + 2 * WINDOW_S + 2 * POLL_S)
        return (tokens(600 + 2 * WINDOW_S) - tokens(600)) / (2 * WINDOW_S)

    rates = {limit: rate(limit) for limit in FIXED}
    best = max(rates.values())
    return best, next(limit for limit in FIXED if rates[limit] >= 0.995 * best)


def main() -> None:
    parser(__doc__).parse_args()
    worst = {True: 1e9, False: 1e9}
    for name in MACHINES:
        what = machine(name)  # replicas are endpoints, each with a limit of its own: one stands for all
        best, at = best_fixed(what)
        lengths = [answer_length({"seed": n, "max_tokens": MOST_TOKENS}) for n in range(999)]
        mean_answer_s = sum(lengths) / len(lengths) * at / best
        for metrics, speed in itertools.product((True, False), SPEEDS):
            found, limit, reason = share(what, best, metrics, speed, 60.0 if metrics else 3 * mean_answer_s)
            worst[metrics] = min(worst[metrics], found)
            print(
                f"{name}, {'with' if metrics else 'without'} /metrics, speed x {speed:g}: {found:.1%} of"
                f" {best * what.replicas:.0f} tokens/s (best fixed: {at}); limit {limit:.0f}: {reason}"
            )
    print(f"busy: auto {worst[True]:.1%} with /metrics, {worst[False]:.1%} without, of the best fixed limit")


if __name__ == "__main__":
    run(main)
