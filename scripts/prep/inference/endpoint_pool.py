"""How much is asked of each endpoint, and when: the limits and rests that all requests share.

Requests of one endpoint succeed and fail together, so they slow down together. While most of what was
sent of late fails, an endpoint's limit is halved and it rests, longer each time nothing has succeeded
since; what was already on its way then changes nothing more. Each success lets the limit grow by an
eighth of a request. So a dead server is asked by one request in a while, not by all that wait.

A request may also fail for what it is. One that fails again, with a server that answers and has answered
others since, says nothing of the server. Where nothing has succeeded for a while the endpoint is in doubt:
the client then asks it a plain question, and one that answers that goes on at full speed.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Collection, Iterator

from prep.inference.errors import Fault, Refusal
from prep.inference.transport import Wire
from prep.records.reason import Reason
from prep.runtime.program import Failure
from prep.serving.endpoint import Endpoint

log = logging.getLogger("prep")

REST = 1.0  # seconds of the first rest; each further one without a success between is twice as long
LONGEST_REST = 60.0
PATIENCE = 600.0  # seconds without one success, and nothing on its way, until the run gives up
SILENCE = 20.0  # seconds without one success, until an endpoint is to show that it answers anything
WEIGHT = 1 / 8  # of the newest result in the share of failures
ANSWERED = (Reason.SERVER_ERROR, Reason.MALFORMED, Reason.CUT_JSON)
"""Faults of a server that is there, and may be at odds with this one request."""


class Line:
    """One endpoint: its wire, how many requests are on their way to it, and how many may be."""

    def __init__(self, endpoint: Endpoint, most: int, now: float):
        self.wire = Wire(endpoint)
        self.endpoint = endpoint
        self.in_flight = 0
        self.limit = float(most)
        self.rests_until = now
        self._most = most
        self._failing = 0.0  # share of the late results that were failures
        self._rests = 0  # since the last success
        self._slowed = now
        self.good = now  # when it last succeeded, or began
        self._answered = -math.inf  # when it last did with a request of the batch
        self.sound = False  # whether it ever succeeded
        self.refusals = 0  # since the last success
        self.refusal: Refusal | None = None  # the last
        self.in_doubt = False  # whether it is to show that it still answers something

    def free(self, now: float) -> bool:
        return now >= self.rests_until and self.in_flight < int(self.limit)

    def succeeded(self, now: float) -> None:
        self.in_flight -= 1
        self._failing *= 1 - WEIGHT
        self._rests = 0
        self.good = self._answered = now
        self.sound = True
        self.refusals = 0
        self.in_doubt = False
        self.limit = min(self._most, self.limit + WEIGHT)

    def revive(self, now: float) -> None:
        """Take note that it answered a plain question: what fails is not its fault."""
        answered = self._answered
        self.succeeded(now)
        self._answered = answered
        self._failing = 0.0
        self.limit = float(self._most)
        self.rests_until = now

    def succeeded_since(self, then: float) -> bool:
        """Whether it has answered a request of the batch since `then`."""
        return self._answered > then

    def failed(self, fault: Fault, sent: float, now: float, before: float | None = None) -> None:
        """Take note of a fault of a request that was sent at `sent`, and had failed `before`."""
        if fault.row and not isinstance(fault, Refusal):
            return self.succeeded(now)  # the server lives and judges
        self.in_flight -= 1
        if isinstance(fault, Refusal):
            self.refusals += 1
            self.refusal = fault
            return None
        if before is not None and fault.reason in ANSWERED and self.good > before:
            return None
        if fault.retry_after is not None:
            self.rests_until = max(self.rests_until, now + fault.retry_after)
        if sent < self._slowed:
            return None
        self._failing += (1 - self._failing) * WEIGHT
        if self._failing > 0.5:
            # Other jobs may have met the same trouble: they should not all come back at once.
            rest = min(LONGEST_REST, REST * 2**self._rests) * random.uniform(0.75, 1.25)
            self._rests += 1
            self.in_doubt = now - self.good > SILENCE
            self._slowed = now
            self.limit = max(1.0, self.limit / 2)
            self.rests_until = max(self.rests_until, now + rest)
            log.warning(
                "%s: most requests fail (the last: %s); resting %.1f s, then at most %d at once",
                self.endpoint.base_url,
                fault.detail,
                rest,
                self.limit,
            )
        return None

    def hopeless(self, now: float) -> bool:
        """Whether nothing has succeeded for long, and nothing that is on its way might."""
        return self.in_flight == 0 and self._rests > 0 and now - self.good > PATIENCE

    def left(self) -> None:
        """A request was given up from outside."""
        self.in_flight -= 1


class Lines:
    """The lines to all endpoints of a server, inside one event loop."""

    def __init__(self, server, most: int):
        self._server = server
        self._most = most
        self._lines: list[Line] = []
        self._retired: list[Line] = []
        self._turn = asyncio.Lock()  # who waits for a free line, first come, first served
        self._change = asyncio.Event()
        self._renewal: asyncio.Task | None = None
        self._now: Callable[[], float] = asyncio.get_running_loop().time

    @property
    def in_flight(self) -> int:
        return sum(line.in_flight for line in self._lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    async def take(self, tried: Collection[Line] = ()) -> tuple[Line, float]:
        """The line with the least on it, waiting for one that is free; and the time now.

        One that was not `tried` goes before. No more than `most` requests are on their way over all lines.
        """
        await self._turn.acquire()
        try:
            while True:
                now = self._now()
                free = [line for line in self._lines if self.in_flight < self._most and line.free(now)]
                if free and self._renewal is None:
                    line = min(free, key=lambda each: (each in tried, each.in_flight / each.limit))
                    line.in_flight += 1
                    return line, now
                self._change.clear()
                rests = [line.rests_until for line in self._lines if line.rests_until > now]
                try:
                    async with asyncio.timeout_at(min(rests, default=None)):
                        await self._change.wait()
                except TimeoutError:
                    pass
        finally:
            # The next turn is once this request has gone out. Else all that could go at one moment would be
            # made ready before the first of them goes, and their answers come at one moment again.
            asyncio.get_running_loop().call_soon(self._turn.release)

    def succeeded(self, line: Line) -> None:
        line.succeeded(self._now())
        self._change.set()

    def revive(self, line: Line) -> None:
        line.revive(self._now())
        self._change.set()

    def failed(self, line: Line, fault: Fault, sent: float, before: float | None) -> float:
        """Take note of a fault of a request sent at `sent` that had failed `before`; gives the time now."""
        now = self._now()
        line.failed(fault, sent, now, before)
        self._change.set()
        return now

    def hopeless(self) -> bool:
        """Whether there is no more hope for any line."""
        now = self._now()
        return all(each.hopeless(now) for each in self._lines)

    def check_hope(self, fault: Fault) -> None:
        """Raise Failure when there is no more hope for any line; `fault`: the last."""
        now = self._now()
        if self.hopeless():
            since = now - max(each.good for each in self._lines)
            raise Failure(
                f"no request has succeeded for {since:.0f} s, the last: {fault.reason} ({fault.detail});"
                " mend the server and run again: only what is missing is asked"
            )

    async def renew(self) -> None:
        """Ask the server for its endpoints (it may start again for that) and keep to those.

        All that call while it is under way wait for the same answer.
        """
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._server.endpoints())
            self._renewal.add_done_callback(self._renewed)
        await asyncio.shield(self._renewal)

    def _renewed(self, renewal: asyncio.Task) -> None:
        self._renewal = None
        if not renewal.cancelled() and renewal.exception() is None:
            known = {line.endpoint: line for line in self._lines}
            wanted = dict.fromkeys(renewal.result())
            self._retired += [line for endpoint, line in known.items() if endpoint not in wanted]
            self._lines = [known.get(each) or Line(each, self._most, self._now()) for each in wanted]
        self._change.set()

    async def close(self) -> None:
        """Close all connections."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        for line in [*self._lines, *self._retired]:
            await line.wire.close()
