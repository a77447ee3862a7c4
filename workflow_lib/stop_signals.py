"""Signals that end a run, beside Ctrl-C: a closed terminal, and SIGTERM."""

import signal
import threading


def end_at_hangup() -> None:
    """Have a closed terminal (SIGHUP) end a run as Ctrl-C does.

    Jobs on a cluster are cancelled then, and the folder is unlocked. A run under nohup goes on.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def wait_for_locks_at_sigterm() -> None:
    """Call Snakemake's handler of SIGTERM in a thread; its scheduler has set it by the time of `onstart`.

    The handler of Snakemake 9.27 takes a lock that the main thread holds while it chooses jobs and takes in
    failures. Called there, it waited for itself, and the run hung for ever.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler):
        signal.signal(signal.SIGTERM, lambda *call: threading.Thread(target=handler, args=call).start())
