"""Page style, sampled by a hash of seed and id: the same on every machine and in every order."""

import hashlib
from dataclasses import dataclass

from prep.rendering import fonts

PALETTE = (
    ("#ffffff", "#000000"), ("#ffffff", "#1b1b1b"), ("#fdf8ec", "#2a2118"), ("#f4f7fb", "#14233c"),
    ("#f3f8f1", "#16301d"), ("#fbf3f3", "#3a1217"), ("#f2f2f2", "#222222"), ("#eef3f4", "#102a31"),
    ("#fffbe6", "#1d2b53"), ("#f6f1fa", "#2b1644"), ("#1e1f26", "#f2f2ee"), ("#10283a", "#eef6ff"),
)  # fmt: skip
"""Colours of paper and ink. Their contrast of at least 7:1 (WCAG 2.2, 1.4.6) leaves room for a texture."""

TEXTURES = (*["plain"] * 5, "dots", "grid", "ruled")


@dataclass(frozen=True)
class PageStyle:
    """The sampled style of one question's pages; lengths in pixels."""

    paper: str
    ink: str
    texture: str
    face: str
    size: int
    margin: int
    leading: float
    justify: bool
    shape: float
    """Width divided by height that a page of much text tends to."""
    jpeg: int | None
    """JPEG quality; None: PNG."""


def sample_style(seed: int, id: str, smallest: int, largest: int, form: str) -> PageStyle:
    """Sample a style. Font sizes come from the upper half of the range; `form` is png, jpeg or mixed."""
    digest = hashlib.sha256(f"{seed}\n{id}".encode(errors="surrogatepass")).digest()
    share = [byte / 255 for byte in digest]
    is_jpeg = form == "jpeg" or (form == "mixed" and digest[10] % 2 == 1)
    paper, ink = PALETTE[digest[0] % len(PALETTE)]
    return PageStyle(
        paper=paper,
        ink=ink,
        texture=TEXTURES[digest[1] % len(TEXTURES)],
        face=fonts.SERIF if digest[2] % 3 == 0 else fonts.SANS,
        size=largest - round(share[3] * (largest - smallest) / 2),
        margin=14 + digest[4] % 19,
        leading=0.62 + 0.2 * share[5],
        justify=digest[6] % 4 == 0,
        shape=0.9 + 0.9 * share[7],
        jpeg=85 + digest[11] % 11 if is_jpeg else None,
    )
