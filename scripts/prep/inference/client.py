"""Client of chat endpoints with retries, backoff and a journal: it asks only what no journal holds.

Requests are made as they are sent, answers are journaled as they come, and what `Client.ask` gives comes
from the journal in the order of the requests: a run that was killed goes on where it was, and the order
of arrival leaves no trace.
"""

import asyncio
import bisect
import contextlib
import itertools
import logging
import math
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, Protocol, TypeVar

from prep.inference import errors
from prep.inference import progress as reports
from prep.inference.answer_policy import Answers
from prep.inference.concurrency import initial_limit
from prep.inference.endpoint_pool import METRICS_INTERVAL_S, SERVER_ALIVE, EndpointPool, PooledEndpoint
from prep.inference.errors import Refusal, RequestError
from prep.inference.progress import Progress
from prep.inference.request import Request, Response
from prep.inference.slots import open_slots, take_place
from prep.inference.transport import STREAM, time_limit
from prep.records.reason import Reason
from prep.runtime.program import UserError
from prep.serving.server_config import ServerConfig
from prep.storage.atomic import write_json

log = logging.getLogger("prep")

FIRST_BACKOFF_S = 1.0  # before the first retry of a request; twice as long before each further one
LONGEST_BACKOFF_S = 30.0
UNFINISHED_FACTOR = 4  # times the concurrency: unfinished requests, those that wait for a retry included
ADAPT_INTERVAL_S = 0.1  # until more requests are made ready for a limit that has grown
WAVES = 4  # in which requests without pictures are sent, by the guessed length of their answers
THOUGHT_DOUBLINGS = 64  # more than any question has: all that is asked thinking goes first
MAX_REFUSALS = 50  # after so many refusals without one answer, the server is suspected, not the rows
ROW_SUSPECT = (*SERVER_ALIVE, Reason.TRANSPORT)
"""Errors that are the row's fault if they repeat for it while the server answers other rows."""

HEALTH_CHECK = Request(
    "plain",
    "thinking",
    [{"role": "user", "content": "Repeat 1000003"}],
    {"temperature": 0, "max_tokens": 1},
    0,
)
"""Shows for one token whether a server answers anything. It is nobody's row, and not journaled."""

Result = TypeVar("Result")


class StopCheck(Protocol):
    """A check of answers as they come, which may end the run.

    Until it has read `trial` ends of requests, no more than that are sent. It may lower `trial` to what it
    has read.
    """

    trial: int
    read: int

    def add(self, mode: str, response: Response) -> None:
        """Read the end of a request. Raises UserError where the run is to end."""


class Stopped(Exception):
    """The run is to end: nothing more is sent."""


async def send_with_backoff(
    send: Callable[[], Awaitable[Result]], pause: Callable[[RequestError, float], Awaitable[None]]
) -> Result:
    """What `send` gives; it is called again after a RequestError, up to MAX_ATTEMPTS of the error's reason.

    `pause(error, seconds)` waits for the exponential backoff with jitter. Raises the last RequestError.
    """
    met: Counter[Reason] = Counter()
    while True:
        try:
            return await send()
        except RequestError as caught:
            error = caught
        met[error.reason] += 1
        if met[error.reason] >= errors.MAX_ATTEMPTS[error.reason]:
            raise error
        delay = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (met.total() - 1))
        await pause(error, delay * random.uniform(0.5, 1))


def guess_length(request: Request) -> int:
    """A number, larger where a longer answer is likely: a thought, a longer question; 0 with a picture."""
    if request.image is not None or request.image_sha256 is not None:
        return 0
    doublings = sum(len(message["content"]) for message in request.messages).bit_length()
    return doublings + (THOUGHT_DOUBLINGS if request.mode == "thinking" else 0)


def cut_waves(missing: bytearray, lengths: bytearray) -> list[bytearray]:
    """Cut the requests that are missing into waves by length, the longest first; each marks its own with 1.

    A wave is a walk through all requests, so that none of them need be kept.
    """
    counts = Counter(itertools.compress(lengths, missing))
    known = sorted(counts)
    ends = list(itertools.accumulate(counts[length] for length in known))
    starts = {bisect.bisect_right(ends, ends[-1] * part // WAVES) for part in range(WAVES)}
    floors = sorted((known[start] for start in starts), reverse=True)
    wave_of = {
        length: next(wave for wave, floor in enumerate(floors) if length >= floor) for length in counts
    }
    return [
        bytearray(
            is_missing and wave_of[length] == wave
            for length, is_missing in zip(lengths, missing, strict=True)
        )
        for wave in range(len(floors))
    ]


class Client:
    """Sends requests to a server, up to `concurrency` at once over all its endpoints.

    With `auto`, as many are sent to each endpoint as raise its throughput (see prep.inference.concurrency).

    Of the configuration it reads `name`, `model`, `concurrency`, `max_model_len`, `stall_timeout`, and for
    the time that a request may take (see prep.inference.transport) `request_timeout` and `floor_rate`. An
    answer that repeats itself for the window of `answers` is stopped (see prep.inference.streaming). `check`
    reads the answers as they come.
    """

    def __init__(
        self,
        config: ServerConfig,
        server: Any,
        answers: Answers,
        progress: Path,
        check: StopCheck | None = None,
    ):
        self._config = config
        self._server = server
        self._answers = answers
        self._progress_path = Path(progress)
        self._check = check

    def ask(
        self, requests: Callable[[bool], Iterable[Request]], max_failed_share: float
    ) -> Iterator[tuple[str, Response]]:
        """Ask what is missing, all of it; then give the id and the response of every request, in order.

        `requests(with_pictures)` must give the same requests each time. Where it is called without, each
        has the digest of its picture alone: pictures are read once, and only where an answer is missing.
        Of requests without pictures, those with long answers are sent first, as far as it can be guessed.
        Raises UserError when more than `max_failed_share` of them failed for no reason of their own, or
        when the server is of no use. Requests in flight then finish first, each within its own time limit,
        and what was answered is journaled.
        """
        self._failures: dict[str, Response] = {}  # by key
        self._unfinished: set[str] = set()  # keys of the requests that are asked about now
        self._any_answered = False  # whether any request of the batch was answered, in this run or before
        missing = bytearray()  # 1 for each request without an answer, in order
        lengths = bytearray()  # guessed, of each one's answer
        for request in requests(False):
            key = self._latest_key(request)
            missing.append(not self._answers.has(key))
            lengths.append(guess_length(request))
            if not missing[-1] and self._on_trial():
                self._read(request, self._answers.response(self._answers.get(key)))
        self._any_answered = not all(missing)
        # So many may fail for no fault of their own. 0.29 of 100 is a little less than 29.
        self._failure_budget = max_failed_share * len(missing) + 1e-6
        self._progress = progress = Progress(self._config, len(missing))
        progress.from_journal = missing.count(0)
        state = "failed"
        try:
            if any(missing):
                waves = [missing] if self._on_trial() else cut_waves(missing, lengths)
                sent = (each for wave in waves for each in self._missing(requests(True), wave))
                _run(self._ask_all(sent, progress))
            state = "done"
        finally:
            progress.mark(state, 0)
            write_json(self._progress_path, progress.snapshot())
            progress.report()
        for request in requests(False):
            if failed := self._failures.get(self._answers.key(request)):
                yield request.id, failed
                continue
            record = self._answers.get(self._latest_key(request))
            if record is None:
                raise RuntimeError(f"{request.id}: requests() gave other requests than before")
            progress.count_response(request.mode, record)
            yield request.id, self._answers.response(record)
        write_json(self._progress_path, progress.snapshot())

    def _on_trial(self) -> bool:
        """Whether the check has yet to see whether answers are of use."""
        return self._check is not None and self._check.read < self._check.trial

    def _read(self, request: Request, response: Response) -> None:
        """Have the check read the end of a request. Raises UserError where the run is to end."""
        if self._check is not None:
            self._check.add(request.mode, response)

    def _latest_key(self, request: Request) -> str:
        return self._answers.key(self._answers.latest(request))

    def _missing(self, requests: Iterable[Request], missing: bytearray) -> Iterator[Request]:
        """The requests to send; the same request once more gets the same answer."""
        for request, is_missing in zip(requests, missing, strict=True):
            key = self._answers.key(request)
            if not is_missing:
                continue
            if (
                key in self._unfinished
                or key in self._failures
                or self._answers.has(self._latest_key(request))
            ):
                self._progress.from_journal += 1
                continue
            self._unfinished.add(key)
            yield request

    async def _ask_all(self, missing: Iterator[Request], progress: Progress) -> None:
        """Send what is missing, `concurrency` at once, until all has an answer or has failed."""
        fixed = None if self._config.concurrency == "auto" else self._config.concurrency
        slots, place = open_slots(self._config), take_place(self._config)
        self._pool = pool = EndpointPool(self._server, fixed, slots, initial_limit(place))
        self._sending: set[asyncio.Task] = set()
        self._error: Exception | None = None  # why the run is to end
        self._checking = asyncio.Lock()
        self._ended = asyncio.Event()  # a request that was on its way has come in
        self._trial_left = self._check.trial - self._check.read if self._on_trial() else 0
        self._trial_ended = asyncio.Event()
        workers: set[asyncio.Task] = set()
        waiting = 0
        exhausted = False  # whether all requests were taken up

        def start_worker(work: Callable[[], Awaitable[None]]) -> None:
            worker = group.create_task(run_guarded(work))
            workers.add(worker)
            worker.add_done_callback(workers.discard)

        async def run_guarded(work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except Stopped:
                pass
            except Exception as error:
                stop(error)

        def stop(error: Exception) -> None:
            """Have the run end with an error: what is on its way is let finish, all else is given up."""
            if self._error is not None:
                return
            self._error = error
            if self._sending:
                log.warning("the run ends (%s); %d requests are let finish first", error, len(self._sending))
            for worker in workers - self._sending - {asyncio.current_task()}:
                worker.cancel()

        async def work() -> None:
            nonlocal exhausted
            for request in missing:
                await self._wait_for_trial()
                await self._finish(request, wait_to_retry)
                await self._check_share()
                self._check_refusals()
                self._check_running()
                if len(workers) - waiting > pool.concurrency:
                    workers.discard(asyncio.current_task())  # now, so that no other goes in its place too
                    return
            exhausted = True

        async def wait_to_retry(seconds: float) -> None:
            """Wait before a request is sent again; others meanwhile show whether it is the server's fault."""
            nonlocal waiting
            waiting += 1
            if len(workers) < UNFINISHED_FACTOR * pool.concurrency:
                start_worker(work)
            await asyncio.sleep(seconds)
            waiting -= 1

        async def write_progress() -> None:
            while True:
                progress.mark("running", pool.in_flight)
                progress.limits = pool.limits()
                progress.mark_unfinished(pool.unfinished(), pool.throughputs())
                # A shared file system may take its time.
                await asyncio.to_thread(write_json, self._progress_path, progress.snapshot())
                await asyncio.sleep(reports.WRITE_INTERVAL_S)

        def start_workers() -> None:
            for _ in range(pool.concurrency - len(workers) + waiting):
                if len(workers) < UNFINISHED_FACTOR * pool.concurrency:
                    start_worker(work)

        async def adapt_concurrency() -> None:
            """Keep as many requests under way as the endpoints' limits allow, which grow."""
            while fixed is None:
                await asyncio.sleep(ADAPT_INTERVAL_S)
                if not exhausted and self._error is None:
                    start_workers()

        async def read_metrics() -> None:
            while fixed is None:
                await pool.read_metrics()
                await asyncio.sleep(METRICS_INTERVAL_S)

        async def refresh_endpoints() -> None:
            while True:
                await pool.refresh()  # the server starts, or one that was away may be back
                await asyncio.sleep(reports.LOG_INTERVAL_S)
                progress.report()

        background_work = (write_progress, refresh_endpoints, read_metrics, adapt_concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(run_guarded(each)) for each in background_work]
                start_workers()
                while workers:
                    await asyncio.wait(workers)
                if self._error is None:
                    await run_guarded(self._check_endpoints)
                for task in background:
                    task.cancel()
        finally:
            progress.limits = pool.limits()
            await pool.close()
        if self._error is not None:
            raise self._error

    async def _wait_for_trial(self) -> None:
        """Wait before a request that is one too many until the check has read enough."""
        if self._on_trial() and not self._trial_left:
            await self._trial_ended.wait()
        self._trial_left = max(0, self._trial_left - 1)

    def _check_running(self) -> None:
        """Raise Stopped once the run is to end."""
        if self._error is not None:
            raise Stopped

    async def _finish(self, request: Request, wait: Callable[[float], Awaitable[None]]) -> None:
        """See one request to its end: an answer in the journal, or a failure."""
        key = self._answers.key(request)
        try:
            while True:
                latest = self._answers.latest(request)
                answer = await self._answer(latest, wait)
                self._answers.store(latest, answer)
                self._any_answered = True
                if self._answers.latest(request).budget == latest.budget:
                    break
                self._progress.count_retry(Reason.LENGTH, answer)  # once, with a larger budget
        except RequestError as error:
            response = self._failures[key] = Response("", None, None, error.reason, error.detail)
            self._progress.count_failure(error)
        else:
            response = self._answers.response(answer)
            self._progress.count_answer(answer)
        self._unfinished.discard(key)
        self._read(request, response)
        if not self._on_trial():
            self._trial_ended.set()

    async def _answer(self, request: Request, wait: Callable[[float], Awaitable[None]]) -> dict[str, Any]:
        """The answer to a request; raises the last RequestError when all attempts failed."""
        limit, stall = time_limit(self._config, request.budget), self._config.stall_timeout
        how = STREAM if stall or self._answers.window else {}
        failed: float | None = None  # when it failed
        alone = True  # whether others were answered between each two of its failures
        tried: list[PooledEndpoint] = []

        async def send() -> dict[str, Any]:
            nonlocal request, failed, alone
            self._check_running()
            unsent = [request.body(self._config.model, **how)]
            endpoint, sent = await self._pool.acquire(tried)
            request_seconds = endpoint.request_seconds
            try:
                answer = await self._post(endpoint, unsent, limit, stall, request.mode)
            except RequestError as error:
                before, failed = failed, self._pool.record_failure(endpoint, error, sent, failed)
                tried.append(endpoint)
                alone = alone and error.reason in ROW_SUSPECT
                if before is not None:
                    alone = alone and endpoint.succeeded_since(before)
                    error.is_row_fault = error.is_row_fault or alone
                self._check_running()
                await self._check_error(endpoint, error)
                if error.reason is not Reason.LENGTH or request.budget is None:
                    raise
                # The context has less room than the budget: without one, the server gives what there is.
                request = request.with_budget(None)
                self._progress.count_retry(error.reason)
                return await send()
            self._pool.record_answer(endpoint, answer["tokens"][1], sent, request_seconds)
            return answer

        async def pause(error: RequestError, seconds: float) -> None:
            self._progress.count_retry(error.reason)
            if error.reason is Reason.TRANSPORT:
                await self._pool.refresh()
            if error.retry_after is None:  # else the endpoint rests as long as it asked for
                await wait(seconds)

        return await send_with_backoff(send, pause)

    async def _post(
        self,
        endpoint: PooledEndpoint,
        unsent: list[dict[str, Any]],
        limit: float,
        stall: float | None,
        mode: str,
    ) -> dict[str, Any]:
        """What an acquired endpoint answers; raises RequestError. When the run ends, this is let finish.

        The body is taken out of `unsent`, so that nobody holds it while the server answers.
        """
        task, now = asyncio.current_task(), asyncio.get_running_loop().time
        self._sending.add(task)
        number, tokens = endpoint.answers.begin(mode, now()), None
        try:
            completion = await endpoint.transport.post(unsent.pop(), limit, stall, self._answers.window)
            answer = errors.parse_completion(completion, endpoint.transport.url)
            tokens = answer["tokens"][1]
            return answer
        except RequestError:
            raise
        except BaseException:
            self._pool.release(endpoint)
            raise
        finally:
            endpoint.answers.end(number, tokens, now())
            self._sending.discard(task)
            self._ended.set()

    async def _wait_for_answer(self) -> None:
        """Wait while no request of the batch was answered, and one that is on its way may be.

        A gateway refuses a prompt at once, and a model takes its time for the first answer.
        """
        while not self._any_answered and self._sending:
            self._ended.clear()
            await self._ended.wait()

    async def _passes_health_check(self, endpoint: PooledEndpoint) -> bool:
        """Whether an endpoint answers a plain question, and something of the batch was answered before."""
        self._check_running()
        if not self._any_answered:
            return False
        endpoint.begin_request(asyncio.get_running_loop().time())
        try:
            body = HEALTH_CHECK.body(self._config.model)
            await self._post(endpoint, [body], time_limit(self._config, HEALTH_CHECK.budget), None, "probe")
        except RequestError as error:
            if isinstance(error, Refusal) or not error.is_row_fault:
                self._pool.release(endpoint)
                return False
        self._pool.reset(endpoint)
        return True

    async def _check_endpoints(self) -> None:
        """After the last request, check the endpoints that refused the last requests that they got."""
        for endpoint in self._pool:
            await self._check_endpoint(endpoint, 0)

    async def _check_endpoint(self, endpoint: PooledEndpoint, refusals: int) -> None:
        """Raise UserError when an endpoint refuses too many requests one after another.

        If it answers a plain question, the refused rows are at fault, and nothing is raised.
        """
        async with self._checking:
            doubtful = endpoint.refusals > (refusals if endpoint.has_succeeded else 0)
            if doubtful and not await self._passes_health_check(endpoint):
                raise UserError(str(endpoint.refusal))

    async def _check_error(self, endpoint: PooledEndpoint, error: RequestError) -> None:
        """Raise UserError when this error shows that the endpoint, or all of them, will not recover."""
        if isinstance(error, Refusal):
            await self._wait_for_answer()
            await self._check_endpoint(endpoint, MAX_REFUSALS - 1)
        elif error.reason not in SERVER_ALIVE:
            self._pool.raise_if_dead(error)
        else:
            # The run goes on if the failure budget covers all requests that are left.
            over_budget = self._progress.left + self._progress.server_failures.total() > self._failure_budget
            is_dead = over_budget and self._pool.is_dead()
            if endpoint.is_suspect or is_dead:
                endpoint.is_suspect = False
                if not await self._passes_health_check(endpoint) and is_dead:
                    self._pool.raise_if_dead(error)

    def _check_refusals(self) -> None:
        """Raise UserError when the server refuses whatever it is asked: that is not the rows' fault."""
        refused = sum(self._progress.failed[reason] for reason in errors.ROW_ERRORS)
        if refused < MAX_REFUSALS or self._any_answered:
            return
        detail = next(each.detail for each in self._failures.values() if each.failure in errors.ROW_ERRORS)
        raise UserError(
            f"the server refused the first {refused} requests ({detail});"
            " see sampling, max_model_len and args"
        )

    async def _check_share(self) -> None:
        """Raise UserError when the failure budget is used up by reasons that are not the rows' own."""
        progress = self._progress
        count = progress.server_failures.total()
        if count <= self._failure_budget:
            return
        examples = {each.failure: each.detail for each in self._failures.values()}
        top = "; ".join(
            f"{reason} {number} (such as: {examples[reason]})"
            for reason, number in progress.server_failures.most_common()
        )
        what = f"{count} of {progress.total} requests failed, more than max_failed_share allows: {top}."
        async with self._checking:
            if not progress.answered and any([await self._passes_health_check(each) for each in self._pool]):
                unanswered = progress.left + progress.failed.total()
                share = math.ceil(unanswered / progress.total * 10_000) / 10_000
                raise UserError(
                    f"{what} The server answers others, so it is these rows: with max_failed_share {share:g}"
                    " they are rejected"
                )
        raise UserError(f"{what} Run again: only what is missing is asked")


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` in a loop of its own, which SIGTERM ends as Ctrl-C does: first all tasks, then the program.

    A handler of the program's that raises in the middle of a task would leave that task's traceback.
    """
    handler, in_main_thread = signal.getsignal(signal.SIGTERM), current_thread() is main_thread()

    async def main() -> None:
        if in_main_thread:
            cancel = asyncio.current_task().cancel
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, cancel)
        await work

    try:
        with contextlib.suppress(asyncio.CancelledError):
            return asyncio.run(main())
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, handler)
    signal.raise_signal(signal.SIGTERM)
