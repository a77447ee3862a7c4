"""Perceptual hash of pictures: 256 bits of a DCT by Hamming distance, verified by small copies of them."""

import hashlib
import io
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image

from prep.records.image_format import FORMATS

HASH_SIDE, SIDE_PIXELS = 16, 64
"""A picture is scaled to 64x64 grey pixels, of whose DCT the 16x16 lowest frequencies make a bit each."""
WORDS = HASH_SIDE * HASH_SIDE // 64
"""Numbers of 64 bits that hold a hash."""
MAX_DISTANCE = 31
"""Up to so many different bits of 256 two pictures may be the same one (docs/quality.md names the source)."""
MAX_DIFFERENCE = 32
"""The most of 255 by which a colour of two small copies may differ anywhere, where the picture is the same:
drawings with other parts, such as blocks on a grey ground, have near hashes."""
MIN_QUALITY = 50
"""Below, a picture is too plain for its hash to tell it from others (PDQ, hashing.pdf)."""


class Fingerprint(NamedTuple):
    """What pictures are compared by: a hash of WORDS numbers, and a copy of 32x32 RGB pixels."""

    hash: np.ndarray
    copy: bytes


def take_fingerprint(data: bytes) -> Fingerprint:
    """The fingerprint of an encoded picture; raises what Pillow raises.

    A plain picture has the sha256 of its bytes for a hash: it is near to its copies alone, since two such
    digests differ in about 128 bits.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        # A JPEG is decoded at a fraction of its size, twice as fine as what is left of it.
        picture.draft("RGB", (2 * SIDE_PIXELS, 2 * SIDE_PIXELS))
        picture.load()
        if picture.mode in ("P", "PA", "LA", "RGBA", "RGBa", "La") or "transparency" in picture.info:
            picture = _on_white(picture)
        small = picture.convert("RGB").resize(
            (SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS, reducing_gap=2.0
        )
    grey = small.convert("L")
    bits = imagehash.phash(grey, HASH_SIDE, SIDE_PIXELS // HASH_SIDE).hash
    is_plain = measure_quality(np.asarray(grey)) < MIN_QUALITY
    own = hash_bytes(data) if is_plain else np.packbits(bits).view(np.uint64)
    return Fingerprint(own, small.reduce(2).tobytes())


def take_any_fingerprint(data: bytes) -> Fingerprint:
    """The fingerprint of a picture; of one that does not decode, the hash of its bytes and no copy."""
    try:
        return take_fingerprint(data)
    except MemoryError:
        raise
    except Exception:  # decoders raise anything; with `images.check: header` such pictures are kept
        return Fingerprint(hash_bytes(data), b"")


def hash_bytes(data: bytes) -> np.ndarray:
    """The sha256 of some bytes as WORDS numbers: it is near to that of the same bytes alone."""
    return np.frombuffer(hashlib.sha256(data).digest(), np.uint64)


def _on_white(picture: Image.Image) -> Image.Image:
    """A picture with transparent parts as a page shows it: what is hidden does not count."""
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture.convert("RGBA"))
    return ground


def measure_quality(grey: np.ndarray) -> int:
    """How much a picture of 64x64 grey pixels holds, 0 to 100: the sum of its gradients.

    See PDQ's hashing.pdf in https://github.com/facebook/ThreatExchange, "image-domain quality metric".
    """
    values = grey.astype(np.int32) * 100
    steps = sum(int(np.abs(np.diff(values, axis=axis) // 255).sum()) for axis in (0, 1))
    return min(100, steps // 90)


def find_near(hashes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The positions of the hashes (of shape WORDS x n) within MAX_DISTANCE of one, in order."""
    distances = np.zeros(hashes.shape[1], np.uint16)
    for own, word in zip(hashes, wanted, strict=True):
        distances += np.bitwise_count(own ^ word)
    return np.flatnonzero(distances <= MAX_DISTANCE)


def are_alike(one: bytes, other: bytes) -> bool:
    """Whether two small copies are of the same picture: no colour differs by more than MAX_DIFFERENCE."""
    if len(one) != len(other):
        return False
    colours = np.frombuffer(one, np.uint8).astype(np.int16), np.frombuffer(other, np.uint8).astype(np.int16)
    return bool((np.abs(colours[0] - colours[1]) <= MAX_DIFFERENCE).all())
