"""How long a command takes from its start to its end, and how much memory it and its children hold."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from prep.runtime.program import UserError

INTERVAL = 0.03
"""Seconds between two looks at the memory, at least: short programs have short peaks."""
SHARE = 0.05
"""Of a core, at most, that looking may take: the more memory, the longer the look."""


@dataclass(frozen=True)
class Measured:
    """Wall and CPU time in seconds, and the peak of resident memory in MB (10^6 bytes), children included.

    `peak` is the larger of what the kernel saw of the largest process and what was seen of all together,
    where memory that they share counts once (PSS, https://docs.kernel.org/filesystems/proc.html).
    """

    seconds: float
    peak: float
    cpu: float


def measured(command: Sequence[object], log: Path) -> Measured:
    """Run a command to its end, what it says into `log`; raises UserError when it fails."""
    os.sync()  # what others have still to write is not its to wait for
    seen, ended = [0], threading.Event()
    with log.open("wb") as said:
        start = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=said, stderr=said)
        watch = threading.Thread(target=_watch, args=(process.pid, seen, ended))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watch.join()
    if process.returncode:
        raise UserError(f"{command[0]} failed, see {log}")
    peak = max(usage.ru_maxrss * 1024, *seen) / 1e6
    return Measured(seconds, peak, usage.ru_utime + usage.ru_stime)


def _watch(pid: int, seen: list[int], ended: threading.Event) -> None:
    took = 0.0
    while not ended.wait(max(INTERVAL, took / SHARE)):
        start = time.perf_counter()
        total = 0
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in tree:
            try:
                info = process.memory_full_info()
                total += getattr(info, "pss", info.rss)  # PSS is Linux's alone
            except psutil.NoSuchProcess:
                continue
        seen.append(total)
        took = time.perf_counter() - start
