"""Ask a server for everything that no journal holds: each request is paid for once, and none is lost.

Requests are made as they are sent, answers are journaled as they come, and what `Client.ask` gives comes
from the journal in the order of the requests: a run that was killed goes on where it was, and the order
of arrival leaves no trace.
"""

import asyncio
import hashlib
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import openai

from prep import fault as faults
from prep import progress as reports
from prep.fault import Fault
from prep.journal import Journal
from prep.pacing import Line, Lines
from prep.program import Failure
from prep.progress import Progress
from prep.reason import Reason
from prep.request import Request, Response

FIRST_DELAY = 1.0  # seconds before a request is sent again; twice as long after each further fault
LONGEST_DELAY = 30.0
REFUSALS = 50  # so many refused requests and not one answered: it is not the rows


class Client:
    """Sends requests to a server, up to `concurrency` at once over all its endpoints.

    Of the settings it reads `name`, `model`, `concurrency`, `max_model_len` and `request_timeout`: seconds
    that a request may take from when it is sent to the last byte of its answer, our own queue not
    counted. What the slowest answer needs is its floor: 8,192 tokens at 5 tokens/s are 1,640 s.
    """

    def __init__(self, settings: dict[str, Any], server: Any, journal: Journal, progress: Path):
        self._settings = settings
        self._model: str = settings["model"]
        self._server = server
        self._journal = journal
        self._progress_path = Path(progress)
        self._asking: set[str] = set()  # keys on their way
        self._failures: dict[str, Response] = {}  # by key

    def ask(
        self, requests: Callable[[], Iterable[Request]], max_failed_share: float
    ) -> Iterator[tuple[Request, Response]]:
        """Ask what is missing, all of it; then give every request with its response, in order.

        `requests` is called three times (to count, to ask, to give) and must give the same each time.
        Raises Failure when more than `max_failed_share` of them failed for no reason of their own, or
        when the server is of no use; what was answered until then is journaled.
        """
        total = sum(1 for _ in requests())
        self._asking.clear()
        self._failures.clear()
        progress = Progress(self._progress_path, self._settings, total)
        missing = self._missing(requests(), progress)
        state = "failed"
        try:
            if (first := next(missing, None)) is not None:
                _run(self._ask_all(chain([first], missing), progress, max_failed_share * total))
            state = "done"
        except BaseExceptionGroup as group:
            # One task's error cancels the others: the first is the cause.
            raise group.exceptions[0] from None
        finally:
            progress.report(state, 0)
        for request in requests():
            yield request, self._response(request)

    def _missing(self, requests: Iterable[Request], progress: Progress) -> Iterator[tuple[str, Request]]:
        """Those that have no answer and are not on their way, each with its key."""
        for request in requests:
            key = request.key(self._model)
            if key in self._journal or self._cut(key) is not None:
                progress.from_journal += 1
            elif key in self._asking or key in self._failures:
                progress.from_journal += 1  # the same request once more: it gets the same answer
            else:
                self._asking.add(key)
                yield key, request

    async def _ask_all(
        self, missing: Iterator[tuple[str, Request]], progress: Progress, bearable: float
    ) -> None:
        """Send what is missing, `concurrency` at once, until all has an answer or has failed."""
        lines = Lines(self._server, self._settings["concurrency"])

        async def work() -> None:
            for key, request in missing:
                await self._finish(key, request, lines, progress)
                _check_share(self._failures, progress, bearable)
                _check_refusals(self._failures, progress)

        async def watch() -> None:
            while True:
                await asyncio.sleep(reports.EVERY)
                progress.report("running", lines.in_flight)
                await lines.renew()  # a server that was away may be back

        try:
            await lines.renew()
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(work()) for _ in range(self._settings["concurrency"])]
                watcher = group.create_task(watch())
                await asyncio.wait(workers)
                watcher.cancel()
        finally:
            await lines.close()

    async def _finish(self, key: str, request: Request, lines: Lines, progress: Progress) -> None:
        """See one request to its end: an answer in the journal, or a failure."""
        try:
            answer = await self._answer(request.body(self._model), lines, progress)
        except Fault as fault:
            self._failures[key] = Response("", None, None, fault.reason, fault.detail)
            progress.failed[fault.reason] += 1
        else:
            self._keep(key, request, answer)
            progress.answer(answer)
        self._asking.discard(key)

    async def _answer(self, body: dict[str, Any], lines: Lines, progress: Progress) -> dict[str, Any]:
        """The answer to a body; raises the last Fault when there was none too often."""
        met: Counter[Reason] = Counter()
        while True:
            line, sent = await lines.take()
            try:
                answer = await self._send(line, body)
            except Fault as caught:
                fault = caught
                lines.failed(line, fault, sent)
            except BaseException:
                line.left()
                raise
            else:
                lines.succeeded(line)
                return answer
            met[fault.reason] += 1
            if met[fault.reason] >= faults.TRIES[fault.reason]:
                raise fault
            progress.retry(fault)
            if fault.reason is Reason.TRANSPORT:
                await lines.renew()
            if fault.retry_after is None:  # else the endpoint rests as long as it asked for
                delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (met.total() - 1))
                await asyncio.sleep(delay * random.uniform(0.5, 1))

    async def _send(self, line: Line, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a body that is sent once; raises Fault when there is none."""
        limit = self._settings["request_timeout"]
        try:
            async with asyncio.timeout(limit):
                text = await line.client.post("/chat/completions", cast_to=str, body=body)
        except TimeoutError as error:
            raise Fault(Reason.TIMEOUT, "timeout", f"no answer in {limit} s") from error
        except openai.APIStatusError as error:
            raise faults.of_status(error, self._model) from error
        except openai.APIConnectionError as error:
            raise faults.of_connection(error) from error
        except UnicodeEncodeError as error:
            raise Fault(Reason.BAD_REQUEST, "bad_request", f"cannot be sent: {error}") from error
        return faults.read(text)

    def _keep(self, key: str, request: Request, answer: dict[str, Any]) -> None:
        """Journal an answer."""
        record = {"id": request.id, "max_model_len": self._settings.get("max_model_len"), **answer}
        budget = request.sampling.get("max_tokens")
        by_context = budget is None or answer["tokens"][1] < budget
        if answer["finish_reason"] == "length" and by_context:
            key = _cut_key(key)
        self._journal.append(key, record)

    def _cut(self, key: str) -> dict[str, Any] | None:
        """The answer that the end of the context cut, unless today's context is longer."""
        cut = _cut_key(key)
        record = self._journal.get(cut) if cut in self._journal else None
        then, now = record and record["max_model_len"], self._settings.get("max_model_len")
        return None if then is not None and now is not None and then < now else record

    def _response(self, request: Request) -> Response:
        key = request.key(self._model)
        if key in self._failures:
            return self._failures[key]
        record = self._journal.get(key) or self._cut(key)
        if record is None:
            raise RuntimeError(f"{request.id}: requests() gave other requests than before")
        return Response(record["content"], record["reasoning"], record["finish_reason"])


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


def _cut_key(key: str) -> str:
    """Under which an answer is journaled that the end of the context cut: a longer one may finish it."""
    return hashlib.sha256(f"{key} cut by the context".encode()).hexdigest()


def _check_refusals(failures: dict[str, Response], progress: Progress) -> None:
    """Raise Failure when the server refuses whatever it is asked: that is not the rows' fault."""
    refused = progress.failed[Reason.BAD_REQUEST]
    if refused < REFUSALS or progress.answered or progress.from_journal:
        return
    detail = next(each.detail for each in failures.values() if each.failure is Reason.BAD_REQUEST)
    raise Failure(f"the server refused the first {refused} requests ({detail}); see sampling and args")


def _check_share(failures: dict[str, Response], progress: Progress, bearable: float) -> None:
    """Raise Failure when more requests than bearable have failed for reasons that are not the row's own."""
    count = progress.failed.total() - progress.failed[Reason.BAD_REQUEST]
    if count <= bearable:
        return
    shared = [each for each in failures.values() if each.failure is not Reason.BAD_REQUEST]
    examples = {each.failure: each.detail for each in shared}
    top = "; ".join(
        f"{reason} {number} (such as: {examples[reason]})"
        for reason, number in progress.failed.most_common()
        if reason in examples
    )
    raise Failure(
        f"{count} of {progress.total} requests failed, more than max_failed_share allows: {top}."
        " Run again: only what is missing is asked"
    )
