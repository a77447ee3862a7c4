"""Loose pictures of a dataset repository as an archive: each file is read where it is."""

from collections.abc import Iterator, Sequence

from prep.containers.archives import check_size
from prep.hub.dataset import Dataset
from prep.hub.listing import HubFile
from prep.records.reason import Rejection


class LooseFiles:
    """Some files of a repository by their paths there (see prep.containers.archives.Archive)."""

    sha256 = ""

    def __init__(self, dataset: Dataset, commit: str | None, files: Sequence[HubFile]) -> None:
        self.name = dataset.repo
        self._dataset, self._commit, self._files = dataset, commit, files

    def list_members(self) -> Iterator[tuple[str, HubFile]]:
        return ((file.path, file) for file in self._files)

    def read(self, place: HubFile, limit: int) -> bytes | Rejection:
        return check_size(place.bytes, limit) or self._dataset.tail(self._commit, place, place.bytes)
