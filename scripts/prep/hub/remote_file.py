"""Random access to a file of the hub by range requests: what is read of it is fetched, in blocks, no more."""

import io
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import IO

from prep.runtime.program import UserError

BLOCK = 1024 * 1024
"""Bytes of a request, at least: near places of a file cost one."""

ReadRange = Callable[[int, int], bytes]
"""The bytes of a file from a place to before another."""


class RemotePath:
    """A file of the hub in the place of a path: it has a name, and can be opened to be read.

    Blocks that were fetched stay in memory. Raises UserError where more than `most` bytes would be fetched.
    """

    def __init__(self, path: str, size: int, read_range: ReadRange, most: int) -> None:
        self.name, self.suffix = PurePosixPath(path).name, PurePosixPath(path).suffix
        self.size, self.fetched = size, 0
        self._path, self._read_range, self._most = path, read_range, most
        self._blocks: dict[int, bytes] = {}

    def __str__(self) -> str:
        return self._path

    def is_dir(self) -> bool:
        return False

    def open(self, _mode: str = "rb") -> IO[bytes]:
        return io.BufferedReader(RemoteFile(self))

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`, or to the end of the file."""
        stop = min(stop, self.size)
        if stop <= start:
            return b""
        blocks = range(start // BLOCK, (stop - 1) // BLOCK + 1)
        self._fetch([block for block in blocks if block not in self._blocks])
        data = b"".join(self._blocks[block] for block in blocks)
        return data[start % BLOCK : start % BLOCK + stop - start]

    def _fetch(self, missing: list[int]) -> None:
        """Fetch some blocks; those side by side in one request."""
        while missing:
            run = [block for number, block in enumerate(missing) if block == missing[0] + number]
            start, stop = run[0] * BLOCK, min((run[-1] + 1) * BLOCK, self.size)
            if self.fetched + stop - start > self._most:
                raise UserError(
                    f"{self}: more than {self._most // 1_000_000} MB of it would have to be fetched"
                )
            data = self._read_range(start, stop)
            self.fetched += len(data)
            for number, block in enumerate(run):
                self._blocks[block] = data[number * BLOCK : (number + 1) * BLOCK]
            missing = missing[len(run) :]


class RemoteFile(io.RawIOBase):
    """A RemotePath that is open to be read, with a place of its own."""

    def __init__(self, path: RemotePath) -> None:
        self._path, self._place = path, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._path.size}
        self._place = max(0, starts[whence] + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:
        data = self._path.read(self._place, self._place + len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
