"""Ask a server for everything that no journal holds: each request is paid for once, and none is lost.

Requests are made as they are sent, answers are journaled as they come, and what `Client.ask` gives comes
from the journal in the order of the requests: a run that was killed goes on where it was, and the order
of arrival leaves no trace.
"""

import asyncio
import random
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from prep import fault as faults
from prep import progress as reports
from prep.answers import Answers
from prep.fault import Fault
from prep.pacing import ANSWERED, Lines
from prep.program import Failure
from prep.progress import Progress
from prep.reason import Reason
from prep.request import Request, Response
from prep.wire import STREAM, time_limit

FIRST_DELAY = 1.0  # seconds before a request is sent again; twice as long after each further fault
LONGEST_DELAY = 30.0
WAITING = 4  # times concurrency: requests begun and unfinished, while others are sent in the place of some
REFUSALS = 50  # so many refused requests and not one answered: it is not the rows


Wait = Callable[[float], Awaitable[None]]
"""Waits so many seconds before a request is sent again."""


class Client:
    """Sends requests to a server, up to `concurrency` at once over all its endpoints.

    Of the settings it reads `name`, `model`, `concurrency`, `max_model_len`, `stall_timeout`, and for
    the time that a request may take (see prep.wire) `request_timeout` and `floor_rate`. An answer that goes
    round in circles for the window of `answers` is stopped (see prep.stream).
    """

    def __init__(self, settings: dict[str, Any], server: Any, answers: Answers, progress: Path):
        self._settings = settings
        self._model: str = settings["model"]
        self._server = server
        self._answers = answers
        self._progress_path = Path(progress)
        self._asking: set[str] = set()  # keys on their way
        self._failures: dict[str, Response] = {}  # by key
        self._bearable = 0.0  # so many may fail for no reason of their own

    def ask(
        self, requests: Callable[[], Iterable[Request]], max_failed_share: float
    ) -> Iterator[tuple[Request, Response]]:
        """Ask what is missing, all of it; then give every request with its response, in order.

        `requests` is called three times (to count, to ask, to give) and must give the same each time.
        Raises Failure when more than `max_failed_share` of them failed for no reason of their own, or
        when the server is of no use; what was answered until then is journaled.
        """
        total = sum(1 for _ in requests())
        self._bearable = max_failed_share * total
        self._asking.clear()
        self._failures.clear()
        progress = Progress(self._progress_path, self._settings, total)
        missing = self._missing(requests(), progress)
        state = "failed"
        try:
            if (first := next(missing, None)) is not None:
                _run(self._ask_all(chain([first], missing), progress))
            state = "done"
        except BaseExceptionGroup as group:
            # One task's error cancels the others: the first is the cause.
            raise group.exceptions[0] from None
        finally:
            progress.mark(state, 0)
            progress.saving()()
            progress.report()
        for request in requests():
            latest = self._answers.latest(request)
            if failed := self._failures.get(self._answers.key(latest)):
                yield request, failed
                continue
            record = self._answers.get(latest)
            if record is None:
                raise RuntimeError(f"{request.id}: requests() gave other requests than before")
            progress.give(request.mode, record)
            yield request, self._answers.response(record)
        progress.saving()()

    def _missing(self, requests: Iterable[Request], progress: Progress) -> Iterator[Request]:
        """Those to send: they have no answer and are not on their way."""
        for request in requests:
            latest = self._answers.latest(request)
            key = self._answers.key(latest)
            if key in self._asking or key in self._failures or self._answers.known(latest):
                progress.from_journal += 1  # the same request once more gets the same answer
            else:
                self._asking.add(key)
                yield request

    async def _ask_all(self, missing: Iterator[Request], progress: Progress) -> None:
        """Send what is missing, `concurrency` at once, until all has an answer or has failed."""
        most = self._settings["concurrency"]
        lines = Lines(self._server, most)
        workers: set[asyncio.Task] = set()
        waiting = 0

        def begin() -> None:
            worker = group.create_task(work())
            workers.add(worker)
            worker.add_done_callback(workers.discard)

        async def work() -> None:
            for request in missing:
                await self._finish(request, lines, progress, wait)
                _check_share(self._failures, progress, self._bearable)
                _check_refusals(self._failures, progress)
                if len(workers) - waiting > most:
                    return

        async def wait(seconds: float) -> None:
            """Wait before a request is sent again; others meanwhile show whether it is the server's fault."""
            nonlocal waiting
            waiting += 1
            if len(workers) < WAITING * most:
                begin()
            await asyncio.sleep(seconds)
            waiting -= 1

        async def watch() -> None:
            while True:
                progress.mark("running", lines.in_flight)
                await asyncio.to_thread(progress.saving())  # a shared file system may take its time
                await asyncio.sleep(reports.EVERY)

        async def tell() -> None:
            while True:
                await asyncio.sleep(reports.TOLD)
                progress.report()
                await lines.renew()  # a server that was away may be back

        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(watch())]
                await lines.renew()
                beside.append(group.create_task(tell()))
                for _ in range(most):
                    begin()
                while workers:
                    await asyncio.wait(workers)
                for task in beside:
                    task.cancel()
        finally:
            await lines.close()

    async def _finish(self, request: Request, lines: Lines, progress: Progress, wait: Wait) -> None:
        """See one request to its end: an answer in the journal, or a failure."""
        asked = []
        try:
            while True:
                asked.append(self._answers.latest(request))
                self._asking.add(self._answers.key(asked[-1]))
                answer = await self._answer(asked[-1], lines, progress, wait)
                self._answers.keep(asked[-1], answer)
                if self._answers.latest(request).budget == asked[-1].budget:
                    break
                progress.again(Reason.LENGTH, answer)  # once, with a larger budget
        except Fault as fault:
            failed = Response("", None, None, fault.reason, fault.detail)
            self._failures[self._answers.key(asked[-1])] = failed
            progress.failed[fault.reason] += 1
        else:
            progress.answer(answer)
        self._asking.difference_update(map(self._answers.key, asked))

    async def _answer(self, request: Request, lines: Lines, progress: Progress, wait: Wait) -> dict[str, Any]:
        """The answer to a request; raises the last Fault when there was none too often."""
        limit, stall = time_limit(self._settings, request.budget), self._settings["stall_timeout"]
        how = STREAM if stall or self._answers.window else {}
        met: Counter[Reason] = Counter()
        failed = None  # when it failed
        while True:
            body = request.body(self._model, **how)
            line, sent = await lines.take()
            try:
                answer = faults.read(await line.wire.post(body, limit, stall, self._answers.window))
            except Fault as caught:
                fault = caught
                failed = lines.failed(line, fault, sent, failed)
                # A server that is there may fail all that is left, if that is no more than may fail.
                if fault.reason not in ANSWERED or progress.left + _failed(progress) > self._bearable:
                    lines.check_hope(fault)
            except BaseException:
                line.left()
                raise
            else:
                lines.succeeded(line)
                return answer
            met[fault.reason] += 1
            if fault.reason is Reason.LENGTH and request.budget is not None:
                # The context has less room than the budget: without one, the server gives what there is.
                request = request.with_budget(None)
                progress.again(fault.reason)
                continue
            if met[fault.reason] >= faults.TRIES[fault.reason]:
                raise fault
            progress.again(fault.reason)
            if fault.reason is Reason.TRANSPORT:
                await lines.renew()
            if fault.retry_after is None:  # else the endpoint rests as long as it asked for
                delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (met.total() - 1))
                await wait(delay * random.uniform(0.5, 1))


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` in a loop of its own, which SIGTERM ends as Ctrl-C does: first all tasks, then the program.

    A handler of the program's that raises in the middle of a task would leave that task's traceback.
    """
    handler = signal.getsignal(signal.SIGTERM)
    told = False

    async def main() -> None:
        def tell() -> None:
            nonlocal told
            told = True
            task.cancel()

        task = asyncio.create_task(work)
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tell)
        await task

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        if not told:
            raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    if told:
        signal.raise_signal(signal.SIGTERM)


def _check_refusals(failures: dict[str, Response], progress: Progress) -> None:
    """Raise Failure when the server refuses whatever it is asked: that is not the rows' fault."""
    refused = sum(progress.failed[reason] for reason in faults.OWN)
    if refused < REFUSALS or progress.answered or progress.from_journal:
        return
    detail = next(each.detail for each in failures.values() if each.failure in faults.OWN)
    raise Failure(
        f"the server refused the first {refused} requests ({detail}); see sampling, max_model_len and args"
    )


def _failed(progress: Progress) -> int:
    """How many requests have failed for reasons that are not the row's own."""
    return sum(number for reason, number in progress.failed.items() if reason not in faults.OWN)


def _check_share(failures: dict[str, Response], progress: Progress, bearable: float) -> None:
    """Raise Failure when more requests than bearable have failed for reasons that are not the row's own."""
    count = _failed(progress)
    if count <= bearable:
        return
    examples = {each.failure: each.detail for each in failures.values() if each.failure not in faults.OWN}
    top = "; ".join(
        f"{reason} {number} (such as: {examples[reason]})"
        for reason, number in progress.failed.most_common()
        if reason in examples
    )
    raise Failure(
        f"{count} of {progress.total} requests failed, more than max_failed_share allows: {top}."
        " Run again: only what is missing is asked"
    )
