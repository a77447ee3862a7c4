"""Near-duplicate detection: MinHash with LSH bands, each candidate verified by Jaccard similarity.

Of rows that are the same question the first one is kept; each later one is a duplicate of a kept one.
"""

import hashlib
import zlib
from array import array
from collections.abc import Callable
from typing import IO

import numpy as np
from datasketch import MinHash

from prep.deduplication import picture_hash
from prep.deduplication.text_similarity import list_quantities, list_shingles

BANDS, BAND_HASHES = 14, 8
"""Two texts are compared where all 8 hashes of one of 14 bands are the same (docs/quality.md: the source)."""
MAX_CANDIDATES = 100
"""The most rows that one is compared with: texts from one template may be many, and are no duplicates."""
BATCH_SHINGLES = 4096
"""How many shingles are hashed at a time, which bounds the memory that a long text takes."""

_SKETCH = MinHash(BANDS * BAND_HASHES, seed=1, hashfunc=zlib.crc32, scheme="affine32")

Agree = Callable[[int, int], bool]
"""Whether a row is the same question as an earlier one."""


def hash_text(text: str) -> int:
    """A digest of 64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def list_keys(text: str, how: str) -> list[int]:
    """What a normalized text has in common with its candidates, one at least: its digest; of `near` also its
    bands, which texts with other quantities do not share."""
    keys = [hash_text(text)]
    if how == "near":
        sketch = _SKETCH.copy()
        shingles = [shingle.encode() for shingle in list_shingles(text)]
        for start in range(0, len(shingles), BATCH_SHINGLES):
            sketch.update_batch(shingles[start : start + BATCH_SHINGLES])
        tail = " ".join(list_quantities(text)).encode()
        for band in sketch.hashvalues.reshape(BANDS, BAND_HASHES):
            digest = hashlib.blake2b(band.tobytes() + tail, digest_size=8).digest()
            keys.append(int.from_bytes(digest, "little"))
    return keys


class Rows:
    """What rows are compared by, in a file: 24 bytes of memory a row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._starts = array("Q", [0])

    def append(self, id_: str, text: str, copy: bytes = b"") -> None:
        """Add a row: its id, its text, and the small copy of its picture."""
        for field in (id_.encode(), text.encode(), copy):
            self._file.write(field)
            self._starts.append(self._starts[-1] + len(field))

    def read(self, row: int) -> tuple[str, str, bytes]:
        """The id, the text and the copy of a row."""
        first, *ends = self._starts[3 * row : 3 * row + 4]
        self._file.seek(first)
        data = self._file.read(ends[-1] - first)
        at, end = ends[0] - first, ends[1] - first
        return data[:at].decode(), data[at:end].decode(), data[end:]


def find_twins(keys: np.ndarray, agree: Agree) -> np.ndarray:
    """For each row the kept row that it is a duplicate of, or -1 where it is kept itself.

    `keys` is of shape rows x keys (uint64); rows that share one are candidates, which `agree` decides about.
    """
    earlier = link_earlier(keys)
    twins = np.full(len(keys), -1, np.int32)
    for row in map(int, np.flatnonzero((earlier >= 0).any(axis=0))):
        for link in earlier:
            # Links of rows before this one lead to kept rows alone.
            if link[row] >= 0 and twins[link[row]] >= 0:
                link[row] = link[link[row]]
        candidates = list_candidates(earlier, row)
        twins[row] = next((each for each in candidates if agree(row, each)), -1)
    return twins


def link_earlier(keys: np.ndarray) -> np.ndarray:
    """For each key (first) and row the nearest earlier row with the same one, or -1."""
    earlier = np.full(keys.shape[::-1], -1, np.int32)
    for link, column in zip(earlier, keys.T, strict=True):
        order = np.argsort(column, kind="stable").astype(np.int32)
        same = column[order[1:]] == column[order[:-1]]
        link[order[1:][same]] = order[:-1][same]
    return earlier


def list_candidates(earlier: np.ndarray, row: int) -> list[int]:
    """The kept rows that share a key with a row, the first one first; those of its first key in any case."""
    found: dict[int, None] = {}
    for link in earlier:
        each = int(link[row])
        while each >= 0 and len(found) < MAX_CANDIDATES:
            found[each] = None
            each = int(link[each])
    return sorted(found)


def find_picture_twins(hashes: np.ndarray, agree: Agree) -> np.ndarray:
    """For each row the kept row that it is a duplicate of, or -1 where it is kept itself.

    `hashes` are of pictures, of shape rows x WORDS. Rows whose pictures are near are candidates, which
    `agree` decides about. Each row is compared with all that are kept.
    """
    twins = np.full(len(hashes), -1, np.int32)
    kept, rows = np.empty(hashes.T.shape, np.uint64), array("l")
    for row, own in enumerate(hashes):
        near = picture_hash.find_near(kept[:, : len(rows)], own)
        twins[row] = next((rows[each] for each in near if agree(row, rows[each])), -1)
        if twins[row] < 0:
            kept[:, len(rows)] = own
            rows.append(row)
    return twins
