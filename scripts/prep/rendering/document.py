"""A question's blocks, measured, and made ready for the page.

To choose a size, the typesetter asks how wide and how high a question would be; the answer is an
estimate from the fonts' own widths, which the drawn page then confirms or not. To draw it, words that
are wider than a line get places to break at, and words with combining marks name the font that has all
of them.
"""

import copy
import math
import re
import unicodedata
from collections.abc import Callable, Iterator

from prep.rendering import fonts, markup

_CHINESE = re.compile("[\u4e00-\u9fff]")
_SMALL_KANA = "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶゝゞヽヾー"
_UNBROKEN = re.compile(
    f"(?:[^ \t\n\u1680\u2000-\u2006\u2008-\u200a\u200b\u205f\u3000\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    f"\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]|[{_SMALL_KANA}])+"
)
"""A run with no place that a line may be broken at, or none that is sure."""
_UNSURE = re.compile(
    "[^\n -~\u00a0-\u024f\u0370-\u052f\u2010-\u2027\u2030-\u205e\u2460-\u24ff\u3000-\u30ff\u3400-\u9fff"
    "\uff00-\uffef]"
)
"""What is not of the scripts whose letters have one width each."""
_COMPLEX = re.compile("[\u0590-\u109f\u1200-\u1cff]")
"""Scripts that need their own shaping, which naming another script would switch off."""
_CLUSTER = re.compile(r"[\U0001f1e6-\U0001f1ff]{2}|\S|\s", re.DOTALL)
_SCRIPTS = {"zh": "hani", "ja": "kana"}
_RISE, _GAP = 0.73, 0.45
"""In em: a line's height without the leading, from the baseline to the capitals' top; between paragraphs."""
_NARROWEST = 128
_CELL, _BOLD = 0.9, 1.12
"""What a table's cell has around its text, in em; how much wider bold letters are at most."""


def is_english(text: str) -> bool:
    """Whether, of the characters A–Z, a–z and U+4E00–U+9FFF, there is one and at most 5 % are the latter."""
    latin = len(re.findall("[A-Za-z]", text))
    chinese = len(_CHINESE.findall(text))
    return latin + chinese > 0 and chinese <= 0.05 * (latin + chinese)


class Document:
    """A question's blocks with what is needed to choose a size: its language, and its lines' widths in em."""

    def __init__(self, text: str, faces: fonts.Fonts, is_plain: bool = False) -> None:
        read = [(block, "") for block in markup.plain(text)] if is_plain else markup.sourced(text)
        self._blocks = [block for block, _ in read]
        self._sources = [source for _, source in read]
        unread = [formula[2] for formula in markup.formulas(self._blocks) if formula[1] is None]
        self.literal = ["the whole of it"] if is_plain else unread
        """What of the markup is drawn as it is written."""
        self._fonts = faces
        self._marked = any(unicodedata.category(c)[0] == "M" for c in set(text))
        self.is_plain = is_plain
        self.families = faces.chosen(text)
        self.language = _language(text)
        # Punctuation between Latin letters gets the regional form only if the script is named.
        self.script = None if _COMPLEX.search(text) else _SCRIPTS.get(self.language)
        self._has_sure_widths = not _UNSURE.search(text)
        self._measure()

    def _measure(self) -> None:
        self.surely_fits = self._has_sure_widths and all(map(_is_text, self._blocks))
        """Nothing but plain text, of letters whose width is known: all runs that are too long are broken."""
        tables = [self._columns(block) for block in self._blocks if block[0] == "table"]
        self.tables = max((sum(narrow for narrow, _ in columns) + 1 for columns in tables), default=0.0)
        """The least width in em at which the words in tables stay whole."""
        code = [b[-1].split("\n") for b in self._blocks if b[0] in ("mono", "code")]
        self._unwrapped = max((self._mono(line) for lines in code for line in lines), default=0.0)
        self._lines = [line for block in self._blocks for line in self._measured(block)]
        self._longest = max(width for width, _ in self._lines)
        self._area = sum(width * high for width, high in self._lines)
        self._is_broken_by_hand = sum(width > 0.85 * self._longest for width, _ in self._lines) > 1

    def make_literal(self, draws: Callable[["Document"], bool]) -> bool:
        """Turn what `draws` refuses when it stands alone into its literal text; whether there was any."""
        before = len(self.literal)
        blocks: list[list] = []
        for block, source in zip(self._blocks, self._sources, strict=True):
            if _is_text(block) or draws(self._part(block)):
                blocks.append(block)
                continue
            for formula in markup.formulas(block):
                alone = formula if formula[0] == "math" else ["p", False, [formula]]
                if formula[1] and not draws(self._part(alone)):
                    formula[1] = None
                    self.literal.append(formula[2])
            if draws(self._part(block)):
                blocks.append(block)
            else:
                blocks += markup.plain(source)
                self.literal.append(source)
        self._blocks = blocks
        self._measure()
        return len(self.literal) > before

    def _part(self, block: list) -> "Document":
        part = copy.copy(self)
        part._blocks = [block]
        part._measure()
        return part

    def smallest(self, least: int, most: int) -> int:
        """The least size in pixels: more where there are formulas, whose indices are smaller than letters."""
        factor = 1.2 if any(True for _ in markup.formulas(self._blocks)) else 1.0
        return min(most, round(least * factor))

    def width(self, size: int, margin: int, leading: float, shape: float, budget: int) -> int:
        """A sensible width in pixels: shaped like a page, wide enough for code, not wider than the lines."""
        natural = self._longest * 1.04 * size + 2 * margin + 4
        area = self._area * size**2 * (_RISE + leading)
        wide = min(max(math.sqrt(area * shape * 1.6), 16 * size), math.sqrt(budget * shape))
        if self._is_broken_by_hand:
            wide = max(wide, min(natural, math.sqrt(budget * 2)))
        whole = max(self._unwrapped, self.tables) * size * 1.02 + 2 * margin + 1.5 * size
        wide = max(wide, min(whole, math.sqrt(budget * 3)))
        return math.ceil(max(min(wide, natural), _NARROWEST))

    def height(self, size: int, width: int, margin: int, leading: float) -> float:
        """About how high a page of this width will be, in pixels."""
        inside = width - 2 * margin
        lines = sum(max(1, math.ceil(long * size / inside)) * high for long, high in self._lines)
        each = self.lines(size, leading)
        gaps = each["gap"] * (len(self._blocks) - 1) - each["leading"]  # the last line has none
        return lines * (each["rise"] + each["leading"]) + gaps + 2 * margin

    @staticmethod
    def lines(size: int, leading: float) -> dict[str, int]:
        """Lines in whole pixels, so that a letter is the same on each: quicker to draw, and steadier to read.

        `rise` of a line over its foot, `leading` between lines, and `gap` between paragraphs besides.
        """
        return {"rise": round(_RISE * size), "leading": round(leading * size), "gap": round(_GAP * size)}

    def suits(self, size: int, width: int, height: float, margin: int, leading: float) -> bool:
        """Whether this size is worth a try: the text is about as high, and words in tables stay whole."""
        is_wide_enough = self.tables * size <= width - 2 * margin
        return is_wide_enough and self.height(size, width, margin, leading) <= height

    def blocks(self, limit: float) -> list[list]:
        """The blocks as the page takes them; runs wider than `limit` em can be broken."""
        return [self._block(block, limit) for block in self._blocks]

    def _block(self, block: list, limit: float) -> list:
        kind = block[0]
        if kind in ("mono", "code"):
            if self._marked:
                text = "\n".join(markup.indented(line) for line in block[-1].split("\n"))
                return ["p", False, list(self._text(text, limit))]
            return [*block[:-1], self._broken(block[-1], limit - 2)]
        if kind == "math":
            return block[:2] if block[1] else ["p", False, list(self._text(block[2], limit))]
        if kind == "list":
            return [kind, [[d, marker, self._inlines(parts, limit - 4 - d)] for d, marker, parts in block[1]]]
        if kind == "table":
            columns = self._columns(block)
            widths = _shared(columns, limit)
            rows = [
                [self._inlines(parts, wide - _CELL + 0.01) for parts, wide in zip(row, widths, strict=True)]
                for row in block[2]
            ]
            # Where there is room for all of it, the engine knows better how wide it is.
            fits = sum(wide for _, wide in columns) <= limit
            return [kind, block[1], rows, block[3], None if fits else widths]
        return [*block[:-1], self._inlines(block[-1], limit * (0.7 if kind == "head" else 1))]

    def _inlines(self, parts: list, limit: float) -> list:
        out: list = []
        for part in parts:
            if isinstance(part, str):
                out += self._text(part, limit)
            elif part[0] == "m":
                out += [part[:2]] if part[1] else self._text(part[2], limit)
            elif part[0] == "tt":
                out += self._text(part[1], limit) if self._marked else [["tt", self._broken(part[1], limit)]]
            else:
                out.append([part[0], list(self._text(part[1], limit * 0.9))])
        return out

    def _text(self, text: str, limit: float) -> Iterator[str | list]:
        """Text in runs: words with combining marks name the font that has the whole of them.

        The engine falls back character by character, and where a letter and its mark come from two
        fonts it loses the letter.
        """
        if not self._marked:
            yield self._broken(text, limit)
            return
        for word in re.split(r"(\s+)", text):
            if not any(_is_mark(c) for c in word):
                yield self._broken(word, limit)
            elif family := self._fonts.family(word):
                yield ["f", family, self._broken(word, limit)]
            else:
                yield from self._clusters(word, limit)

    def _clusters(self, word: str, limit: float) -> Iterator[str | list]:
        for cluster in _split(word):
            if not any(_is_mark(c) for c in cluster):
                yield self._broken(cluster, limit)
            elif family := self._fonts.family(cluster):
                yield ["f", family, cluster]
            else:
                raise fonts.Missing(cluster)

    def _broken(self, text: str, limit: float) -> str:
        """The text with places to break at (U+200B) in every run that is wider than a line."""
        if self._fonts.em(text) <= limit:
            return text
        return _UNBROKEN.sub(
            lambda run: run[0] if self._fonts.em(run[0]) <= limit else "\u200b".join(_split(run[0])), text
        )

    def _columns(self, block: list) -> list[tuple[float, float]]:
        """Each column's width in em where its longest word just fits (12 em may be broken), and unbroken."""
        rows = [
            [self._cell(parts, _BOLD if block[3] and not number else 1.0) for parts in row]
            for number, row in enumerate(block[2])
        ]
        return [
            tuple(max(widths) + _CELL for widths in zip(*column, strict=True))
            for column in zip(*rows, strict=True)
        ]

    def _cell(self, parts: list, factor: float) -> tuple[float, float]:
        """A cell's longest word and its longest line, in em."""
        words, line = [1.0], 0.0
        for part in parts:
            kind, text = ("", part) if isinstance(part, str) else (part[0], part[-1])
            if kind == "m" and part[1]:
                words.append(0.7 * _length(part[1]))
                line += words[-1]
                continue
            em = self._mono if kind == "tt" else self._fonts.em
            wide = factor * (_BOLD if kind == "b" else 1.0)
            words += [wide * em(run[0]) for run in _UNBROKEN.finditer(text)]
            line += wide * em(text)
        return min(max(words), 12.0), max(line, *words)

    def _mono(self, line: str) -> float:
        """A line's width in em in the face of code."""
        return max(self._fonts.em(line), 0.61 * len(line))

    def _measured(self, block: list) -> Iterator[tuple[float, float]]:
        """Each line's width in em if it is not broken, and its height in lines."""
        kind = block[0]
        if kind in ("mono", "code"):
            extra = [""] * (2 if kind == "code" else 0)
            for line in [*extra, *block[-1].split("\n")]:
                yield self._mono(line) + 1.5, 1.0
        elif kind == "math" and not block[1]:
            yield from self._measured_inlines([block[2]])
        elif kind == "math":
            yield 0.4 * len(block[2]), 1.6 + 1.2 * block[2].count(r"\\") + ("frac" in block[2])
        elif kind == "list":
            for depth, _, parts in block[1]:
                yield from ((w + 2 + 1.2 * depth, h) for w, h in self._measured_inlines(parts))
        elif kind == "table":
            rows = [[max(self._measured_inlines(cell), default=(0, 0)) for cell in row] for row in block[2]]
            whole = sum(wide for _, wide in self._columns(block))
            for row in rows:
                yield whole, max(high for _, high in row) + 0.55
        else:
            yield from self._measured_inlines(block[-1], 1.3 if kind == "head" else 1.0)

    def _measured_inlines(self, parts: list, factor: float = 1.0) -> list[tuple[float, float]]:
        lines = [(0.0, 1.0)]
        for part in parts:
            if isinstance(part, list) and part[0] == "m" and part[1]:
                width, high = lines[-1]
                source = part[-1]
                lines[-1] = (width + 0.55 * _length(part[1]), max(high, 1.9 if "frac" in source else 1.15))
                continue
            text = part if isinstance(part, str) else part[-1]
            first, *rest = text.split("\n")
            lines[-1] = (lines[-1][0] + self._fonts.em(first) * factor, max(lines[-1][1], factor))
            lines += [(self._fonts.em(line) * factor, factor) for line in rest]
        return lines


def _shared(columns: list[tuple[float, float]], limit: float) -> list[float]:
    """The columns' widths in em: as wide as their lines; where that is too wide, with a share of the rest."""
    spare = limit - sum(narrow for narrow, _ in columns)
    wanted = sum(wide - narrow for narrow, wide in columns)
    share = min(1.0, max(spare, 0.0) / wanted) if wanted else 0.0
    return [narrow + share * (wide - narrow) for narrow, wide in columns]


def _is_text(block: list) -> bool:
    return block[0] == "p" and all(isinstance(part, str) for part in block[2])


def _length(node: object) -> float:
    """About how many letters wide a formula's tree is."""
    if not isinstance(node, list):
        return 0.0
    if node and node[0] in ("s", "t", "op"):
        return len(node[1]) + (0.6 if node[1] in "=+−<>→≤≥" else 0)
    if node and node[0] == "frac":
        return max(_length(node[1]), _length(node[2])) + 0.3
    if node and node[0] == "attach":
        return _length(node[1]) + 0.7 * max(_length(node[2]), _length(node[3]))
    return sum(map(_length, node))


def _language(text: str) -> str:
    """The language whose habits of type (glyph forms, line breaks) the text is set in."""
    if re.search("[\u3041-\u30ff]", text):
        return "ja"
    if re.search("[\uac00-\ud7af]", text):
        return "ko"
    return "zh" if _CHINESE.search(text) and not is_english(text) else "en"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" and fonts.is_visible(character)


def _split(text: str) -> list[str]:
    """A text's clusters, which no line end may part: a letter with its marks, an emoji with its joiners."""
    clusters: list[str] = []
    for match in _CLUSTER.finditer(text):
        part = match.group()
        joins = unicodedata.category(part[0])[0] == "M" or not (part.isspace() or fonts.is_visible(part[0]))
        joins = joins or "\U0001f3fb" <= part <= "\U0001f3ff" or (clusters and clusters[-1][-1] == "\u200d")
        if joins and clusters:
            clusters[-1] += part
        else:
            clusters.append(part)
    return clusters
