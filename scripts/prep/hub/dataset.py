"""Datasets of the Hugging Face hub, from the hub itself or from a mirror folder, behind one face.

A mirror is a folder `<org>/<name>/<files>` that is used in place of the network.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Protocol

from prep.runtime.program import Failure
from prep.storage import atomic


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset repository: its path there, its bytes, and its sha256 where that is known.

    Without bytes it is a name that leads to no file: a dangling link of a mirror.
    """

    path: str
    bytes: int | None
    sha256: str | None


class Dataset(Protocol):
    """What programs ask of a dataset repository; a commit is 40 hex digits, or None in a mirror."""

    repo: str

    def commit(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit names."""

    def files(self, commit: str | None, patterns: list[str]) -> list[HubFile]:
        """The files of the glob patterns, by path."""

    def sha256(self, commit: str | None, file: HubFile) -> str:
        """The hex sha256 of a file that is listed without one."""

    def tail(self, commit: str | None, file: HubFile, length: int) -> bytes:
        """The last bytes of a file, without the rest; all of it when it is no longer than that."""

    def fetch(self, commit: str | None, file: HubFile, to: Path) -> None:
        """Put the file at `to`, whole and as it was listed, or fail."""


def matches(path: str, pattern: str) -> bool:
    """Whether a path is of a glob pattern, part by part (`*` stays within a folder)."""
    parts, globs = PurePosixPath(path).parts, PurePosixPath(pattern).parts
    return len(parts) == len(globs) and all(map(fnmatchcase, parts, globs))


def folder_of(patterns: list[str]) -> str:
    """The one folder that all patterns are in, so that no more of a repository is listed; "" is the root."""
    folders = {str(PurePosixPath(pattern).parent) for pattern in patterns}
    folder = folders.pop() if len(folders) == 1 else "."
    return "" if folder == "." or set(folder) & set("*?[") else folder


def size(path: Path) -> int | None:
    """The bytes of a regular file; None where there is none, as behind a dangling link."""
    return path.stat().st_size if path.is_file() else None


class Mirror:
    """A folder in place of the hub; its files have no commit, and their sha256 is taken by reading them."""

    def __init__(self, folder: Path, repo: str) -> None:
        self.repo = repo
        self.root = folder / repo
        if not self.root.is_dir():
            raise Failure(f"{repo}: no folder {self.root} in the mirror; check hub.mirror and the name")

    def commit(self, revision: str) -> None:
        """A mirror knows no commits."""

    def files(self, commit: None, patterns: list[str]) -> list[HubFile]:
        found = {path for pattern in patterns for path in self.root.glob(pattern) if not path.is_dir()}
        sizes = {path.relative_to(self.root).as_posix(): size(path) for path in found}
        for path in sizes:
            if path != path.encode(errors="replace").decode():
                raise Failure(f"{self.root}: the name {path!a} is not UTF-8; rename the file")
        return [
            HubFile(path, size, None)
            for path, size in sorted(sizes.items())
            if any(matches(path, pattern) for pattern in patterns)
        ]

    def sha256(self, commit: None, file: HubFile) -> str:
        return atomic.sha256(self.root / file.path)

    def tail(self, commit: None, file: HubFile, length: int) -> bytes:
        with (self.root / file.path).open("rb") as source:
            source.seek(max(file.bytes - length, 0))
            return source.read()

    def fetch(self, commit: None, file: HubFile, to: Path) -> None:
        """Link the file to `to`; nothing is copied, and the mirror is only read."""
        source = (self.root / file.path).resolve()
        if not source.is_file() or source.stat().st_size != file.bytes:
            raise Failure(f"{self.root / file.path} is gone or changed since it was listed; run again")
        to.parent.mkdir(parents=True, exist_ok=True)
        link = to.with_name(f".{to.name}.link")
        link.unlink(missing_ok=True)
        link.symlink_to(source)
        link.replace(to)


def open_dataset(repo: str, mirror: str | None, endpoint: str | None, keep: bool = False) -> Dataset:
    """A dataset repository, from the mirror where there is one; `keep`: see Remote."""
    if mirror:
        return Mirror(Path(mirror), repo)
    # The hub's client takes longer to import than a mirrored shard to link.
    from prep.hub.remote import Remote

    return Remote(endpoint, repo, keep=keep)
