"""Datasets of the Hugging Face hub: one interface to the hub itself and to a mirror folder."""

from pathlib import Path
from typing import Protocol

from prep.hub.listing import HubFile
from prep.hub.mirror import Mirror
from prep.storage.parquet import SourceFile


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

    def locate(self, commit: str | None, file: HubFile, most: int) -> SourceFile:
        """The file as a path; at the hub one whose bytes are fetched as they are read, `most` of them."""

    def fetch(self, commit: str | None, file: HubFile, to: Path) -> None:
        """Put the file at `to`, whole and as it was listed, or fail."""


def open_dataset(repo: str, mirror: str | None, endpoint: str | None, keep: bool = False) -> Dataset:
    """A dataset repository, from the mirror where there is one; `keep`: see Remote."""
    if mirror:
        return Mirror(Path(mirror), repo)
    # The hub's client takes longer to import than a mirrored shard to link.
    from prep.hub.remote import Remote

    return Remote(endpoint, repo, keep=keep)
