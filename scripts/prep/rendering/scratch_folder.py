"""Temporary folders with a lock, by which those of killed processes are found and removed.

A process that is killed cannot remove its folder, but the system releases its lock.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_PREFIX = f"vlm-data-prep-{socket.gethostname()}-"  # of this machine alone: locks may not reach others
_LOCK = "lock"


class ScratchFolder:
    """A folder of this process, empty but for its lock; it is removed with this object or the interpreter."""

    def __init__(self, purpose: str) -> None:
        """Make it in the temporary folder, and remove what killed processes have left there."""
        remove_abandoned()
        self._folder, self._lock = _create(purpose)
        self.path = Path(self._folder.name)


@contextlib.contextmanager
def swept() -> Iterator[None]:
    """Remove the folders of processes that were ended in the block, however it ends."""
    try:
        yield
    finally:
        remove_abandoned()


def remove_abandoned() -> None:
    """Remove this user's folders whose processes are gone, on this machine."""
    for folder in glob.glob(glob.escape(os.path.join(tempfile.gettempdir(), _PREFIX)) + "*"):
        with contextlib.suppress(OSError):  # it is in use, or is being removed
            status = os.lstat(folder)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                with open(os.path.join(folder, _LOCK), "wb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)


def _create(purpose: str) -> tuple[tempfile.TemporaryDirectory, IO[bytes]]:
    while True:
        # What another process removes at the same time is no error.
        folder = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{purpose}-", ignore_cleanup_errors=True)
        with contextlib.suppress(FileNotFoundError):
            lock = open(os.path.join(folder.name, _LOCK), "wb")  # noqa: SIM115
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:
                return folder, lock
        folder.cleanup()  # another process removed it before it was locked
