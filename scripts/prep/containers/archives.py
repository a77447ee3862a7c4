"""Random access to the members of zip and tar archives and of folders; size limits against zip bombs.

Nothing is extracted to disk, and nothing of a member is interpreted.
"""

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from prep.records.reason import Reason, Rejection
from prep.storage.parquet import (
    BadShard,
    SourceFile,
    check_not_lfs_pointer,
    explain_broken,
    is_system_error,
)

HEADER_BYTES = 1024 * 1024
"""The most that one header of a tar may take: a name in it is no longer, unless the file is hostile."""

ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those that zipfile decompresses within a limit; no other is read."""


class Archive(Protocol):
    """Files by name."""

    @property
    def sha256(self) -> str:
        """A digest of all that names its files."""

    def list_members(self) -> Iterator[tuple[str, Any]]:
        """The name of each regular file, and where it is, for `read`."""

    def read(self, place: Any, limit: int) -> bytes | Rejection:
        """The bytes of a member, or why it is not read: broken, or more than `limit` bytes."""


def open_archive(path: SourceFile, lazily: bool = False) -> Archive:
    """A folder, or an archive by its ending; raises BadShard where it cannot be read. `lazily`: see Tar."""
    if path.is_dir():
        return Folder(path)
    check_not_lfs_pointer(path)
    kinds = {".zip": Zip, ".tar": partial(Tar, lazily=lazily)}
    if path.suffix.lower() not in kinds:
        raise BadShard(path, f"holds no pictures that can be read: it is none of {', '.join(kinds)}")
    return kinds[path.suffix.lower()](path)


def check_size(size: int, limit: int) -> Rejection | None:
    """Why a member is not read, where it is larger than the limit."""
    return (Reason.IMAGE_TOO_LARGE, f"{size} bytes, limit {limit}") if size > limit else None


class Folder:
    """A folder of files, which may be links."""

    def __init__(self, path: SourceFile) -> None:
        self.path = path
        names = [
            os.path.relpath(os.path.join(folder, file), path)
            for folder, _, files in os.walk(path)
            for file in files
            if file != ".snakemake_timestamp"
        ]
        self._names = sorted(name for name in names if (path / name).is_file())
        lines = (f"{name}\0{(path / name).stat().st_size}" for name in self._names)
        self.sha256 = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()

    def list_members(self) -> Iterator[tuple[str, str]]:
        return ((name, name) for name in self._names)

    def read(self, place: str, limit: int) -> bytes | Rejection:
        with (self.path / place).open("rb") as file:
            return check_size(os.fstat(file.fileno()).st_size, limit) or file.read(limit)


class Zip:
    """A zip archive, with its central directory in memory."""

    def __init__(self, path: SourceFile) -> None:
        with explain_broken(path, lambda: "cannot be opened"):
            self._zip = zipfile.ZipFile(path if isinstance(path, Path) else path.open("rb"))
        digest = hashlib.sha256()
        for member in self._zip.infolist():
            line = f"{member.filename}\0{member.header_offset}\0{member.file_size}\0{member.CRC}\n"
            digest.update(line.encode(errors="surrogateescape"))
        self.sha256 = digest.hexdigest()

    def list_members(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        return ((member.filename, member) for member in self._zip.infolist() if not member.is_dir())

    def read(self, place: zipfile.ZipInfo, limit: int) -> bytes | Rejection:
        if rejection := check_size(place.file_size, limit):
            return rejection
        if place.flag_bits & 1:
            return Reason.IMAGE_UNREADABLE, "encrypted in its zip"
        if place.compress_type not in ZIP_METHODS:
            return (
                Reason.IMAGE_UNREADABLE,
                f"method {place.compress_type} of zip is not read",
            )
        try:
            with self._zip.open(place) as file:
                # A size makes zipfile decompress no more than that, whatever the member holds.
                data = file.read(place.file_size)
        except MemoryError:
            raise
        except Exception as error:  # zipfile and zlib raise many kinds on a broken member
            if is_system_error(error):
                raise
            return Reason.IMAGE_UNREADABLE, f"broken in its zip: {error}"[:200]
        if len(data) < place.file_size:
            return Reason.IMAGE_UNREADABLE, f"cut in its zip: {len(data)} of {place.file_size} bytes"
        return data


class Tar:
    """A tar archive that is not compressed, read by the places of its members.

    It is walked to its end when it is opened, or with `lazily` as far as its members are asked for. BadShard
    is raised where that breaks.
    """

    def __init__(self, path: SourceFile, lazily: bool = False) -> None:
        self._file = path.open("rb")
        self._walk, self._digest = walk_tar(path), hashlib.sha256()
        self._members: list[tuple[str, tuple[int, int]]] = []
        if not lazily:
            self._walk_on()

    @property
    def sha256(self) -> str:
        self._walk_on()
        return self._digest.hexdigest()

    def _walk_on(self) -> None:
        """Walk to the end."""
        for _ in self.list_members():
            pass

    def list_members(self) -> Iterator[tuple[str, tuple[int, int]]]:
        yield from self._members
        for member in self._walk:
            line = f"{member.name}\0{member.offset}\0{member.size}\0{member.mtime}\n"
            self._digest.update(line.encode(errors="surrogateescape"))
            self._members.append((member.name, (member.offset_data, member.size)))
            yield self._members[-1]

    def read(self, place: tuple[int, int], limit: int) -> bytes | Rejection:
        offset, size = place
        self._file.seek(offset)
        return check_size(size, limit) or self._file.read(size)


class _HeaderFile:
    """A file of which at most HEADER_BYTES are read at a time."""

    def __init__(self, path: SourceFile, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > HEADER_BYTES:
            raise BadShard(self._path, f"has a header of {size} bytes")
        return self._file.read(size)


def walk_tar(path: SourceFile) -> Iterator[tarfile.TarInfo]:
    """The regular files of a tar, in order, by their headers alone; none of them stays in memory.

    Raises BadShard where the tar is compressed, cut or broken: tarfile itself takes a broken header that is
    not the first for the end.
    """
    with path.open("rb") as file:
        whole = file.seek(0, os.SEEK_END)
        file.seek(0)
        with explain_broken(path, lambda: "is no tar, or a compressed one, which must be unpacked first"):
            tar = tarfile.open(fileobj=_HeaderFile(path, file), mode="r:")  # noqa: SIM115 (closed with file)
        while True:
            with explain_broken(path, lambda: f"cannot be read from byte {tar.offset}"):
                member = tar.next()
            if member is None:
                break
            tar.members.clear()
            if member.isreg():
                if member.offset_data + member.size > whole:
                    raise BadShard(path, f"is cut within {member.name}")
                if not member.issparse():
                    yield member
        file.seek(min(tar.offset, whole))
        if file.read(tarfile.BLOCKSIZE).strip(b"\0") or tar.offset > whole:
            raise BadShard(path, f"is cut or broken at byte {tar.offset}")
