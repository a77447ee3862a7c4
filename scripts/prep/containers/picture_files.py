"""Pictures as files that a column names: looked up in folders and archives, and read one at a time."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from prep.containers.archives import Archive, Tar, open_archive
from prep.records.reason import Reason, Rejection
from prep.storage.parquet import SourceFile

PICTURES_BYTES = 256 * 1024 * 1024
"""The most that the pictures of one row may take, so that no archive fills the memory."""


class NamedArchive(Archive, Protocol):
    """Files that are in no file or folder, and what they are called together."""

    name: str


class PictureFiles:
    """The pictures in some folders and archives, by the names that rows have for them.

    A name is a path from `folder`, a path in the archive (of loose files: in the repository). Raises BadShard
    where an archive cannot be read. A name that several files have, in one archive or in two, is none's. With
    `lazily` archives are read no further than to the name that is asked for, which is then the first one's:
    `found_early` tells whether that was so for any name.
    """

    def __init__(
        self,
        paths: Sequence[SourceFile],
        folder: str = "",
        loose: NamedArchive | None = None,
        lazily: bool = False,
    ) -> None:
        self._archives: list[Archive] = []
        self._folder = PurePosixPath(folder)
        self._places: dict[str, tuple[int, Any]] = {}
        self._doubled: set[str] = set()
        others = [loose] if loose else []
        names = [each.name for each in (*paths, *others)]
        self._shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        self._count, self._all_listed = len(names), False
        self.found_early = False
        self._listing = self._list(chain((open_archive(path, lazily) for path in paths), others))
        if not lazily:
            self._list_until(None)

    def _list(self, archives: Iterable[Archive]) -> Iterator[None]:
        """Note the places of all files, with a stop wherever more must be read for the next."""
        for number, archive in enumerate(archives):
            self._archives.append(archive)
            for name, place in archive.list_members():
                name = str(PurePosixPath(name))
                if name in self._places:
                    self._doubled.add(name)
                self._places.setdefault(name, (number, place))
                if isinstance(archive, Tar):
                    yield
            self._all_listed = number + 1 == self._count
            yield

    def _list_until(self, wanted: str | None) -> None:
        """Go on with the listing until a name was met (None: to its end)."""
        if wanted not in self._places:
            for _ in self._listing:
                if wanted in self._places:
                    return

    @property
    def sha256(self) -> str:
        """A digest of all that names the files: it changes when an archive is replaced."""
        return hashlib.sha256("".join(archive.sha256 for archive in self._archives).encode()).hexdigest()

    def read(self, name: str, limit: int) -> bytes | Rejection:
        """The bytes of a picture, or why there are none."""
        path = PurePosixPath(name)
        if not name or "\0" in name or path.is_absolute() or ".." in path.parts:
            return Reason.IMAGE_MISSING, f"{name!r:.100} is no path within {self._shown}"
        whole = str(self._folder / path)
        self._list_until(whole)
        if whole in self._doubled:
            return Reason.IMAGE_MISSING, f"several files have the name {whole:.100}"
        if whole not in self._places:
            example = next(iter(self._places), None)
            line = f"there are {len(self._places)}, such as {example:.60}" if example else "there are none"
            return Reason.IMAGE_MISSING, f"no file {whole:.100} in {self._shown}; {line}"
        self.found_early |= not self._all_listed
        number, place = self._places[whole]
        return self._archives[number].read(place, limit)

    def read_all(self, names: Sequence[str]) -> list[tuple[bytes, bytes]] | Rejection:
        """The pictures of a row, each with its name, or why the first that cannot be read cannot."""
        found, left = [], PICTURES_BYTES
        for name in names:
            data = self.read(name, left)
            if isinstance(data, tuple):
                return data
            left -= len(data)
            found.append((data, name.encode(errors="surrogateescape")))
        return found


def open_picture_files(given: Mapping[str, Any] | None) -> PictureFiles | None:
    """The pictures that a part's summary tells of (`files`, `folder`); None where rows hold their own."""
    return PictureFiles([Path(path) for path in given["files"]], given["folder"]) if given else None
