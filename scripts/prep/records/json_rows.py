"""Streaming reader of JSON Lines and JSON arrays, one row at a time."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO

from prep.records.reason import Reason, Rejection
from prep.storage.parquet import BadShard, SourceFile, check_not_lfs_pointer

CHUNK_BYTES = 1024 * 1024
"""How much of an array is read at a time, at least; while an element grows, as much as is held already."""

_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_NO_STRUCTURE = re.compile(rb'[^"\[\]{},]*+')


def read_rows(path: SourceFile) -> Iterator[dict | Rejection]:
    """Each row of the file, or what is wrong with the row.

    A file whose first character is `[` is an array, whatever its name; else each line that is not blank is a
    row. Raises BadShard where the file as a whole is at fault.
    """
    check_not_lfs_pointer(path)
    with path.open("rb") as file:
        mark = file.read(3)
        if mark.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise BadShard(path, "is UTF-16, and JSON must be UTF-8: convert it")
        start = file.seek(3 if mark == codecs.BOM_UTF8 else 0)
        while (line := file.readline(CHUNK_BYTES)) and not line.strip():
            start = file.tell()
        file.seek(start)
        first = line.strip()
        if first.startswith(b"{") and first.endswith((b"{", b"[")):
            raise BadShard(path, "a JSON object over several lines: neither JSON Lines nor a JSON array")
        if first.startswith(b"[") and not _is_row_of_lines(first, file):
            for number, element in enumerate(split_array(path, file)):
                yield _read_element(path, number, element)
        else:
            yield from (_read_line(line) for line in filter(bytes.strip, file))


def _is_row_of_lines(first: bytes, file: IO[bytes]) -> bool:
    """Whether a first line that begins with `[` is a row of JSON Lines: no object in it, and more lines."""
    start = file.tell()
    file.readline(CHUNK_BYTES)
    more = any(line.strip() for line in iter(lambda: file.readline(CHUNK_BYTES), b""))
    file.seek(start)
    try:
        row = json.loads(first.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return more and not any(isinstance(element, dict) for element in row)


def split_array(path: SourceFile, file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of each element of the array that begins at the file's next `[`.

    Looks at each byte once. A comma too many is an empty element. Raises BadShard where the array does not
    end, or something follows it.
    """
    data = file.read(CHUNK_BYTES)
    position = start = data.index(b"[") + 1  # only blanks are before it
    depth, in_string, number = 0, False, 0
    while True:
        position = (_STRING_REST if in_string else _NO_STRUCTURE).match(data, position).end()
        # What stops a string but no quote is an escape that the chunk's end has cut.
        if position == len(data) or data[position : position + 1] == b"\\":
            data = data[start:]
            position, start = position - start, 0
            chunk = file.read(max(CHUNK_BYTES, len(data)))
            if not chunk:
                line = f"the JSON array does not end: cut, or a quote left open, at element {number}"
                raise BadShard(path, line)
            data += chunk
            continue
        found = data[position : position + 1]
        position += 1
        if found == b'"':
            in_string = not in_string
        elif found in b"[{":
            depth += 1
        elif depth and found in b"]}":
            depth -= 1
        elif not depth and found in b",]":
            element = data[start : position - 1]
            if found == b"," or number or element.strip():
                yield element
            start, number = position, number + 1
            if found == b"]":
                break
    rest = data[position:]
    while rest:
        if rest.strip():
            raise BadShard(path, "there is text after the end of the JSON array")
        rest = file.read(CHUNK_BYTES)


def _read_element(path: SourceFile, number: int, element: bytes) -> dict | Rejection:
    """An element, or what is wrong with it; raises BadShard if nobody can tell where the next one begins."""
    if not element.strip():
        return Reason.QUESTION_INVALID, "an empty element: a comma too many"
    row = _parse_object(element)
    if isinstance(row, dict):
        return row
    try:
        json.loads(element.decode(errors="replace"), strict=False)
    except json.JSONDecodeError as error:
        raise BadShard(path, f"element {number} of the JSON array is not JSON", str(error)) from error
    except (ValueError, RecursionError):
        pass  # it is JSON, but Python cannot hold it: this row's fault alone
    return row


def _read_line(line: bytes) -> dict | Rejection:
    row, stripped = _parse_object(line), line.strip()
    if stripped.endswith(b",") and isinstance(_parse_object(stripped[:-1]), dict):
        return Reason.QUESTION_INVALID, "not JSON: a comma after the object"
    return row


def _parse_object(text: bytes) -> dict | Rejection:
    try:
        row = json.loads(text.decode())
    except UnicodeDecodeError as error:
        return Reason.TEXT_NOT_UTF8, str(error)[-200:]
    except (ValueError, RecursionError) as error:
        return Reason.QUESTION_INVALID, f"not JSON: {error}"[:200]
    return row if isinstance(row, dict) else (Reason.QUESTION_INVALID, "not a JSON object")
