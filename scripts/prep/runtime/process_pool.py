"""Processes that work for a program, and end with it."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any

from prep.runtime.program import Failure


class Killed(Failure):
    """One of a program's processes was killed from outside, or crashed."""


alone: contextlib.AbstractContextManager = threading.Lock()
"""Held by the one of a program's processes that does what takes much memory."""


@contextlib.contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes; they end at once when the block does, or this program, however that comes about.

    Raises Killed when one of them was, or crashed.
    """
    context = get_context("spawn")
    ended, end = context.Pipe(duplex=False)
    try:
        with _Pool(processes, context, _begin, (context.Lock(), ended)) as executor, end:
            yield executor
    except BrokenProcessPool as error:
        line = "one of its processes was killed, perhaps for want of memory; run again, with more of it"
        raise Killed(line) from error


@contextlib.contextmanager
def named_when_out_of_memory(path: str | Path, rule: str) -> Iterator[None]:
    """Say which file a job of `rule` was at when its memory ran out, and which key to raise."""
    try:
        yield
    except (MemoryError, Killed) as error:
        what = "memory ran out" if isinstance(error, MemoryError) else "a process crashed or was killed"
        more = f"give the job more memory (--set-resources {rule}:mem_mb=16000), or more tries (--retries 2)"
        raise Failure(f"{path}: {what}; {more}, each of which gets more") from error


class _Pool(ProcessPoolExecutor):
    """An executor that knows each process it starts: a signal in between would leave one to itself."""

    def submit(self, *args: Any, **kwargs: Any) -> Future:
        with _signals_wait():
            return super().submit(*args, **kwargs)


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """SIGINT and SIGTERM are heard at the end of the block; a process started in it never hears SIGINT.

    Ctrl-C reaches the program's processes as well, and it is the program that ends them.
    """
    heard: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a new process takes over
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in heard:
        signal.raise_signal(number)


def _begin(lock: Lock, ended: Connection) -> None:
    global alone
    alone = lock
    threading.Thread(target=_leave, args=(ended,), daemon=True).start()


def _leave(ended: Connection) -> None:
    """End when the other end of the pipe is closed, which the system does where the program was killed."""
    with contextlib.suppress(EOFError):
        ended.recv_bytes()
    os._exit(1)
