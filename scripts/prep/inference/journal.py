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
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator
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
        # Where the line of each key is. A dict takes three times the memory: 150 bytes a key.
        self._index = sqlite3.connect(":memory:", isolation_level=None)
        self._index.execute(
            "CREATE TABLE lines (key BLOB PRIMARY KEY, file INTEGER, offset INTEGER) WITHOUT ROWID"
        )
        self._readers: OrderedDict[int, BinaryIO] = OrderedDict()  # by number of the file
        self._own = None
        self._end = 0  # where the next line of our own file begins
        with self._index:
            self._index.execute("BEGIN")
            for number, path in enumerate(self._paths):
                self._add_lines((key, number, offset) for key, offset in _scan(path))

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Keys in the order of their lines, so that their records are read one after another."""
        return (key.hex() for (key,) in self._index.execute("SELECT key FROM lines ORDER BY file, offset"))

    def __len__(self) -> int:
        return self._index.execute("SELECT count(*) FROM lines").fetchone()[0]

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a finished request, or None."""
        place = self._find(key)
        if place is None:
            return None
        number, offset = place
        line = self._line(number, offset)
        try:
            record = json.loads(line.decode("utf-8", "surrogatepass"))["record"]
        except (ValueError, RecursionError) as error:
            raise self.describe_damage(key, str(error)) from error
        if not isinstance(record, dict):
            raise self.describe_damage(key, "it is no object")
        return record

    def describe_damage(self, key: str, why: str) -> UserError:
        """The error of a line whose record cannot be used."""
        number, offset = self._find(key)
        return UserError(f"{self._paths[number]}: the line at byte {offset} is damaged ({why}); remove it")

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
        self._add_lines([(bytes.fromhex(key), len(self._paths) - 1, self._end)])
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

    def _find(self, key: str) -> tuple[int, int] | None:
        """The number of the file and the offset of a key's line."""
        found = self._index.execute("SELECT file, offset FROM lines WHERE key = ?", [bytes.fromhex(key)])
        return found.fetchone()

    def _add_lines(self, lines: Iterable[tuple[bytes, int, int]]) -> None:
        """Index lines by key, number of the file and offset; a later line replaces an earlier one."""
        self._index.executemany("INSERT OR REPLACE INTO lines VALUES (?, ?, ?)", lines)

    def _line(self, number: int, offset: int) -> bytes:
        """The line at `offset` of a file, without its end."""
        reader = self._readers.pop(number, None) or self._paths[number].open("rb", BUFFER)
        self._readers[number] = reader
        if len(self._readers) > OPEN_FILES:
            self._readers.popitem(last=False)[1].close()
        reader.seek(offset)
        return reader.readline().removesuffix(b"\n")


def _scan(path: Path) -> Iterator[tuple[bytes, int]]:
    """The key and the offset of each whole line of a file."""
    offset = 0  # of the first byte of `block`
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
                    yield _parse_key(path, block, begin, end), offset + begin
                begin = end + 1
            rest = block[begin:]
            offset += begin
    if rest:
        log.warning(
            "%s: its last line is torn (%d bytes; a job was killed there, or is writing now); left out",
            path,
            len(rest),
        )


def _parse_key(path: Path, block: bytes, begin: int, end: int) -> bytes:
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
