"""Adaptive concurrency limit of one endpoint: slow start, until the server queues or throughput is flat.

It is a hill climb with the stopping rules of TCP Vegas, as Netflix's concurrency-limits has it for requests
(https://github.com/Netflix/concurrency-limits, VegasLimit): grow while the server has no queue. How long the
queue is, the server says itself (vLLM's and SGLang's /metrics). Where it does not, throughput tells, by
Little's law: an answer of t tokens in s seconds, with n in flight on average, shows t x n / s tokens/s. The
limit grows in rounds, each as long as its answers take, and goes back once a round brings no more tokens/s.
So it never exceeds twice the limit that gave the best throughput.

Answers grow after they are sent, so the KV cache is full long after too many were. Each request that runs
fills it at a pace that metrics show; no more are sent than would fill it within HORIZON_S at that pace.
"""

import math
import re
from dataclasses import dataclass

INITIAL_LIMIT = 64
LATER_FACTOR = 4  # of the initial limits of two jobs of a run, one after the other
GROWTH = 2.0  # by which the limit grows at most at once
SLOW_GROWTH = 1.05  # with metrics, after the limit has stopped once
LEAST_GROWTH = 1.5  # without metrics: smaller steps could not be told from noise
MIN_ELASTICITY = 0.08  # of throughput to the number in flight; with less, the limit stops
ENOUGH = 0.98  # of the best throughput, with as few in flight as give it
SPEED_CHANGE = 1.3  # of throughput at the limit: the search begins again
MIN_ANSWERS = 16  # in a round
ROUND = 0.75  # answers in a round for each request in flight: all sent and answered in it
FILLED = 0.8  # of the limit: with fewer in flight a round tells nothing
QUEUE_SHARE = 0.1  # of what runs, that may wait: whoever ends is replaced at once
FULL_KV_CACHE = 0.92
FILL_DECAY = 0.9  # from one time that metrics are read to the next
HORIZON_S = 20.0  # for which the growth of the KV cache's use is looked ahead
ALONE = 0.9  # of a server's requests: with fewer in flight, other jobs ask it too
METRICS_LIFE_S = 30.0  # after the last metrics, answers decide
SATURATED = "throughput rises no more"


@dataclass(frozen=True)
class ServerLoad:
    """What a server says of itself: requests that run and wait, and the share of the KV cache in use.

    `written` are the tokens that it has written since its start; None: it does not say.
    """

    running: float
    waiting: float
    kv_use: float
    written: float | None = None


METRICS = {
    "running": ("vllm:num_requests_running", "sglang:num_running_reqs"),
    "waiting": ("vllm:num_requests_waiting", "sglang:num_queue_reqs"),
    "kv_use": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage"),
    "written": ("vllm:generation_tokens_total", "sglang:generation_tokens_total"),
}
"""https://docs.vllm.ai/en/latest/usage/metrics.html, https://docs.sglang.io/references/production_metrics.html"""


def parse_metrics(text: str) -> ServerLoad | None:
    """Read Prometheus's text format; None without the numbers of running and waiting requests.

    A server of several engines has a line for each: requests are summed, of the KV caches the fullest counts.
    """
    found: dict[str, list[float]] = {}
    for line in re.finditer(r"^([a-z_]+:[a-z_]+)(?:\{.*\})? +([-+.\deE]+)(?: \d+)?$", text, re.MULTILINE):
        for field, names in METRICS.items():
            if line[1] in names:
                try:
                    found.setdefault(field, []).append(float(line[2]))
                except ValueError:
                    return None
    if not ("running" in found and "waiting" in found):
        return None
    written = sum(found["written"]) if "written" in found else None
    return ServerLoad(sum(found["running"]), sum(found["waiting"]), max(found.get("kv_use", [0.0])), written)


def initial_limit(earlier: int) -> int:
    """The limit that a job begins with beside so many earlier ones of its run.

    Jobs with equal parts of a server would all end, and leave it, at once.
    """
    return max(1, INITIAL_LIMIT // LATER_FACTOR**earlier)


class AdaptiveLimit:
    """The limit of one endpoint; `reason` says why it is what it is. Times are seconds of any clock."""

    def __init__(self, ceiling: int, now: float, initial: int = INITIAL_LIMIT):
        self.ceiling = ceiling
        self.limit = float(min(initial, ceiling))
        self.reason = "grows"
        self.request_seconds = 0.0  # requests in flight, integrated over time
        self._now = now
        self._has_stopped = False
        self._levels: list[tuple[float, float]] = []  # in flight, and tokens/s then, of this search
        self._found_rate = 0.0  # tokens/s at the limit that the search found
        self._before: tuple | None = None  # limit, and the search's state, from before the trouble
        self._load: ServerLoad | None = None  # the last metrics, and when
        self._load_time = -math.inf
        self._queues = False  # whether they showed a queue
        self._fill = 0.0  # of the KV cache, by each request a second
        self._full = 0.0  # requests that ran when the server was last full, of all jobs
        self._begin_round()

    def observe(self, in_flight: int, now: float) -> None:
        """Note that so many requests were in flight until now."""
        self.request_seconds += in_flight * (now - self._now)
        self._now = now

    def halve(self) -> None:
        """Halve the limit at trouble. Afterwards, each answer raises it by one up to half of what it was."""
        self._before = self._before or (self.limit, self._has_stopped, self._levels, self._found_rate)
        self._search(self.limit / 2, "most requests failed")

    def restore(self) -> None:
        """Take back the limit from before the trouble, which was not the server's fault."""
        if self._before:
            limit, self._has_stopped, self._levels, self._found_rate = self._before
            self._before = None
            self._set(limit, "grows")

    def record_answer(self, tokens: int, seconds: float, request_seconds: float) -> None:
        """Take in an answer that took `seconds`, in which `request_seconds` of all requests passed."""
        if self._before and self.limit < self._before[0] / 2:
            self._set(self.limit + 1, self.reason)
        elif self._now - self._load_time < METRICS_LIFE_S:
            self._before = None
            self._begin_round()  # the server's own word counts
        elif seconds > 0 and self._now - seconds >= self._round_began:
            at_once = request_seconds / seconds
            for position, value in enumerate((1.0, seconds, request_seconds, max(tokens, 1) * at_once)):
                self._round[position] += value
            answers, total, in_flight, tokens_at_once = self._round
            if answers >= max(MIN_ANSWERS, ROUND * self.limit):
                self._begin_round()
                self._judge(in_flight / total, tokens_at_once / total)

    def record_metrics(self, load: ServerLoad, in_flight: int, now: float) -> None:
        """Take in what the server said of itself, some seconds after the last time.

        Where other jobs ask it too, our part of its requests counts.
        """
        whole, load = load, _own_part(load, in_flight)
        at_server = whole.running + whole.waiting
        # Several jobs may see the same gap; each fills its part.
        missing = (self._full - at_server) * min(1.0, in_flight / max(at_server, 1.0))
        last, since = self._load, now - self._load_time
        self._load, self._load_time = load, now
        room = QUEUE_SHARE * load.running + 1
        queued, self._queues = self._queues, load.waiting > room
        # Each request fills the cache as long as it runs, but not while the server reads prompts.
        slope = (load.kv_use - last.kv_use) / since if last and since > 0 else 0.0
        self._fill = max(slope / max(whole.running, 1.0), FILL_DECAY * self._fill)
        if self._queues:
            if queued and self.limit > load.running + room:  # not only for a moment
                self._has_stopped, self._full = True, whole.running
                self._set(max(load.running + room, self.limit - load.waiting / 2), "the server queues")
        elif load.kv_use > FULL_KV_CACHE:
            self._has_stopped, self._full = True, whole.running
            self.reason = "the KV cache is full"
        elif load.waiting <= room / 2 and in_flight >= 0.9 * int(self.limit) and not self._before:
            filled = self._fill * whole.running * HORIZON_S
            room_to_grow = (1 - load.kv_use) / filled if filled > 0 else GROWTH
            grown = self.limit * (SLOW_GROWTH if self._has_stopped else GROWTH) + 1
            if room_to_grow <= 1:
                self.reason = "the KV cache fills"
            else:
                self._set(min(max(grown, in_flight + missing), self.limit * room_to_grow + 1), "grows")

    def _search(self, limit: float, why: str) -> None:
        self._has_stopped, self._levels = False, []
        self._set(limit, why)

    def _begin_round(self) -> None:
        self._round_began = self._now
        self._round = [0.0, 0.0, 0.0, 0.0]  # answers; sums of seconds, request-seconds, tokens x in flight

    def _judge(self, at_once: float, rate: float) -> None:
        """Grow while a round brought more tokens/s than the one before, else go back and hold."""
        if at_once < FILLED * self.limit:
            self.reason = "fewer are sent"
            return
        self._before = None
        if self._has_stopped:
            self._found_rate = self._found_rate or rate
            if 1 / SPEED_CHANGE < rate / self._found_rate < SPEED_CHANGE:
                self.reason = SATURATED
            else:
                self._search(self.limit / 2, "the server's speed changed")
            return
        elasticity = 1.0
        if self._levels:
            before, old_rate = self._levels[-1]
            elasticity = math.log(rate / old_rate) / math.log(max(at_once / before, FILLED * LEAST_GROWTH))
        self._levels.append((at_once, rate))
        enough = ENOUGH * max(rate for _, rate in self._levels)
        best, best_rate = next(each for each in self._levels if each[1] >= enough)
        growth = min(GROWTH, max(LEAST_GROWTH, 1 + elasticity))
        higher = min(self.limit * growth, best * GROWTH, self.ceiling)
        if elasticity >= MIN_ELASTICITY and higher > self.limit:
            self._set(higher, "grows")
        else:
            self._has_stopped, self._found_rate = True, best_rate
            self._set(best, SATURATED)

    def _set(self, limit: float, why: str) -> None:
        self.limit = max(1.0, min(float(self.ceiling), limit))
        self.reason = why if self.limit < self.ceiling else "the ceiling"
        self._begin_round()


def _own_part(load: ServerLoad, in_flight: int) -> ServerLoad:
    """The requests of a server's load that are ours, when so many are in flight."""
    share = in_flight / max(load.running + load.waiting, 1.0)
    return load if share >= ALONE else ServerLoad(load.running * share, load.waiting * share, load.kv_use)
