"""Font discovery, glyph coverage and font fallback.

The fonts are wheels among the requirements, so that every machine renders the same bytes: Noto Sans, Noto
Sans CJK in all weights, Noto Sans for other scripts, symbols and (in one colour) emoji, Noto Serif SC, and
Latin faces for looks. All are under the SIL Open Font License, but Roboto Slab, which is under the Apache
License 2.0. typst carries two serif faces, a monospace and a mathematical one of its own.
"""

import importlib.metadata
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import typst
from fontTools.ttLib import TTFont

from prep.rendering.scratch_folder import ScratchFolder
from prep.runtime.program import UserError

_TEXT_FACES = {
    "atkinson-hyperlegible": "Atkinson Hyperlegible", "caveat": "Caveat", "eb-garamond": "EB Garamond",
    "ibm-plex-serif": "IBM Plex Serif", "inter": "Inter", "kalam": "Kalam", "lora": "Lora",
    "pt-serif": "PT Serif", "roboto": "Roboto", "roboto-slab": "Roboto Slab",
    "source-serif-4": "Source Serif 4",
}  # fmt: skip
"""Latin faces of render.looks by wheel."""

WHEELS = {
    "fontpkg-noto-sans": r"NotoSans.*\.ttf",
    "manimgx-fonts-cjk": r"NotoSansCJK-VF\.otf\.ttc",
    "pylopdf-fonts-zh-cn": r"NotoSerifSC-Regular\.otf",
    **{f"fontpkg-{name}": r"files/.*\.ttf" for name in _TEXT_FACES},
    "manimgx-fonts": r"Noto(Emoji|SansSymbols|Sans[A-Z][a-z]+)\[wght\]\.ttf",
}
"""The font wheels, and a pattern for the files used of each."""

SANS, CJK = "Noto Sans", "Noto Sans CJK TC"
"""The main families. CJK has the glyph forms of every region; the text's language chooses among them."""

CHINESE_SERIF = "Noto Serif SC"
"""It has one weight, so that bold is set in CJK, as Chinese books do."""

SERIF, MONO, MATH = "Libertinus Serif", "DejaVu Sans Mono", "New Computer Modern Math"
"""Families inside typst. MONO and MATH also have symbols that no wheel has."""

_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_LOOKS = {
    CHINESE_SERIF, *_TEXT_FACES.values(), *(f"Noto Sans CJK {region}" for region in ("HK", "JP", "KR", "SC")),
}  # fmt: skip
"""Families that no text falls back to. The last four have the glyphs of CJK."""
_FIRST, _LAST = (SANS, CJK), ("Noto Emoji",)  # fallback order; the other families come between, by name

_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point: joiners, variation selectors and direction marks are invisible."""


@dataclass(frozen=True)
class _Face:
    """A font's regular face: its family name as typst spells it, and its widths in em by code point."""

    family: str
    widths: dict[int, float]


class Fonts:
    """The fonts of a run. `extra` names further font files or folders, tried after those of the wheels."""

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        self._folder = ScratchFolder("fonts")  # typst takes folders only
        files = [file.resolve() for file in (*_find_wheel_fonts(), *_find_fonts(extra))]
        for number, file in enumerate(files):
            (self._folder.path / f"{number:03}-{file.name}").symlink_to(file)
        self.engine = typst.Fonts(include_system_fonts=False, font_paths=[self._folder.path])
        read = {Path(info.path).resolve() for info in self.engine.fonts() if info.path}
        for file in files:
            if file not in read:
                raise UserError(f"{file} cannot be read as a font")
        self._faces = _load_faces(self.engine)
        self.families = [face.family for face in self._faces]
        self._renderable: dict[str, bool] = {}
        self._weights: dict[str, list[tuple[int, int]]] = {}
        self._find_face = cache(partial(_find_face, self._faces))
        self._measure_character = cache(partial(_measure_character, self._find_face))

    def check_families(self, names: Iterable[str]) -> None:
        """Raise UserError for the name of a family that no font has."""
        known = self.engine.families()
        for name in names:
            if name not in known:
                raise UserError(
                    f"render.looks: no font of the family {name!r} (its file belongs in render.fonts)"
                )

    def find_missing(self, text: str) -> str | None:
        """The first character that no font has a glyph for, or None.

        Blanks and invisible characters need no glyph. Private use characters count as missing: a font may
        have a glyph for one, but not the one that the writer meant.
        """
        new = [c for c in dict.fromkeys(text) if c not in self._renderable]
        category = {c: unicodedata.category(c) for c in new}
        self._renderable.update(
            {c: not is_visible(c) or (category[c] != "Co" and self._find_face(c) is not None) for c in new}
        )
        unknown = [c for c in new if not self._renderable[c] and category[c] not in ("Cs", "Co", "Cn")]
        if unknown:
            self._renderable.update(zip(unknown, self._engine_has(unknown), strict=True))
        return next((c for c in text if not self._renderable[c]), None)

    def find_family(self, cluster: str) -> str | None:
        """The first family that has every character of a grapheme cluster or a word, or None."""
        needed = [ord(c) for c in cluster if is_visible(c)]
        faces = self._faces[::-1] if "\ufe0f" in cluster else self._faces  # the emoji font is last
        return next((f.family for f in faces if all(c in f.widths for c in needed)), None)

    def choose_families(self, text: str) -> list[str]:
        """The families that a text needs, in fallback order; typst is faster with a short list."""
        first = {face.family if face else MATH for face in map(self._find_face, set(text))} | {SANS}
        return [*filter(first.__contains__, self.families), *([MONO, MATH] if MATH in first else [])]

    def measure(self, text: str) -> float:
        """The width of a line in em."""
        return sum(map(self._measure_character, text))

    def find_weight(self, family: str, wanted: int) -> int:
        """The weight of a family's upright faces that is nearest to the one wanted."""
        if family not in self._weights:
            self._weights[family] = [
                _read_weights(info)
                for info in self.engine.fonts()
                if info.family == family and info.style == "normal"
            ]
        near = (min(max(wanted, least), most) for least, most in self._weights[family])
        return min(near, key=lambda weight: abs(weight - wanted), default=wanted)

    def _engine_has(self, characters: list[str]) -> list[bool]:
        """Whether typst's own faces have each character.

        typst does not list their coverage and draws a box for a missing glyph, so each outline is compared
        with that of an unassigned character.
        """
        style = (
            f'#set text(font: ("{MONO}", "{MATH}"), fallback: false)\n#set page(width: 99pt, height: 99pt)\n'
        )
        source = style + "#pagebreak()".join(f"\\u{{{ord(c):x}}}" for c in ["\u0378", *characters])
        pages = typst.Compiler(font_paths=self.engine).compile(input=source.encode(), format="svg")
        glyphs = [re.findall(rb'href="#(\w+)"', page) for page in pages]
        return [glyph != glyphs[0] and glyph != [] for glyph in glyphs[1:]]


class MissingGlyph(Exception):
    """No font has a character, or none has a whole grapheme cluster; the text names the characters."""

    def __init__(self, cluster: str) -> None:
        super().__init__(" with ".join(map(_describe, cluster)))


def _describe(character: str) -> str:
    shown = "" if unicodedata.category(character) == "Cs" else f"{character} "
    name = unicodedata.name(character, "")
    return f"{shown}(U+{ord(character):04X}{' ' + name if name else ''})"


def _find_face(faces: list[_Face], character: str) -> _Face | None:
    """The first font that has a character."""
    return next((face for face in faces if ord(character) in face.widths), None)


def _measure_character(find_face: Callable[[str], _Face | None], character: str) -> float:
    """A character's width in em in the first font that has it, else a guess."""
    if _IGNORABLE.match(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0.0
    face = find_face(character)
    return face.widths[ord(character)] if face else 1.1


def is_visible(character: str) -> bool:
    """Whether a character leaves ink; blanks and default-ignorable characters do not."""
    return not character.isspace() and not _IGNORABLE.match(character)


def _find_wheel_fonts() -> list[Path]:
    found = []
    for wheel, pattern in WHEELS.items():
        try:
            files = importlib.metadata.files(wheel) or []
        except importlib.metadata.PackageNotFoundError:
            raise UserError(f"the fonts of {wheel} are not installed: pip install {wheel.lower()}") from None
        paths = {f.name: Path(f.locate()) for f in files if re.search(pattern + r"\Z", str(f))}
        if not paths:
            raise UserError(f"{wheel} holds no font that matches {pattern}: install the locked version")
        found += [paths[name] for name in sorted(paths)]
    return found


def _find_fonts(paths: tuple[str, ...]) -> list[Path]:
    found = []
    for path in map(Path, paths):
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        fonts = [file for file in files if file.suffix.lower() in _SUFFIXES and file.is_file()]
        if not fonts:
            raise UserError(f"render.fonts: {path} is not a font file, nor a folder that holds one")
        found += fonts
    return found


def _load_faces(engine: typst.Fonts) -> list[_Face]:
    """The most regular face of each family, in fallback order."""
    best: dict[str, tuple] = {}
    for info in engine.fonts():
        if info.path is not None and info.family not in _LOOKS:
            rank = (info.style != "normal", abs(info.weight - 400), abs(info.stretch - 1), info.path)
            best[info.family] = min(best.get(info.family, (*rank, info.index)), (*rank, info.index))
    wanted = [*_FIRST, *sorted(set(best) - {*_FIRST, *_LAST}), *_LAST]
    return [_Face(name, _read_widths(*best[name][-2:])) for name in wanted if name in best]


def _read_weights(info: typst.FontInfo) -> tuple[int, int]:
    """The least weight and the greatest that a font has; they differ in a variable one."""
    if info.path is not None:
        with TTFont(info.path, fontNumber=info.index, lazy=True) as font:
            for axis in font["fvar"].axes if "fvar" in font else ():
                if axis.axisTag == "wght":
                    return int(axis.minValue), int(axis.maxValue)
    return info.weight, info.weight


def _read_widths(path: str, index: int) -> dict[int, float]:
    try:
        with TTFont(path, fontNumber=index, lazy=True) as font:
            advances, units = font["hmtx"].metrics, font["head"].unitsPerEm
            return {code: advances[glyph][0] / units for code, glyph in (font.getBestCmap() or {}).items()}
    except Exception as error:  # fontTools raises whatever a broken table leads to
        raise UserError(f"{path} cannot be read as a font: {error}") from error
