"""Forecast of a server's time: censored mean of answer lengths (Kaplan-Meier), Little's law, load, and tail.

Short answers finish first, so the mean of the finished ones is too low while others are in flight. Those
count as censored: each is at least as long as it is now. The mean is the area below the product-limit
estimate of the lengths that survive (https://doi.org/10.1080/01621459.1958.10501452). Beyond the longest
finished answer the curve falls at the hazard of its upper half, up to the most that an answer may have.

What an unfinished answer has so far, the server's counter of tokens tells (`generation_tokens_total` of
/metrics): all that run get a token a step, so each gets its part of the counter's growth while it runs.
Without the counter it is its time times the last answers' tokens a second. What is to come:

    seconds = (to come x (prompt weight x prompt + answer) - written of the unfinished) / throughput + tail

Throughput is the counter's growth in the last two minutes, or, by Little's law, the number in flight times
the tokens a second of one answer; prompts are added by their weight.

A tail is what the last answers lose, since few in flight leave a server idle. It ends with the longest of
n, mean x (ln n + 0.577) for exponential lengths (https://en.wikipedia.org/wiki/Exponential_distribution).
"""

import itertools
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MIN_ANSWERS = 100  # that tell a mean
LAST_S = 120.0  # of which throughput is
UPPER_HALF = 0.5  # of the answers that have outlived so many, the hazard is taken for what lies beyond
EULER_GAMMA = 0.5772
AUTO_SHARE = 0.96
"""Of a full server's throughput, that `concurrency: auto` reaches (docs/performance.md)."""


def estimate_mean(finished: Iterable[float], unfinished: Iterable[float], most: float = math.inf) -> float:
    """The mean length (in any unit) where `unfinished` are lengths so far; none exceeds `most`.

    NaN where nothing has finished.
    """
    ends = sorted([(length, 0) for length in finished] + [(length, 1) for length in unfinished])
    at_risk, survival, mean, last = len(ends), 1.0, 0.0, 0.0
    events, exposure = 0, 0.0  # beyond the median
    for length, is_unfinished in ends:
        mean += survival * (length - last)
        if survival <= UPPER_HALF:
            exposure += at_risk * (length - last)
            events += not is_unfinished
        if not is_unfinished:
            survival *= 1 - 1 / at_risk
        last = length
        at_risk -= 1
    if survival == 1.0:
        return math.nan
    if survival < 1e-9 or last >= most:
        return mean
    # Where the median was not reached, the whole of it tells.
    hazard = events / exposure if events else -math.log(survival) / last
    return mean + survival / hazard * (1 - math.exp(-hazard * (most - last)))


@dataclass(frozen=True)
class Server:
    """What is assumed of a server, all its GPUs together. A token of a prompt counts as `prompt_weight`.

    `full` are tokens a second when it is full, `alone` and `beside` those of one answer, alone and at a full
    server; None: not known. `limit` is the most in flight; None: it finds itself. `replicas` share the work;
    to load them takes `load_s` seconds.
    """

    gpus: int
    full: float
    load_s: float = 0.0
    prompt_weight: float = 1.0
    alone: float | None = None
    beside: float | None = None
    limit: int | None = None
    replicas: int = 1

    @property
    def in_flight(self) -> float | None:
        """How many it takes at once."""
        most = self.full / self.beside if self.beside else None
        return most if self.limit is None else min(self.limit, most or self.limit)

    @property
    def share(self) -> float:
        """The share of a full server's throughput at the limit: a step takes a + b x (answers in flight)."""
        if self.limit is None:
            return AUTO_SHARE
        if not (self.alone and self.beside):
            return 1.0
        most = self.full / self.beside
        slope = (1 / self.beside - 1 / self.alone) / most
        at_once = min(self.limit, most)
        return at_once / (1 / self.alone + slope * at_once) / self.full

    def tail_s(self, mean: float, most: float) -> float:
        """Seconds lost while the last answers end; `mean` and `most` are tokens of an answer."""
        if not self.alone or not self.in_flight:
            return 0.0
        longest = mean * (math.log(max(1.0, self.in_flight / self.replicas)) + EULER_GAMMA)
        return max(0.0, min(longest, most) - mean) / self.alone


@dataclass(frozen=True)
class RequestKind:
    """Requests of one kind to come: those in flight, with tokens `written` so far, and all not yet sent."""

    to_come: int
    prompt: float  # tokens, on average
    answer: float
    written: float = 0.0

    def work(self, prompt_weight: float) -> float:
        """Tokens to come, of prompts by their weight."""
        return max(0.0, self.to_come * (prompt_weight * self.prompt + self.answer) - self.written)


class AnswersInFlight:
    """What the answers in flight of a job at one endpoint have so far. Times are seconds of any clock.

    A server takes requests in the order in which they were sent, so those sent last are the ones that wait.
    """

    def __init__(self) -> None:
        self._sent: dict[int, _InFlight] = {}  # in order
        self._numbers = itertools.count()
        self._late: deque[_Ended] = deque()  # the answers of each second of the last two minutes
        self._marks: deque[tuple[float, float]] = deque()  # when the server's counter was read, and it
        self._speed = 0.0  # tokens a second of each that runs
        self._running, self._waiting = 0.0, 0.0  # at the server, of all jobs

    def __len__(self) -> int:
        return len(self._sent)

    def record_counter(self, written: float, running: float, waiting: float, now: float) -> None:
        """Take in the tokens that the server has written, and how many requests run and wait there."""
        if self._marks and written < self._marks[-1][1]:
            self._marks.clear()  # the server was started anew
        if self._marks and now > self._marks[-1][0]:
            then, before = self._marks[-1]
            self._speed = (written - before) / max(1.0, (running + self._running) / 2) / (now - then)
            for each in itertools.islice(self._sent.values(), self._count_running()):
                each.written += self._speed * (now - max(then, each.sent))
        self._running, self._waiting = running, waiting
        self._marks.append((now, written))
        while now - self._marks[0][0] > LAST_S:
            self._marks.popleft()

    def is_counted(self, now: float) -> bool:
        """Whether the server's counter was read twice in the last two minutes."""
        return len(self._marks) > 1 and now - self._marks[-1][0] < LAST_S

    def begin(self, mode: str, now: float) -> int:
        """Note a request that is sent; gives its number."""
        number = next(self._numbers)
        self._sent[number] = _InFlight(mode, now)
        return number

    def end(self, number: int, tokens: int | None, now: float) -> None:
        """Note its end, and the tokens of its answer; None: there is none."""
        sent = self._sent.pop(number).sent
        if tokens is None:
            return
        if not self._late or now - self._late[-1].since >= 1:
            self._late.append(_Ended(now))
        self._late[-1].tokens += tokens
        self._late[-1].seconds += now - sent
        while now - self._late[0].since > LAST_S:
            self._late.popleft()

    def written(self, now: float) -> dict[str, list[float]]:
        """The tokens so far of each answer in flight, by mode."""
        found: dict[str, list[float]] = {}
        is_counted, speed = self.is_counted(now), self._answer_speed()
        for each in self._sent.values():
            tokens = each.written if is_counted else (now - each.sent) * speed
            found.setdefault(each.mode, []).append(tokens)
        return found

    def throughput(self, now: float) -> float:
        """Tokens a second that the server writes, of all jobs if it counts them."""
        if not self.is_counted(now):
            return self.own_throughput(now)
        (then, before), (until, written) = self._marks[0], self._marks[-1]
        return (written - before) / (until - then)

    def own_throughput(self, now: float) -> float:
        """Tokens a second that it writes for this job, by Little's law."""
        if self.is_counted(now):
            return self._count_running() * self._speed
        return len(self._sent) * self._answer_speed()

    def _answer_speed(self) -> float:
        """Tokens a second of one answer, of those that ended in the last two minutes."""
        seconds = sum(late.seconds for late in self._late)
        return sum(late.tokens for late in self._late) / seconds if seconds else 0.0

    def _count_running(self) -> int:
        """Of this job's requests, those that do not wait at the server."""
        if not self._running:
            return len(self._sent)
        return round(len(self._sent) * self._running / (self._running + self._waiting))


@dataclass
class _InFlight:
    mode: str
    sent: float
    written: float = 0.0  # tokens, by the server's counter


@dataclass
class _Ended:
    """Answers that ended within a second: their tokens, and the seconds that they took."""

    since: float
    tokens: int = 0
    seconds: float = 0.0


def weigh_prompts(asked: Sequence[RequestKind], prompt_weight: float) -> float:
    """What tokens written are multiplied with, so that the prompts beside them count by their weight."""
    answers = sum(kind.to_come * kind.answer for kind in asked)
    return 1 + prompt_weight * sum(kind.to_come * kind.prompt for kind in asked) / answers


def forecast_seconds(
    kinds: Iterable[RequestKind], throughput: float, prompt_weight: float, tail_s: float
) -> float:
    """Seconds until a server has answered all that is to come."""
    work = sum(kind.work(prompt_weight) for kind in kinds)
    return work / throughput + tail_s if work else 0.0
