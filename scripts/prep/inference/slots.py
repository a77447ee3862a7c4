"""Counting semaphore over the jobs of a run on one machine: a byte-range lock for each request in flight.

The kernel frees the locks of a process that ends, however it ends. A job that was first keeps its slots as
long as it has requests for them; a second one fills those that the first one's last answers leave.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from prep.serving.server_config import ServerConfig
from prep.serving.workflow_run import find_run, open_lock


class Slots:
    """So many slots as `count`, over all processes that open `path`; once in a process.

    A process frees all of its slots when it closes the file in any way (fcntl(2), advisory record locking).
    """

    def __init__(self, path: Path, count: int):
        self._file = open_lock(path)
        self._free = list(range(count))  # not held by this process
        self._held: list[int] = []

    def hold(self, count: int) -> bool:
        """Hold so many slots; False where other processes have left fewer."""
        while len(self._held) > count:
            slot = self._held.pop()
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, slot)
            self._free.append(slot)
        while len(self._held) < count:
            slot = next((slot for slot in reversed(self._free) if self._try_lock(slot)), None)
            if slot is None:
                return False
            self._free.remove(slot)
            self._held.append(slot)
        return True

    def close(self) -> None:
        """Free all slots."""
        os.close(self._file)

    def _try_lock(self, slot: int) -> bool:
        with contextlib.suppress(BlockingIOError, PermissionError):
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            return True
        return False


def take_place(config: ServerConfig) -> int:
    """Take the first free place, from 0, among the jobs that ask the server, until the process ends."""
    run, place = find_run(), 0
    while run and not Slots(run.folder / f"place-{config.name}-{place}", 1).hold(1):
        place += 1
    return place


def open_slots(config: ServerConfig) -> Slots | None:
    """The slots that the jobs of a server share; None where it has no fixed number, or a job is alone."""
    run = None if config.concurrency == "auto" else find_run()
    return run and Slots(run.folder / f"slots-{config.name}", config.concurrency)
