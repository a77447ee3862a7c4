"""Content-defined chunking with a gear hash, as the Hugging Face hub deduplicates what is uploaded.

The hub (https://huggingface.co/docs/xet/chunking) cuts a file where the hash of the last bytes has 16 leading
zero bits: at 64 kB on average, at least 8 kB and at most 128 kB. A chunk that it has is not sent again. Its
table of random numbers is another, which moves the cuts and not their statistics.
"""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SMALLEST, LARGEST = 8 * 1024, 128 * 1024
MASK = np.uint64(0xFFFF << 48)
WINDOW = 64
"""Bytes that the hash depends on: each is shifted left once by every byte that follows."""
BLOCK = 1 << 22
TABLE = np.array([random.Random(0x6EA2 + byte).getrandbits(64) for byte in range(256)], np.uint64)


def find_cuts(data: bytes) -> Iterator[int]:
    """The positions after which the gear hash allows a cut, ascending."""
    for start in range(0, len(data), BLOCK):
        head = max(0, start - WINDOW + 1)
        gears = TABLE[np.frombuffer(data, np.uint8, min(BLOCK, len(data) - start) + start - head, head)]
        # h(n) is the sum of gear(n - k) << k: doubling the window sums 64 of them in six steps.
        width = 1
        while width < WINDOW:
            gears[width:] += gears[:-width] << np.uint64(width)
            width *= 2
        found = head + np.flatnonzero(gears & MASK == 0)
        yield from (found[found >= start] + 1).tolist()


def cut_chunks(data: bytes) -> Iterator[bytes]:
    """The chunks of a file."""
    start = 0
    for cut in [*find_cuts(data), len(data)]:
        while cut - start > LARGEST:
            yield data[start : start + LARGEST]
            start += LARGEST
        if cut - start >= SMALLEST or (cut == len(data) and cut > start):
            yield data[start:cut]
            start = cut


def measure_upload(old: Path, new: Path) -> float:
    """The share of a new file's bytes whose chunks the old one does not have."""
    known = {hashlib.sha256(chunk).digest() for chunk in cut_chunks(old.read_bytes())}
    size = missing = 0
    for chunk in cut_chunks(new.read_bytes()):
        size += len(chunk)
        missing += len(chunk) * (hashlib.sha256(chunk).digest() not in known)
    return missing / size
