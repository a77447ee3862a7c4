"""The workflow run that a job is of, and what its jobs on one machine share: a folder, and locks on devices.

The workflow names both in a variable of the environment (see workflow_lib/run_folder.py). A job on a cluster,
and a program that is run by hand, has none.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prep.runtime.process_group import identify_process
from prep.runtime.program import UserError

VARIABLE = "VLM_DATA_PREP_RUN"


class WorkflowRun(NamedTuple):
    """A run: its main process, by id and start time, and its folder on this machine."""

    process: str
    folder: Path

    def is_alive(self) -> bool:
        """Whether the main process lives."""
        return identify_process(int(self.process.partition(":")[0])) == self.process

    def make_folder(self) -> None:
        """Make the folder, which only its owner may enter. Raises UserError where another user made it."""
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise UserError(f"{self.folder} is not a folder of ours alone: remove it, or set TMPDIR")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run's lock for a moment."""
        lock = open_lock(self.folder / "lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def find_run() -> WorkflowRun | None:
    """The run that this program is a job of, where it lives on this machine; its folder exists."""
    process, _, folder = os.environ.get(VARIABLE, "").partition(" ")
    if not folder:
        return None
    run = WorkflowRun(process, Path(folder))
    if not run.is_alive():
        return None
    run.make_folder()
    return run


def open_lock(path: Path) -> int:
    """Open a lock file; whoever closes it ends the lock."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def try_lock_devices(folder: Path, devices: list[str] | None) -> list[int]:
    """Lock devices for one server; the descriptors of the locks, or none where another server has a device.

    None locks all: it is not known which ones the server takes. A lock is held until all processes that
    inherited its descriptor have ended, however they end.
    """
    wanted = [("devices", fcntl.LOCK_EX if devices is None else fcntl.LOCK_SH)]
    wanted += [(f"device-{device.replace('/', '_')}", fcntl.LOCK_EX) for device in devices or ()]
    locks = []
    for name, kind in wanted:
        locks.append(open_lock(folder / name))
        try:
            fcntl.flock(locks[-1], kind | fcntl.LOCK_NB)
        except BlockingIOError:
            for lock in locks:
                os.close(lock)
            return []
    return locks
