"""Append-only journal of finished requests, which all jobs of a server share.

A journal is a folder of `*.jsonl` files. Each process appends to a file of its own and finds what any
process ever wrote: no locks, no mmap, so a shared file system will do. One line is one finished request:

    {"v":1,"key":"<64 hex digits>","record":{…}}

Format and key stand at fixed places, so that opening a folder reads its lines without parsing them
(250,000 lines of 10 kB: 2.5 GB, a few seconds). Lines are never changed and never dropped; where a key
stands twice, the line that was written last counts.
"""

import json
import logging
import os
import re
import secrets
import socket
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from prep.runtime.program import UserError
from prep.storage.atomic import name_file_in_errors

log = logging.getLogger("prep")

VERSION = 1
LINE = re.compile(rb'\{"v":%d,"key":"([0-9a-f]{64})","record":' % VERSION)

CHUNK = 1 << 18  # bytes read at once when a folder is opened
BUFFER = 1 << 14  # bytes read at once when a record is looked up: most lines are shorter
OFFSETS = 1 << 44  # bytes that a file has at most
OPEN_FILES = 64  # kept open for reading: a folder holds a file for each job that ever ran


class Journal(AbstractContextManager):
    """The finished requests under `folder`, which is made if it is missing.

    What other processes append after this one has opened the folder is not seen. Raises UserError when a
    file holds lines of another format.
    """

    def __init__(self, folder: Path):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Names begin with the time, so that a later line for the same key replaces an earlier one.
        self._paths = sorted(self._folder.glob("*.jsonl"))
        self._places: dict[bytes, int] = {}  # digest of a key -> number of its file times OFFSETS + offset
        self._readers: OrderedDict[int, BinaryIO] = OrderedDict()  # by number of the file
        self._own = None
        self._end = 0  # where the next line of our own file begins
        for number, path in enumerate(self._paths):
            self._scan(number, path)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._places

    def __iter__(self) -> Iterator[str]:
        return (key.hex() for key in self._places)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a finished request, or None."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        number, offset = divmod(place, OFFSETS)
        line = self._line(number, offset)
        try:
            return json.loads(line.decode("utf-8", "surrogatepass"))["record"]
        except ValueError as error:
            path = self._paths[number]
            raise UserError(f"{path}: the line at byte {offset} is damaged ({error}); remove it") from error

    def append(self, key: str, record: dict[str, Any]) -> None:
        """Write down a finished request; once this returns, a killed process loses it no more."""
        text = json.dumps(
            {"v": VERSION, "key": key, "record": record}, ensure_ascii=False, separators=(",", ":")
        )
        line = text.encode("utf-8", "surrogatepass") + b"\n"
        if self._own is None:
            self._begin()
        with name_file_in_errors(self._paths[-1]):
            self._own.write(line)
            self._own.flush()
        self._places[bytes.fromhex(key)] = (len(self._paths) - 1) * OFFSETS + self._end
        self._end += len(line)

    def close(self) -> None:
        """Close the files; a closed journal opens them again when it is used."""
        own, self._own = self._own, None
        if own is not None:
            own.close()
        while self._readers:
            self._readers.popitem()[1].close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{when}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._own = (self._folder / name).open("xb")
        self._paths.append(self._folder / name)
        self._end = 0

    def _scan(self, number: int, path: Path) -> None:
        """Take down where each whole line of a file begins."""
        place = number * OFFSETS  # of the first byte of `block`
        rest = b""
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                block = rest + chunk
                # JSON text holds no NUL: one is a hole that a machine's crash left in the file.
                holes = b"\0" in chunk or b"\0" in rest
                begin = 0
                while (end := block.find(b"\n", begin)) >= 0:
                    if holes and block.find(b"\0", begin, end) >= 0:
                        log.warning("%s: a line with a hole is left out, and asked for again", path)
                    else:
                        self._places[_digest(path, block, begin, end)] = place + begin
                    begin = end + 1
                rest = block[begin:]
                place += begin
        if rest:
            log.warning(
                "%s: its last line is torn (%d bytes; a job was killed there, or is writing now); left out",
                path,
                len(rest),
            )

    def _line(self, number: int, offset: int) -> bytes:
        """The line at `offset` of a file, without its end."""
        reader = self._readers.pop(number, None) or self._paths[number].open("rb", BUFFER)
        self._readers[number] = reader
        if len(self._readers) > OPEN_FILES:
            self._readers.popitem(last=False)[1].close()
        reader.seek(offset)
        return reader.readline().removesuffix(b"\n")


def _digest(path: Path, block: bytes, begin: int, end: int) -> bytes:
    """The key of the line at block[begin:end], in bytes; UserError when it is not one of this format."""
    if line := LINE.match(block, begin, end):
        return bytes.fromhex(line[1].decode())
    found = re.match(rb'\{"v": ?(\d+)', block[begin:end])
    if found is None:
        what = "that is not of a journal"
    elif int(found[1]) != VERSION:
        what = f"of journal format {int(found[1])}"
    else:
        what = "that is damaged"
    raise UserError(
        f"{path}: it holds a line {what}; this program reads format {VERSION}."
        " Move the file away (what it holds is then asked again), or use the version that wrote it"
    )
