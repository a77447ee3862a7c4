"""Listed files of a dataset repository, and the glob patterns that choose them."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset repository: its path there, its bytes, and its sha256 where that is known.

    Without bytes it is a name that leads to no file: a dangling link of a mirror.
    """

    path: str
    bytes: int | None
    sha256: str | None


def matches_any(path: str, patterns: list[str]) -> bool:
    """Whether a path matches a glob pattern, part by part (`*` stays within a folder)."""
    parts = PurePosixPath(path).parts
    globs = [PurePosixPath(pattern).parts for pattern in patterns]
    return any(len(parts) == len(glob) and all(map(fnmatchcase, parts, glob)) for glob in globs)


def is_path_within(path: str) -> bool:
    """Whether a path stays within the folder that it starts in, and a file system and UTF-8 can hold it."""
    whole = path == path.encode(errors="replace").decode() and "\0" not in path
    return whole and not any(part in ("", ".", "..") for part in path.split("/"))


def find_folder(patterns: list[str]) -> str:
    """The one folder that all patterns are in, so that no more of a repository is listed; "" is the root."""
    folders = {str(PurePosixPath(pattern).parent) for pattern in patterns}
    folder = folders.pop() if len(folders) == 1 else "."
    return "" if folder == "." or set(folder) & set("*?[") else folder
