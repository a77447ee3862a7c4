"""Load balancing over endpoints: per endpoint adaptive concurrency (AIMD), cooldowns, and a circuit breaker.

The limit of requests in flight is given, or finds itself (see prep.inference.concurrency).
There is no rate limiter: a server that says it is overloaded (429, 503, 529) is left alone as long as its
`Retry-After` says.

Requests of one endpoint succeed and fail together, so they slow down together. When most of the latest
results are failures, the endpoint's concurrency limit is halved and a cooldown begins. Failures of requests
that were in flight by then change nothing more. Without a success between, each cooldown is twice as long as
the one before, so the limit of a dead server soon is one request. With a number as `concurrency` each success
raises the limit by an eighth of a request.

A request may also fail because of its own row. One that fails again while the server answers others says
nothing of the server. Where nothing has succeeded for a while, the circuit is half-open: the client sends the
endpoint a health check, a plain question, and if it is answered, the limit is what it was.
"""

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable, Collection, Iterator

from prep.inference import forecast
from prep.inference.concurrency import INITIAL_LIMIT, AdaptiveLimit, parse_metrics
from prep.inference.errors import Refusal, RequestError
from prep.inference.slots import Slots
from prep.inference.transport import ChatTransport, raise_file_limit
from prep.records.reason import Reason
from prep.runtime.program import UserError
from prep.serving.endpoint import Endpoint

log = logging.getLogger("prep")

FIRST_COOLDOWN_S = 1.0  # each further one without a success between is twice as long
LONGEST_COOLDOWN_S = 60.0
GIVE_UP_AFTER_S = 600.0  # without one success, and with nothing in flight, the run gives up
SUSPECT_AFTER_S = 20.0  # without one success, the endpoint must pass a health check
LONG_REST_S = 10.0  # that a server asks for: the log tells of a longer one
NEWEST_WEIGHT = 1 / 8  # of the newest result in the failure rate, a moving average (EWMA)
INCREASE = 1 / 8  # of a request, by which each success raises the concurrency limit
MOST_AT_ONCE = 4096  # over all endpoints, whose limits find themselves
METRICS_INTERVAL_S = 2.0  # between two times that a server's metrics are read
METRICS_RETRY_S = 15.0  # and where it has none
SLOT_POLL_S = 0.1  # between two looks for a slot that another job has freed
SERVER_ALIVE = (Reason.SERVER_ERROR, Reason.MALFORMED, Reason.CUT_JSON)
"""Errors of a server that is there, and may be at odds with this one request."""


class PooledEndpoint:
    """One endpoint: its transport, how many requests are in flight to it, and how many may be."""

    def __init__(
        self,
        endpoint: Endpoint,
        max_concurrency: int | None,
        now: float,
        initial_limit: int = INITIAL_LIMIT,
    ):
        """With no `max_concurrency`, the limit finds itself (see prep.inference.concurrency)."""
        self.transport = ChatTransport(endpoint)
        self.in_flight = 0
        self.adaptive = AdaptiveLimit(MOST_AT_ONCE, now, initial_limit) if max_concurrency is None else None
        self.answers = forecast.AnswersInFlight()
        self.next_metrics = now  # when its metrics are read again
        self._max_concurrency = float(max_concurrency or MOST_AT_ONCE)
        self.concurrency_limit = self.adaptive.limit if self.adaptive else self._max_concurrency
        self.cooldown_until = now
        self._failure_rate = 0.0  # share of the late results that were failures
        self._cooldowns = 0  # since the last success
        self._last_decrease = now
        self.last_success = now  # when it last succeeded, or began
        self._last_answer = -math.inf  # when it last answered a request of the batch
        self.has_succeeded = False  # whether it ever succeeded
        self.refusals = 0  # since the last success
        self.refusal: Refusal | None = None  # the last
        self.is_suspect = False  # whether the client must ask it a plain question

    @property
    def load(self) -> float:
        return self.in_flight / self.concurrency_limit

    def is_free(self, now: float) -> bool:
        return now >= self.cooldown_until and self.in_flight < int(self.concurrency_limit)

    def begin_request(self, now: float) -> None:
        """Record that a request is sent."""
        self._observe(now)
        self.in_flight += 1

    @property
    def request_seconds(self) -> float:
        """Requests in flight, integrated over time; 0 with a fixed limit."""
        return self.adaptive.request_seconds if self.adaptive else 0.0

    def record_answer(self, tokens: int, sent: float, request_seconds: float, now: float) -> None:
        """Record an answer to a request sent at `sent`, when `request_seconds` was as given here."""
        if self.adaptive:
            self._observe(now)
            passed = self.request_seconds - request_seconds
            self.adaptive.record_answer(tokens, now - sent, passed)
        self.record_success(now)

    def record_metrics(self, text: str, now: float) -> bool:
        """Take in what /metrics said; whether it was of use."""
        load = parse_metrics(text)
        if load is None or self.adaptive is None:
            return False
        if load.written is not None:
            self.answers.record_counter(load.written, load.running, load.waiting, now)
        if now >= self.cooldown_until:
            self.adaptive.record_metrics(load, self.in_flight, now)
            self._adapt()
        return True

    def _adapt(self) -> None:
        if self.adaptive:
            self.concurrency_limit = self.adaptive.limit

    def _observe(self, now: float) -> None:
        if self.adaptive:
            self.adaptive.observe(self.in_flight, now)

    def record_success(self, now: float) -> None:
        self._observe(now)
        self.in_flight -= 1
        self._failure_rate *= 1 - NEWEST_WEIGHT
        self._cooldowns = 0
        self.last_success = self._last_answer = now
        self.has_succeeded = True
        self.refusals = 0
        self.is_suspect = False
        self.concurrency_limit = min(self._max_concurrency, self.concurrency_limit + INCREASE)
        self._adapt()

    def reset(self, now: float) -> None:
        """Record that it passed a health check: what fails is not its fault."""
        last_answer = self._last_answer
        self.record_success(now)
        self._last_answer = last_answer
        self._failure_rate = 0.0
        self.concurrency_limit = float(self._max_concurrency)
        if self.adaptive:
            self.adaptive.restore()
        self._adapt()
        self.cooldown_until = now

    def succeeded_since(self, then: float) -> bool:
        """Whether it has answered a request of the batch since `then`."""
        return self._last_answer > then

    def record_failure(
        self, error: RequestError, sent: float, now: float, before: float | None = None
    ) -> None:
        """Record an error of a request that was sent at `sent` and had failed `before` (None: it had not)."""
        if error.is_row_fault and not isinstance(error, Refusal):
            self.record_success(now)  # the server lives and judges
            return
        self._observe(now)
        self.in_flight -= 1
        if isinstance(error, Refusal):
            self.refusals += 1
            self.refusal = error
            return
        if error.retry_after is not None:
            until = now + error.retry_after
            if until - max(self.cooldown_until, now) > LONG_REST_S:
                log.warning(
                    "%s: asks to be left alone for %d s (%s); nothing is sent to it until then",
                    self.transport.endpoint.base_url,
                    error.retry_after,
                    error.detail,
                )
            self.cooldown_until = max(self.cooldown_until, until)
        if before is not None and error.reason in SERVER_ALIVE and self.last_success > before:
            return
        if sent < self._last_decrease:
            return
        self._failure_rate += (1 - self._failure_rate) * NEWEST_WEIGHT
        if self._failure_rate > 0.5:
            # Other jobs may have met the same trouble: they should not all come back at once.
            cooldown = min(LONGEST_COOLDOWN_S, FIRST_COOLDOWN_S * 2**self._cooldowns) * random.uniform(
                0.75, 1.25
            )
            self._cooldowns += 1
            self.is_suspect = now - self.last_success > SUSPECT_AFTER_S
            self._last_decrease = now
            self.concurrency_limit = max(1.0, self.concurrency_limit / 2)
            if self.adaptive:
                self.adaptive.halve()
            self._adapt()
            self.cooldown_until = max(self.cooldown_until, now + cooldown)
            log.warning(
                "%s: most requests fail (the last: %s); cooldown of %.1f s, then at most %d at once",
                self.transport.endpoint.base_url,
                error.detail,
                cooldown,
                self.concurrency_limit,
            )

    def is_dead(self, now: float) -> bool:
        """Whether nothing has succeeded for long, and nothing is in flight that might."""
        return self.in_flight == 0 and self._cooldowns > 0 and now - self.last_success > GIVE_UP_AFTER_S

    def release(self, now: float) -> None:
        """Record that a request was cancelled."""
        self._observe(now)
        self.in_flight -= 1


class EndpointPool:
    """The endpoints of a server, inside one event loop."""

    def __init__(
        self,
        server,
        max_concurrency: int | None,
        slots: Slots | None = None,
        initial_limit: int = INITIAL_LIMIT,
    ):
        """With no `max_concurrency`, each endpoint's limit finds itself from the initial one on.

        `slots` are those of all jobs.
        """
        self._server = server
        self._initial_limit = initial_limit
        self._slots = slots
        self._endpoint_limit = max_concurrency
        open_at_once = raise_file_limit(max_concurrency or MOST_AT_ONCE)
        self._max_concurrency = max_concurrency or open_at_once
        self._endpoints: list[PooledEndpoint] = []
        self._retired: list[PooledEndpoint] = []
        self._turn = asyncio.Lock()  # who waits for a free endpoint, first come, first served
        self._change = asyncio.Event()
        self._renewal: asyncio.Task | None = None
        self._now: Callable[[], float] = asyncio.get_running_loop().time

    @property
    def in_flight(self) -> int:
        return sum(endpoint.in_flight for endpoint in self._endpoints)

    @property
    def concurrency(self) -> int:
        """Requests that may be in flight over all endpoints."""
        if self._endpoint_limit is not None:
            return self._max_concurrency
        limits = sum(max(1, int(each.adaptive.limit)) for each in self._endpoints)
        return min(self._max_concurrency, limits or self._initial_limit)

    def limits(self) -> dict[str, dict[str, object]]:
        """What limit each endpoint has and why, by its address, where it finds itself."""
        return {
            each.transport.endpoint.base_url: {
                "limit": int(each.adaptive.limit),
                "reason": each.adaptive.reason,
            }
            for each in self._endpoints
            if each.adaptive
        }

    def throughputs(self) -> dict[str, dict[str, object]]:
        """Tokens a second of each endpoint, by address: of all its jobs where it counts, and of this one."""
        now = self._now()
        return {
            each.transport.endpoint.base_url: {
                "tokens_per_second": round(each.answers.throughput(now), 1),
                "own_tokens_per_second": round(each.answers.own_throughput(now), 1),
                "is_counted": each.answers.is_counted(now),
            }
            for each in self._endpoints
        }

    def unfinished(self) -> dict[str, list[float]]:
        """The tokens so far of the answers in flight, by mode."""
        found: dict[str, list[float]] = {}
        for endpoint in [*self._endpoints, *self._retired]:
            for mode, written in endpoint.answers.written(self._now()).items():
                found.setdefault(mode, []).extend(written)
        return found

    async def read_metrics(self) -> None:
        """Read once what each server says of its load; one that says nothing is left to its answers."""
        now = self._now()
        adaptive = [each for each in self._endpoints if each.adaptive and now >= each.next_metrics]
        texts = await asyncio.gather(*(each.transport.read_metrics() for each in adaptive))
        for endpoint, text in zip(adaptive, texts, strict=True):
            is_told = endpoint.record_metrics(text, self._now())
            endpoint.next_metrics = now + (METRICS_INTERVAL_S if is_told else METRICS_RETRY_S)
        self._change.set()

    def __iter__(self) -> Iterator[PooledEndpoint]:
        return iter(self._endpoints)

    async def acquire(self, tried: Collection[PooledEndpoint] = ()) -> tuple[PooledEndpoint, float]:
        """The endpoint with the least load, waiting for one that is free; and the time now.

        One that was not `tried` goes before. Over all endpoints, at most `max_concurrency` are in flight.
        """
        await self._turn.acquire()
        try:
            while True:
                now = self._now()
                free = [each for each in self._endpoints if each.is_free(now)]
                may_send = free and self.in_flight < self._max_concurrency and self._renewal is None
                has_slot = may_send and (self._slots is None or self._slots.hold(self.in_flight + 1))
                if has_slot:
                    endpoint = min(free, key=lambda each: (each in tried, each.load))
                    endpoint.begin_request(now)
                    return endpoint, now
                self._change.clear()
                times = [each.cooldown_until for each in self._endpoints if each.cooldown_until > now]
                if may_send:  # another job does not tell when it frees a slot
                    times.append(now + SLOT_POLL_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(times, default=None)):
                        await self._change.wait()
        finally:
            # The next waiter gets its turn once this request was sent. Otherwise a burst of requests would be
            # prepared before the first is sent, and their answers would come as a burst again.
            asyncio.get_running_loop().call_soon(self._turn.release)

    def record_answer(
        self, endpoint: PooledEndpoint, tokens: int, sent: float, request_seconds: float
    ) -> None:
        endpoint.record_answer(tokens, sent, request_seconds, self._now())
        self._note_change()

    def release(self, endpoint: PooledEndpoint) -> None:
        endpoint.release(self._now())
        self._note_change()

    def reset(self, endpoint: PooledEndpoint) -> None:
        endpoint.reset(self._now())
        self._note_change()

    def record_failure(
        self, endpoint: PooledEndpoint, error: RequestError, sent: float, before: float | None
    ) -> float:
        """Record an error of a request sent at `sent` that had failed at `before`; gives the time now."""
        now = self._now()
        endpoint.record_failure(error, sent, now, before)
        self._note_change()
        return now

    def _note_change(self) -> None:
        """Free slots that are no longer taken, and have those who wait look again."""
        if self._slots is not None:
            self._slots.hold(self.in_flight)
        self._change.set()

    def is_dead(self) -> bool:
        """Whether the run must give up all endpoints."""
        now = self._now()
        return all(each.is_dead(now) for each in self._endpoints)

    def raise_if_dead(self, error: RequestError) -> None:
        """Raise UserError when the run must give up all endpoints; `error` was the last."""
        if self.is_dead():
            since = self._now() - max(each.last_success for each in self._endpoints)
            raise UserError(
                f"no request has succeeded for {since:.0f} s, the last: {error.reason} ({error.detail});"
                " mend the server and run again: only what is missing is asked"
            )

    async def refresh(self) -> None:
        """Ask the server for its endpoints (it may start again for that) and keep to those.

        All that call while it is under way wait for the same answer.
        """
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._server.ensure_endpoints())
            self._renewal.add_done_callback(self._renewed)
        await asyncio.shield(self._renewal)

    def _renewed(self, renewal: asyncio.Task) -> None:
        self._renewal = None
        if not renewal.cancelled() and renewal.exception() is None:
            known = {each.transport.endpoint: each for each in self._endpoints}
            wanted = dict.fromkeys(renewal.result())
            self._retired += [known[each] for each in known if each not in wanted]
            now = self._now()
            self._endpoints = [
                known.get(each) or PooledEndpoint(each, self._endpoint_limit, now, self._initial_limit)
                for each in wanted
            ]
        self._note_change()

    async def close(self) -> None:
        """Close all connections."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        for endpoint in [*self._endpoints, *self._retired]:
            await endpoint.transport.close()
        if self._slots is not None:
            self._slots.close()
