"""Processes that work for a program, and end with it."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Lock

from prep.program import Failure

alone: contextlib.AbstractContextManager = threading.Lock()
"""Held by the one of a program's processes that does what takes much memory."""


@contextlib.contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes; they end at once when the block does, or this program, however that comes about.

    Raises Failure when one of them was killed from outside.
    """
    context = get_context("spawn")
    ended, end = context.Pipe(duplex=False)
    try:
        with ProcessPoolExecutor(processes, context, _begin, (context.Lock(), ended)) as executor, end:
            yield executor
    except BrokenProcessPool as error:
        line = "one of its processes was killed, perhaps for want of memory; run again, with more of it"
        raise Failure(line) from error


def _begin(lock: Lock, ended: Connection) -> None:
    global alone
    alone = lock
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the program too, which ends the block
    threading.Thread(target=_leave, args=(ended,), daemon=True).start()


def _leave(ended: Connection) -> None:
    """End when the other end of the pipe is closed, which the system does where the program was killed."""
    with contextlib.suppress(EOFError):
        ended.recv_bytes()
    os._exit(1)
