"""Temporary folders guarded by a file lock, so that folders of killed processes are found and removed.

A killed process cannot remove its folder, but the kernel releases its lock.
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

_PREFIX = f"vlm-data-prep-{socket.gethostname()}-"  # by machine: a file lock may not reach other machines
_LOCK = "lock"


class ScratchFolder:
    """A temporary folder, empty but for its lock. It goes with this object or the interpreter."""

    def __init__(self, purpose: str) -> None:
        """Create the folder, and remove what killed processes left."""
        remove_abandoned()
        self._folder, self._lock = _create(purpose)
        self.path = Path(self._folder.name)


@contextlib.contextmanager
def abandoned_removed() -> Iterator[None]:
    """Remove the folders of processes that were killed within the block, however it ends."""
    try:
        yield
    finally:
        remove_abandoned()


def remove_abandoned() -> None:
    """Remove this user's folders on this machine whose processes are gone."""
    for folder in glob.glob(glob.escape(os.path.join(tempfile.gettempdir(), _PREFIX)) + "*"):
        with contextlib.suppress(OSError):  # in use, or being removed
            status = os.lstat(folder)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                with open(os.path.join(folder, _LOCK), "wb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)


def _create(purpose: str) -> tuple[tempfile.TemporaryDirectory, IO[bytes]]:
    while True:
        # Another process may remove the folder before it is locked.
        folder = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{purpose}-", ignore_cleanup_errors=True)
        with contextlib.suppress(FileNotFoundError):
            lock = open(os.path.join(folder.name, _LOCK), "wb")  # noqa: SIM115
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:
                return folder, lock
        folder.cleanup()  # another process removed it
