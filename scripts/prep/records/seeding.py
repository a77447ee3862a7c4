"""Draws that depend on the seed and a name alone: the same on every machine and in every order."""

import hashlib


def number(seed: int, *names: object) -> int:
    """A whole number below 2**64, even over all names: the first 8 bytes of a sha256."""
    text = "|".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def chosen(seed: int, name: str, share: float) -> bool:
    """Whether a name is among the share (0 to 1) of names that a seed chooses; a larger share keeps them."""
    return number(seed, "share", name) < share * 2**64


def request_seed(seed: int, question_id: str, mode: str, sample: int) -> int:
    """A request's seed, below 2**31 as every server takes it."""
    return number(seed, question_id, mode, sample) >> 33
