"""Lookup of journal lines by the row that was asked about: a search of the files, without an index.

A record begins with the id of the row. Lines of early versions, which do not, are not found.
"""

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from prep.inference.journal import LINE

RECORD = '"record":'


class Entry(NamedTuple):
    """A line of a journal: its file, the byte where it begins, its key, and the record."""

    file: Path
    offset: int
    key: str
    record: dict[str, Any]


def list_files(folder: Path) -> list[Path]:
    """The files of a journal in the order in which they were begun."""
    return sorted(folder.glob("*.jsonl"))


def count_bytes(folder: Path) -> int:
    """How many bytes a search reads."""
    return sum(file.stat().st_size for file in list_files(folder))


def begin_record(id_: str) -> str:
    """How the record of a row begins: what to search for in a line, as far as the id's end."""
    return RECORD + json.dumps({"id": id_}, ensure_ascii=False, separators=(",", ":"))[:-2]


def find_entries(folder: Path, id_prefix: str) -> Iterator[Entry]:
    """The whole lines of requests about rows whose ids begin so, in the order of their files.

    Where a key stands twice, the line that comes last counts.
    """
    wanted = begin_record(id_prefix).encode("utf-8", "surrogatepass")
    for file in list_files(folder):
        with file.open("rb") as opened:
            if not file.stat().st_size:
                continue  # of which there is no map
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield from _scan(file, content, wanted)


def _scan(file: Path, content: mmap.mmap, wanted: bytes) -> Iterator[Entry]:
    at = content.find(wanted)
    while at >= 0:
        start = content.rfind(b"\n", 0, at) + 1
        line = LINE.match(content, start)
        end = content.find(b"\n", at)
        if end < 0:
            return  # torn: a job was killed there, or is writing now
        if line and line.end() == at + len(RECORD):
            record = json.loads(content[line.end() : end - 1].decode("utf-8", "surrogatepass"))
            yield Entry(file, start, line[1].decode(), record)
        at = content.find(wanted, end)
