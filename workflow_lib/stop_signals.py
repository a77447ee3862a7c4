"""Signals that end a run: SIGINT, of Ctrl-C or `kill -INT`; SIGHUP, of a closed terminal; and SIGTERM."""

import contextlib
import signal
import threading
import time
from types import FrameType

import psutil

PATIENCE_S = 5.0
"""After so long a job that still runs did not get the signal that Snakemake got."""


def end_at_signals() -> None:
    """Have SIGINT and SIGHUP end the run and its jobs, also where Snakemake alone gets the signal.

    Snakemake takes SIGINT as an interrupt: it cancels jobs on a cluster, waits for those on this machine, and
    unlocks the folder. SIGHUP does the same then. A run under nohup goes on.
    """
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is default:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    threading.Thread(target=_end_jobs, args=(psutil.Process().children(),), daemon=True).start()
    signal.default_int_handler(number, frame)


def _end_jobs(jobs: list[psutil.Process]) -> None:
    """Terminate the jobs that still run after PATIENCE_S. None is waited for: Snakemake does that."""
    time.sleep(PATIENCE_S)
    for job in set(jobs) & set(psutil.Process().children()):
        with contextlib.suppress(psutil.NoSuchProcess):
            job.terminate()


def wait_for_locks_at_sigterm() -> None:
    """Call Snakemake's handler of SIGTERM in a thread; its scheduler has set it by the time of `onstart`.

    The handler of Snakemake 9.27 takes a lock that the main thread holds while it chooses jobs and takes in
    failures. Called there, it waited for itself, and the run hung for ever.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler):
        signal.signal(signal.SIGTERM, lambda *call: threading.Thread(target=handler, args=call).start())
