"""Worker process with a limit of CPU time per call: the kernel ends one that exceeds it, and another starts.

A pool cannot do this: it has no way to end one worker, and neither a thread nor a signal handler ends a call
that hangs in compiled code or catches every exception. It is CPU time: a busy machine must change no result.
"""

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Self

from prep.runtime.process_pool import WorkerKilled
from prep.runtime.program import UserError

FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP}
"""Exit codes of a process that another one killed, or the kernel when memory ran out: no call does that."""
EXIT_TIMEOUT_S = 60
START_TIMEOUT_S = 600
STALLED_AFTER_S = 600
"""So long a call may take by the clock: it waits for something that does not come."""


class ChildProcess:
    """Calls one function in a process of its own, which starts with the first call, by `prepare`.

    Both are functions of modules. What only they need, they import themselves.
    """

    def __init__(self, function: Callable[..., Any], prepare: Callable[[], None], cpu_seconds: float):
        self._arguments = function, prepare, cpu_seconds
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def call(self, *arguments: Any) -> Any | None:
        """What the function returns; None where it took too long, or its process died of it.

        Raises UserError where the process cannot start, WorkerKilled where it was killed from outside.
        """
        if self._process is None:
            self._start()
        with contextlib.suppress(EOFError, OSError):
            self._pipe.send(arguments)
            if not self._pipe.poll(STALLED_AFTER_S):
                self._stop()
                return None
            return self._pipe.recv()
        self._process.join(EXIT_TIMEOUT_S)
        code = self._process.exitcode
        self._stop()
        if code in FROM_OUTSIDE:
            line = f"a process was killed (signal {-code}), perhaps because memory ran out"
            raise WorkerKilled(f"{line}; run again with more memory")
        return None

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        error = "it ended"
        with contextlib.suppress(EOFError, OSError):
            error = self._pipe.recv() if self._pipe.poll(START_TIMEOUT_S) else "it took too long"
        if error:
            self._stop()
            raise UserError(f"the process for {self._arguments[0].__name__} did not start: {error}")

    def _stop(self) -> None:
        if self._process is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = self._pipe = None


def _serve(
    pipe: Connection, function: Callable[..., Any], prepare: Callable[[], None], cpu_seconds: float
) -> None:
    """Answer calls until the pipe is closed, which it is, too, when the program is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the program, which ends this
    try:
        prepare()
    except BaseException as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    pipe.send("")
    calls: deque[tuple[Any, ...]] = deque()
    due = threading.Semaphore(0)

    def read() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                calls.append(pipe.recv())
                due.release()
        os._exit(0)  # also in the middle of a call

    threading.Thread(target=read, daemon=True).start()
    while True:
        due.acquire()
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        result = function(*calls.popleft())
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(result)
