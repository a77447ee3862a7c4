"""Deterministic sampling by hash: the same on every machine and in every order of the rows."""

import hashlib
import heapq
from collections.abc import Iterable


def hash_names(seed: int, *names: object) -> int:
    """A whole number below 2**64, evenly spread over all names: the first 8 bytes of a sha256."""
    text = "|".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def is_chosen(seed: int, name: str, share: float) -> bool:
    """Whether a name is in the share (0 to 1) that a seed chooses; a larger share keeps all of a smaller."""
    return hash_names(seed, "share", name) < share * 2**64


def choose_part(seed: int, name: str, parts: int) -> int:
    """The part (from 0) that a name is in, of so many of about the same size."""
    return hash_names(seed, "part", name) % parts


def sample_rows(
    seed: int, purpose: str, rows: Iterable[tuple[int, str]], count: int
) -> list[tuple[int, str]]:
    """The `count` rows, each (position, id), with the smallest hashes, in the order of the hashes.

    More rows keep those of fewer. Another `purpose` samples others.
    """
    hashed = ((hash_names(seed, purpose, id_), position, id_) for position, id_ in rows)
    return [(position, id_) for _, position, id_ in heapq.nsmallest(count, hashed)]


def request_seed(seed: int, question_id: str, mode: str, sample: int) -> int:
    """The seed of a request, below 2**31, which every server takes."""
    return hash_names(seed, question_id, mode, sample) >> 33
