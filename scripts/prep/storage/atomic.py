"""Atomic writes: write beside the final name, fsync, rename; and checksums of files."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prep.runtime.program import UserError
from prep.storage.parts import part_prefix, remove_abandoned

UMASK = os.umask(0o077)
"""The process's umask. It can only be read by setting it, which is done once, before there are threads."""
os.umask(UMASK)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Give a path beside `path` to write to; when the block ends well, fsync it and rename it.

    When the block raises, the part is removed and `path` is as it was. Parts that killed programs left are
    removed first. Several programs may write the file at once: each has its part, and the last one counts.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path, ".part")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=part_prefix(path), suffix=".part")
    os.close(descriptor)
    part = Path(name)
    try:
        with name_file_in_errors(path):
            yield part
            part.chmod(0o666 & ~UMASK)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def name_file_in_errors(path: str | os.PathLike) -> Iterator[None]:
    """Have an OSError of the block name `path` where it names no file, as those of writing do."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = os.fspath(path)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write JSON that people can read: two spaces, keys in the order given, a last newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


class BrokenFile(UserError, ValueError):
    """A file of ours that is not as it was written; the run that needs it writes it anew."""

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__(f"{path} is broken; delete it, and run again")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file that this project wrote. Raises BrokenFile for one that is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BrokenFile(path) from error


def sha256(path: str | os.PathLike) -> str:
    """The hex sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
