"""Process pool whose workers end with the program."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any

from prep.runtime.program import UserError


class WorkerKilled(UserError):
    """A worker was killed from outside, or crashed."""


memory_lock: contextlib.AbstractContextManager = threading.Lock()
"""A worker holds it during work that takes much memory: one at a time does such work."""


@contextlib.contextmanager
def open_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of so many worker processes. They end at once with the block, and if the program dies.

    Raises WorkerKilled when a worker was killed, or crashed.
    """
    try:
        with _SafePool(processes) as executor:
            yield executor
    except BrokenProcessPool as error:
        line = "a worker process was killed, perhaps because memory ran out; run again with more memory"
        raise WorkerKilled(line) from error


@contextlib.contextmanager
def explain_out_of_memory(path: str | Path, rule: str) -> Iterator[None]:
    """Turn an out-of-memory error into a UserError that names the file and the resource of `rule`."""
    try:
        yield
    except (MemoryError, WorkerKilled) as error:
        what = "memory ran out" if isinstance(error, MemoryError) else "a process crashed or was killed"
        more = f"give the job more memory (--set-resources {rule}:mem_mb=16000), or more tries (--retries 2)"
        raise UserError(f"{path}: {what}; {more}, each of which gets more") from error


class _SafePool(ProcessPoolExecutor):
    """An executor that ends its workers with its block, and survives a signal or a death at any moment.

    It defers signals while it starts a worker, which a signal in between would orphan. When a worker exits,
    the others end, and the executor's own copy of the results' pipe is closed: the base class would wait for
    ever for the rest of a result that a worker was writing when it was killed.
    """

    def __init__(self, processes: int) -> None:
        context = get_context("spawn")
        ended, end = context.Pipe(duplex=False)
        super().__init__(processes, context, _initialize_worker, (context.Lock(), ended))
        self._connections = (end, self._result_queue._writer)
        self._connections_lock = threading.Lock()
        self._watched: set[int] = set()

    def submit(self, *args: Any, **kwargs: Any) -> Future:
        with _defer_signals(), self._connections_lock:
            if self._connections[0].closed:
                raise BrokenProcessPool("a worker has exited")
            future = super().submit(*args, **kwargs)
            for process in [self._processes[pid] for pid in self._processes.keys() - self._watched]:
                self._watched.add(process.pid)
                threading.Thread(target=self._end_after, args=(process,), daemon=True).start()
        return future

    def __exit__(self, *error: Any) -> bool | None:
        self._end_workers()
        return super().__exit__(*error)

    def _end_after(self, process: BaseProcess) -> None:
        wait([process.sentinel])
        self._end_workers()

    def _end_workers(self) -> None:
        with self._connections_lock:
            for connection in self._connections:
                connection.close()


@contextlib.contextmanager
def _defer_signals() -> Iterator[None]:
    """Handle SIGINT and SIGTERM at the end of the block. A process started in it ignores SIGINT.

    Ctrl-C reaches the workers as well, but the program ends them.
    """
    heard: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in heard:
            signal.raise_signal(number)


def _initialize_worker(lock: Lock, ended: Connection) -> None:
    global memory_lock
    memory_lock = lock
    threading.Thread(target=_exit_with_parent, args=(ended,), daemon=True).start()


def _exit_with_parent(ended: Connection) -> None:
    """Exit when the other end of the pipe is closed; the kernel closes it when the program is killed."""
    with contextlib.suppress(EOFError):
        ended.recv_bytes()
    os._exit(1)
