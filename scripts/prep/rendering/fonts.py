"""The fonts that questions are drawn with: where they are, and which characters they know.

They come with the requirements, as wheels, so that every machine draws the same: Noto Sans, Noto Sans
CJK, and Noto Sans for other scripts, symbols and (in one colour) emoji, all under the SIL Open Font
License. The typesetting engine carries faces of its own (a serif, a monospace and a mathematical one).
"""

import importlib.metadata
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import typst
from fontTools.ttLib import TTFont

from prep.rendering.scratch_folder import ScratchFolder
from prep.runtime.program import Failure

WHEELS = {
    "fontpkg-noto-sans": r"NotoSans.*\.ttf",
    "cvttf-NotoSansCJK-Regular": r"cvttf.*/.*\.otf",
    "manimgx-fonts": r"Noto(Emoji|SansSymbols|Sans[A-Z][a-z]+)\[wght\]\.ttf",
}
"""The wheels, and the files in each that are used."""

SANS, CJK = "Noto Sans", "Noto Sans CJK TC"
"""The wheels' main families. CJK has the forms of every region, chosen by the text's language."""

SERIF, MONO, MATH = "Libertinus Serif", "DejaVu Sans Mono", "New Computer Modern Math"
"""Faces inside the engine. MONO and MATH also know symbols that no wheel has."""

_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_FIRST, _LAST = (SANS, CJK), ("Noto Emoji",)  # the others between them by name

_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point: nothing is seen of joiners, selectors, marks of direction."""


@dataclass(frozen=True)
class _Face:
    """A font's regular face: its family's name as the engine says it, and its characters' widths in em."""

    family: str
    widths: dict[int, float]


class _Widths(dict[str, float]):
    """A character's width in em, a guess where no font tells, looked up when it is first asked for."""

    def __init__(self, faces: list[_Face]) -> None:
        self._faces = faces

    def __missing__(self, character: str) -> float:
        if _IGNORABLE.match(character) or unicodedata.category(character) in ("Mn", "Me"):
            width = 0.0
        else:
            code = ord(character)
            width = next((face.widths[code] for face in self._faces if code in face.widths), 1.1)
        self[character] = width
        return width


class Fonts:
    """All fonts of a run. `extra`: further font files or folders, which come after those of the wheels."""

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        self._folder = ScratchFolder("fonts")  # the engine takes folders only
        files = [file.resolve() for file in (*_of_wheels(), *_of_paths(extra))]
        for number, file in enumerate(files):
            (self._folder.path / f"{number:03}-{file.name}").symlink_to(file)
        self.engine = typst.Fonts(include_system_fonts=False, font_paths=[self._folder.path])
        read = {Path(info.path).resolve() for info in self.engine.fonts() if info.path}
        for file in files:
            if file not in read:
                raise Failure(f"{file} cannot be read as a font")
        self._faces = _faces(self.engine)
        self.families = [face.family for face in self._faces]
        self._drawn: dict[str, bool] = {}
        self._first: dict[str, str] = {}
        self._widths = _Widths(self._faces)

    def missing(self, text: str) -> str | None:
        """The first character that no font has, None if all can be drawn.

        Blanks and what is never seen need no glyph. A character of a private use area has a glyph in
        some fonts, but not the one that its writer meant: it is missing.
        """
        new = [c for c in dict.fromkeys(text) if c not in self._drawn]
        self._drawn.update({c: not is_visible(c) or self._has(ord(c)) for c in new})
        unknown = [c for c in new if not self._drawn[c] and unicodedata.category(c) not in ("Cs", "Co", "Cn")]
        if unknown:
            self._drawn.update(zip(unknown, self._drawn_by_engine(unknown), strict=True))
        return next((c for c in text if not self._drawn[c]), None)

    def family(self, cluster: str) -> str | None:
        """The first family that has all of a cluster: a letter and the marks upon it, or a whole word."""
        needed = [ord(c) for c in cluster if is_visible(c)]
        faces = self._faces[::-1] if "\ufe0f" in cluster else self._faces  # "as an emoji": that font is last
        return next((f.family for f in faces if all(c in f.widths for c in needed)), None)

    def chosen(self, text: str) -> list[str]:
        """The families that characters of a text are first found in, in order; a short list is quicker."""
        new = set(text) - self._first.keys()
        self._first.update(
            {c: next((f.family for f in self._faces if ord(c) in f.widths), MATH) for c in new}
        )
        first = {SANS, *(self._first[c] for c in set(text))}
        return [*(name for name in self.families if name in first), *([MONO, MATH] if MATH in first else [])]

    def em(self, text: str) -> float:
        """How wide a line is, in em: of each character as wide as in the first font that has it."""
        return sum(map(self._widths.__getitem__, text))

    def _has(self, code: int) -> bool:
        return not 0xE000 <= code <= 0xF8FF and code < 0xF0000 and any(code in f.widths for f in self._faces)

    def _drawn_by_engine(self, characters: list[str]) -> list[bool]:
        """Whether the engine's own faces have each character: does it look like one that nobody has?

        The engine gives no list of their characters, and draws a box for one it lacks.
        """
        style = (
            f'#set text(font: ("{MONO}", "{MATH}"), fallback: false)\n#set page(width: 99pt, height: 99pt)\n'
        )
        source = style + "#pagebreak()".join(f"\\u{{{ord(c):x}}}" for c in ["\u0378", *characters])
        pages = typst.Compiler(font_paths=self.engine).compile(input=source.encode(), format="svg")
        glyphs = [re.findall(rb'href="#(\w+)"', page) for page in pages]
        return [glyph != glyphs[0] and glyph != [] for glyph in glyphs[1:]]


class Missing(Exception):
    """No font has a character, or none has all of a letter and its marks; the text names them."""

    def __init__(self, cluster: str) -> None:
        super().__init__(" with ".join(map(_named, cluster)))


def _named(character: str) -> str:
    shown = "" if unicodedata.category(character) == "Cs" else f"{character} "
    name = unicodedata.name(character, "")
    return f"{shown}(U+{ord(character):04X}{' ' + name if name else ''})"


def is_visible(character: str) -> bool:
    """Whether a character has ink of its own, unlike blanks and default-ignorable ones."""
    return not character.isspace() and not _IGNORABLE.match(character)


def _of_wheels() -> list[Path]:
    found = []
    for wheel, pattern in WHEELS.items():
        try:
            files = importlib.metadata.files(wheel) or []
        except importlib.metadata.PackageNotFoundError:
            raise Failure(f"the fonts of {wheel} are not installed: pip install {wheel.lower()}") from None
        paths = {f.name: Path(f.locate()) for f in files if re.search(pattern + r"\Z", str(f))}
        if not paths:
            raise Failure(f"{wheel} holds no font that matches {pattern}: install the locked version")
        found += [paths[name] for name in sorted(paths)]
    return found


def _of_paths(paths: tuple[str, ...]) -> list[Path]:
    found = []
    for path in map(Path, paths):
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        fonts = [file for file in files if file.suffix.lower() in _SUFFIXES and file.is_file()]
        if not fonts:
            raise Failure(f"render.fonts: {path} is not a font file, nor a folder that holds one")
        found += fonts
    return found


def _faces(engine: typst.Fonts) -> list[_Face]:
    """One face a family, the most regular, in the order in which they are asked for a character."""
    best: dict[str, tuple] = {}
    for info in engine.fonts():
        if info.path is not None:
            rank = (info.style != "normal", abs(info.weight - 400), abs(info.stretch - 1), info.path)
            best[info.family] = min(best.get(info.family, (*rank, info.index)), (*rank, info.index))
    wanted = [*_FIRST, *sorted(set(best) - {*_FIRST, *_LAST}), *_LAST]
    return [_Face(family, _widths(best[family][-2], best[family][-1])) for family in wanted if family in best]


def _widths(path: str, index: int) -> dict[int, float]:
    try:
        with TTFont(path, fontNumber=index, lazy=True) as font:
            advances, em = font["hmtx"].metrics, font["head"].unitsPerEm
            return {code: advances[glyph][0] / em for code, glyph in (font.getBestCmap() or {}).items()}
    except Exception as error:  # fontTools raises whatever a broken table leads to
        raise Failure(f"{path} cannot be read as a font: {error}") from error
