"""Page style, sampled by a hash of seed and id: the same on every machine and in every order."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

PALETTE = (
    ("#ffffff", "#000000"), ("#ffffff", "#1b1b1b"), ("#fdf8ec", "#2a2118"), ("#f4f7fb", "#14233c"),
    ("#f3f8f1", "#16301d"), ("#fbf3f3", "#3a1217"), ("#f2f2f2", "#222222"), ("#eef3f4", "#102a31"),
    ("#fffbe6", "#1d2b53"), ("#f6f1fa", "#2b1644"), ("#1e1f26", "#f2f2ee"), ("#10283a", "#eef6ff"),
)  # fmt: skip
"""Colours of paper and ink. Their contrast of at least 7:1 (WCAG 2.2, 1.4.6) leaves room for a texture."""

TEXTURES = (*["plain"] * 5, "dots", "grid", "ruled")

LAYOUTS = {"plain": 14, "exam": 22, "screenshot": 34, "chat": 28, "notebook": 32, "slide": 26, "card": 24}
"""What surrounds the text, and the least margin of each.

A layout is drawn in the margins; only the exam's header takes a line of the text's room."""

EFFECTS = ("rotation", "perspective", "blur", "jpeg", "shadow", "noise")
"""The camera's effects (prep.rendering.camera)."""

_WEIGHTS = (400, 400, 400, 350, 500, 600)
"""Font weights (OpenType's usWeightClass); a face without one takes its nearest."""


@dataclass(frozen=True)
class PageStyle:
    """The sampled style of one question's pages; lengths in pixels."""

    paper: str
    ink: str
    texture: str
    layout: str
    face: str
    chinese_face: str
    weight: int
    size: int
    margin: int
    leading: float
    justify: bool
    shape: float
    """Width divided by height that a page of much text tends to."""
    jpeg: int | None
    """JPEG quality; None: PNG."""
    effects: tuple[str, ...]
    """The camera's effects; none on a page that is not photographed."""
    number: int
    """Decides what is drawn at random: the exam's numbers, the strength of effects, the noise."""


def sample_style(
    seed: int, id: str, smallest: int, largest: int, form: str, looks: Mapping[str, object]
) -> PageStyle:
    """Sample a style. Font sizes come from the upper half of the range; `form` is png, jpeg or mixed.

    `looks` are the settings render.looks. With `mixed`, a photographed page is a JPEG.
    """
    digest = hashlib.sha256(f"{seed}\n{id}".encode(errors="surrogatepass")).digest()
    share = [byte / 255 for byte in digest]
    effects = _sample_effects(looks, digest)
    is_jpeg = form == "jpeg" or (form == "mixed" and (digest[10] % 2 == 1 or bool(effects)))
    paper, ink = PALETTE[digest[0] % len(PALETTE)]
    layout = _choose({"plain": 0, **looks["layouts"]}, digest[12:14])
    return PageStyle(
        paper=paper,
        ink=ink,
        texture=TEXTURES[digest[1] % len(TEXTURES)] if layout in ("plain", "exam") else "plain",
        layout=layout,
        face=_choose(looks["faces"], digest[14:16]),
        chinese_face=_choose(looks["chinese_faces"], digest[16:18]),
        weight=_WEIGHTS[digest[2] % len(_WEIGHTS)],
        size=largest - round(share[3] * (largest - smallest) / 2),
        margin=max(14 + digest[4] % 19, LAYOUTS[layout]),
        leading=0.62 + 0.2 * share[5],
        justify=digest[6] % 4 == 0,
        shape=0.9 + 0.9 * share[7],
        jpeg=85 + digest[11] % 11 if is_jpeg else None,
        effects=effects,
        number=int.from_bytes(digest[28:]),
    )


def header_text(style: PageStyle, language: str | None) -> str | None:
    """The line above a question in an exam: its number and points. Only English and Chinese have one."""
    number, points = style.number % 29 + 1, (2, 3, 4, 5, 6, 8, 10, 12)[style.number // 29 % 8]
    forms = {"en": f"Question {number} ({points} points)", "zh": f"第{number}题（{points}分）"}
    return forms.get(language or "") if style.layout == "exam" else None


def _sample_effects(looks: Mapping[str, object], digest: bytes) -> tuple[str, ...]:
    if not _is_within(looks["photographed"], digest[18:20]):
        return ()
    shares = looks["effects"]
    draws = zip(EFFECTS, digest[20:26], strict=True)
    return tuple(name for name, byte in draws if byte / 256 < shares.get(name, 0))


def _choose(weights: Mapping[str, float], drawn: bytes) -> str:
    """One of the names, with the probability of its weight."""
    point = int.from_bytes(drawn) / 65536 * sum(weights.values())
    for name in sorted(weights):
        point -= weights[name]
        if point < 0:
            return name
    return max(sorted(weights), key=weights.__getitem__)


def _is_within(share: float, drawn: bytes) -> bool:
    return int.from_bytes(drawn) / 65536 < share
