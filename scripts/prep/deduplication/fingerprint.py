"""Fingerprints of training rows: digests by which duplicates are counted, within and between artifacts."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from prep.deduplication.duplicates import hash_text
from prep.deduplication.picture_hash import hash_bytes, take_any_fingerprint
from prep.deduplication.text_similarity import normalize_text

KINDS = ("bytes", "look", "row")
"""What rows may share: the bytes of their pictures, how these look, or both look and text."""
FINGERPRINTS = pa.schema([(kind, pa.uint64()) for kind in KINDS])
"""A row's digests, 64 bits each."""
SHOWN = 3
"""Pairs of rows that are named of each artifact."""


def take_fingerprint(row: dict) -> dict[str, int]:
    """The row of FINGERPRINTS of a training row: of its pictures in order (one at least), and all its turns.

    Pictures look the same whose perceptual hashes are equal in every bit (see picture_hash): copies that were
    scaled or compressed anew mostly do.
    """
    pictures = [image["bytes"] for image in row["images"]]
    own = b"".join(hash_bytes(data).tobytes() for data in pictures)
    look = b"".join(take_any_fingerprint(data).hash.tobytes() for data in pictures)
    text = normalize_text("\n".join(message["content"] for message in row["messages"]))
    return {
        "bytes": _digest(own),
        "look": _digest(look),
        "row": _digest(look + hash_text(text).to_bytes(8, "little")),
    }


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def count_repeats(columns: Mapping[str, Sequence[np.ndarray]], artifacts: Sequence[str]) -> dict[str, Any]:
    """How many rows of each artifact repeat an earlier one: of its own (`within`), or of others before it.

    `columns` are the digests of each kind, one array for each artifact, in order. A row repeats the first one
    with the same digest. `pairs` are the positions of some rows of the last kind, with the artifact and the
    position of the row that each repeats.
    """
    found: dict[str, Any] = {name: {"rows": 0, "repeats": {}, "pairs": []} for name in artifacts}
    for kind, parts in columns.items():
        starts = np.cumsum([0, *map(len, parts)])
        for name, part in zip(artifacts, parts, strict=True):
            found[name]["rows"] = len(part)
        joined = np.concatenate(parts) if parts else np.empty(0, np.uint64)
        _, first, group = np.unique(joined, return_index=True, return_inverse=True)
        of = first[group]  # of each row the first that is the same
        repeated = np.flatnonzero(of != np.arange(len(joined)))
        own = np.searchsorted(starts, repeated, side="right") - 1
        others = np.searchsorted(starts, of[repeated], side="right") - 1
        for number, name in enumerate(artifacts):
            earlier = np.bincount(others[own == number], minlength=len(artifacts))
            of_others = {artifacts[at]: int(earlier[at]) for at in np.flatnonzero(earlier) if at != number}
            found[name]["repeats"][kind] = {"within": int(earlier[number]), "of_others": of_others}
            if kind == KINDS[-1]:
                rows = repeated[own == number][:SHOWN]
                found[name]["pairs"] = [
                    {
                        "row": int(row - starts[number]),
                        "of": artifacts[other],
                        "of_row": int(of[row] - starts[other]),
                    }
                    for row, other in zip(rows, others[own == number], strict=False)
                ]
    return found
