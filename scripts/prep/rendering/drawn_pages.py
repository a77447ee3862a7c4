"""Cache of drawn pages: the training rows that the last build wrote for the same batch."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from prep.storage import atomic

log = logging.getLogger("prep")

KEY = "pages"
"""The key of the file's metadata: what decided the pages, what is literal on them by the row's id, and a sum
of each row's pages in the order of rows. A file may be damaged and still be read."""
BROKEN = (OSError, pa.ArrowException, ValueError, KeyError, TypeError)
"""What reading a file raises that is no whole file of ours."""


class Pages(NamedTuple):
    """The pages of a row as its `images`, and the markup that is shown as literal text, if any."""

    images: list[dict]
    literal: str | None


class DrawnPages:
    """The pages of a batch's rows that were drawn before, by the row's id.

    A row group is in memory at a time. A file that is missing or broken, or whose pages something else
    decided, has none, and pages with another sum are drawn again. `taken` counts the rows whose pages were
    found.
    """

    def __init__(self, path: Path, drawing: str) -> None:
        self._places: dict[str, tuple[int, int, str]] = {}
        self._group = -1
        self.taken = 0
        self._images: list[dict] | pa.ChunkedArray = []
        try:
            self._file = pq.ParquetFile(path)
            about = json.loads(self._file.metadata.metadata[KEY.encode()])
            self._literal = about["literal"]
            if about["drawing"] == drawing:
                self._places = self._find_places(about["sums"])
        except BROKEN:
            return

    def _find_places(self, sums: list[str]) -> dict[str, tuple[int, int, str]]:
        """The row group of each row, its place in it, and the sum of its pages."""
        groups = range(self._file.num_row_groups)
        columns = ((group, self._file.read_row_group(group, ["id"]).column("id")) for group in groups)
        places = [(id_.as_py(), group, row) for group, ids in columns for row, id_ in enumerate(ids)]
        return {id_: (group, row, of) for (id_, group, row), of in zip(places, sums, strict=True)}

    def find(self, id_: str) -> Pages | None:
        """The pages of a row; None where they must be drawn."""
        if id_ not in self._places:
            return None
        group, row, wanted = self._places[id_]
        if group != self._group:
            try:
                self._images = self._file.read_row_group(group, ["images"]).column("images")
            except BROKEN as error:
                log.warning("pages that were drawn before cannot be read and are drawn again: %s", error)
                self._places.clear()
                return None
            self._group = group
        images = self._images[row].as_py()
        if sum_pages(images) != wanted:
            log.warning("%s: its pages were damaged since they were drawn, and are drawn again", id_)
            return None
        self.taken += 1
        return Pages(images, self._literal.get(id_))


def digest_drawing(decided_by: str, questions: Iterable[Path]) -> str:
    """A digest of all that decides the pages of a batch: code, settings and fonts; and its questions."""
    parts = [decided_by, *map(atomic.sha256, questions)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def sum_pages(images: Sequence[dict]) -> str:
    """A digest of a row's pages: 16 hexadecimal digits of BLAKE2b."""
    digest = hashlib.blake2b(digest_size=8)
    for image in images:
        digest.update(image["bytes"])
    return digest.hexdigest()


def describe_drawing(drawing: str, literal: Mapping[str, str], sums: Sequence[str]) -> dict[str, str]:
    """The metadata of a file of rows by which DrawnPages knows its pages; `sums` are of its rows in order."""
    about = {"drawing": drawing, "literal": dict(literal), "sums": list(sums)}
    return {KEY: json.dumps(about, ensure_ascii=False)}
