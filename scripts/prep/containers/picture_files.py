"""Pictures as files that a column names: looked up in folders and archives, and read one at a time."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from prep.containers.archives import open_archive
from prep.records.reason import Reason, Rejection

PICTURES_BYTES = 256 * 1024 * 1024
"""The most that the pictures of one row may take, so that no archive fills the memory."""


class PictureFiles:
    """The pictures in some folders and archives, by the names that rows have for them.

    A name is a path from `folder`, a path in the archive (of loose files: in the repository). Raises BadShard
    where an archive cannot be read.
    """

    def __init__(self, paths: Sequence[Path], folder: str = "") -> None:
        self._archives = [open_archive(path) for path in paths]
        self._folder = PurePosixPath(folder)
        self._places: dict[str, tuple[int, Any]] = {}
        self._doubled: set[str] = set()
        self._shown = ", ".join(path.name for path in paths[:3]) + (", …" if len(paths) > 3 else "")
        for number, archive in enumerate(self._archives):
            for name, place in archive.list_members():
                name = str(PurePosixPath(name))
                if self._places.setdefault(name, (number, place))[0] != number:
                    self._doubled.add(name)

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
        if whole in self._doubled:
            return Reason.IMAGE_MISSING, f"several archives have a file {whole:.100}"
        if whole not in self._places:
            example = next(iter(self._places), None)
            line = f"there are {len(self._places)}, such as {example:.60}" if example else "there are none"
            return Reason.IMAGE_MISSING, f"no file {whole:.100} in {self._shown}; {line}"
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
