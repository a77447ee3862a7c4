"""Layout estimation and line breaking for a parsed question.

Width and height are estimated from the fonts' own advance widths, so that the typesetter renders few sizes in
vain. For the page, words wider than a line get break opportunities, and words with combining marks name the
font that has the whole of them.
"""

import copy
import math
import re
import unicodedata
from collections.abc import Callable, Iterator

from prep.rendering import fonts, html, latex_prose, latex_tree, markup, preformatted, tables
from prep.rendering.formula_width import estimate_width, is_flat, split_row
from prep.rendering.style import PageStyle, header_text

_CHINESE = re.compile("[\u4e00-\u9fff]")
_SMALL_KANA = "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶゝゞヽヾー"
_CLOSING = "、。，．：；？！）】》」』"
_UNBROKEN = re.compile(
    f"(?:[^ \t\n\u1680\u2000-\u2006\u2008-\u200a\u200b\u205f\u3000\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    f"\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff{_CLOSING}]|[{_SMALL_KANA}])+[{_CLOSING}]*|[{_CLOSING}]+"
)
"""A run without a certain break opportunity."""
_UNKNOWN_WIDTH = re.compile(
    "[^\n -~\u00a0-\u024f\u0370-\u052f\u2010-\u2027\u2030-\u205e\u2460-\u24ff\u3000-\u30ff\u3400-\u9fff"
    "\uff00-\uffef]"
)
"""Characters outside the scripts whose letters have one width each."""
_COMPLEX = re.compile("[\u0590-\u109f\u1200-\u1cff]")
"""Scripts with complex shaping, which naming another script would switch off."""
_CLUSTER = re.compile(r"[\U0001f1e6-\U0001f1ff]{2}|\S|\s", re.DOTALL)
_SIGNS = "\u2220-\u2222\u221a-\u221c\u2299\u22a5\u25a1\u25b1\u25b3\u25cb\u25ef\u2312"
"""Signs that stand before the letters or the number they belong to, such as a triangle."""
_GLUED = re.compile(rf"(?<=[{_SIGNS}])(?=[^\W_])|(?<=\w)(?=[(（][ \u3000]*[)）])")
"""Where no line breaks though Unicode lets it: after a sign, and before brackets to fill in."""
_BAD_BREAK = re.compile(
    f"\u200b(?=\u2060)|(?<=\u2060)\u200b|(?<=\\w)\u200b(?=[,.;:!?%)\\]{_CLOSING}])|(?<=[(\\[（《「『【])\u200b(?=\\w)"
)
"""A break opportunity within a long word that no line should end at."""
_SCRIPTS = {"zh": "hani", "ja": "kana"}
_RISE, _GAP = 0.73, 0.45
"""In em: the height of a line from the baseline to the top of capitals; the gap between paragraphs."""
NARROWEST = 128
"""In pixels: the least width of a page."""
TALLEST = 6.0
"""How many times as high as wide a page is, where more pages that are wider hold the text."""
_CELL, _BOLD = 0.9, 1.12
"""In em, the padding of a table cell; how much wider than regular letters bold ones are at most."""
_HEADS = (1.35, 1.25, 1.15, 1.1, 1.05, 1.0)
"""In em, the size of a heading's letters by its level; engine.typ has the same."""
_CIRCLED = re.compile("([\u2460-\u24ff]+)")
_EASY = 7.0
"""In em: a table cell no wider than this is best on one line."""
_CHINESE_GAP = 0.2
"""In em: between Chinese and a formula, as typst sets between Chinese and Latin; engine.typ has the same."""
_TALL = 5.0
"""In lines: a table's cell that has more of them needs a wider column."""
_SHORT = 24.0
"""In em: a text or a formula no wider than this is best on one line."""


def is_english(text: str) -> bool:
    """Whether the text has a character of A–Z, a–z and U+4E00–U+9FFF, and at most 5 % are of the latter."""
    latin = len(re.findall("[A-Za-z]", text))
    chinese = len(_CHINESE.findall(text))
    return latin + chinese > 0 and chinese <= 0.05 * (latin + chinese)


class Document:
    """A question's blocks, with its language and the estimated widths of its lines in em."""

    def __init__(self, text: str, faces: fonts.Fonts, is_plain: bool = False) -> None:
        read = [(block, "") for block in markup.parse_plain(text)] if is_plain else markup.parse(text)
        self._blocks, self._sources = map(list, zip(*read, strict=True))
        drawings = [source for block, source in read if block[0] == "code" and latex_prose.is_drawing(source)]
        unread = [*markup.read_partly(self._blocks), *filter(tables.is_unread, _find_paragraphs(read))]
        unread += drawings
        self.literal_markup = ["the whole of it"] if is_plain else unread
        """The markup that is shown as literal text."""
        self._fonts = faces
        if html.is_simple(text):
            text = html.read_entities(text)
            if missing := faces.find_missing(text):
                raise fonts.MissingGlyph(missing)
        self._has_marks = any(unicodedata.category(c)[0] == "M" for c in set(text))
        self.is_plain = is_plain
        self.families = faces.choose_families(text)
        self.language = _detect_language(text, " ".join(_read_prose(self._blocks)))
        # Punctuation between Latin letters gets its regional form only where the script is named.
        self.script = None if _COMPLEX.search(text) else _SCRIPTS.get(self.language)
        is_other = self.language == "en" and (not is_english(text) or bool(_COMPLEX.search(text)))
        self.header_language = None if is_other else self.language
        """The language of an exam's header; None for text in a script of its own."""
        self._has_known_widths = not _UNKNOWN_WIDTH.search(text)
        self._measure()

    def _measure(self) -> None:
        self.is_plain_text = self._has_known_widths and all(map(_is_plain_paragraph, self._blocks))
        """Plain text of letters whose widths are known, so that no line can overflow."""
        self.has_formulas = any(True for _ in markup.find_formulas(self._blocks))
        measured = [self._measure_columns(block) for block in self._blocks if block[0] == "table"]
        self.least_width = max(
            (sum(narrow for narrow, *_ in columns) + 1 for columns in measured), default=0.0
        )
        """The least width in em at which no word in a table is broken."""
        self._easy_tables = max(
            (sum(easy for _, easy, _ in columns) + 2.1 for columns in measured), default=0.0
        )
        """The width in em at which tables are easy to read: short cells have one line."""
        formulas = [self._measure_formula(f[1]) for f in markup.find_formulas(self._blocks) if f[1]]
        self._easy_formulas = max((width for width in formulas if width <= _SHORT), default=0.0)
        """The width in em at which short formulas are not broken."""
        code = [b[-1].split("\n") for b in self._blocks if b[0] in ("mono", "code")]
        self._unwrapped = max((self._measure_mono(line) for lines in code for line in lines), default=0.0)
        self._lines = [line for block in self._blocks for line in self._measure_block(block)]
        self._longest = max(width for width, _ in self._lines)
        self._area = sum(width * high for width, high in self._lines)
        self._is_broken_by_hand = sum(width > 0.85 * self._longest for width, _ in self._lines) > 1

    def simplify(self, can_render: Callable[["Document"], bool]) -> bool:
        """Simplify what `can_render` refuses when it stands alone; whether there was any.

        A displayed formula is set within a line, where it can be broken. What is still refused becomes
        literal text: a formula, else its whole block.
        """
        is_changed = False
        parts: list[tuple[list, str]] = []
        for block, source in zip(self._blocks, self._sources, strict=True):
            if _is_plain_paragraph(block) or can_render(self._part(block)):
                parts.append((block, source))
                continue
            is_changed = True
            if block[0] == "math" and block[1]:
                block = ["p", False, [["m", *block[1:]]]]
                if can_render(self._part(block)):
                    parts.append((block, source))
                    continue
            for formula in markup.find_formulas(block):
                if formula[1] and not can_render(self._part(["p", False, [formula]])):
                    formula[1] = None
                    self.literal_markup.append(formula[2])
            if can_render(self._part(block)):
                parts.append((block, source))
            else:
                parts += [(each, source) for each in markup.parse_plain(source)]
                self.literal_markup.append(source)
        self._blocks, self._sources = map(list, zip(*parts, strict=True))
        self._measure()
        return is_changed

    def _part(self, block: list) -> "Document":
        part = copy.copy(self)
        part._blocks = [block]
        part._measure()
        return part

    @property
    def kind(self) -> str:
        """What is hardest to read in it: `table`, `code`, `formula`, or else `text`."""
        kinds = {block[0] for block in self._blocks}
        if "table" in kinds:
            return "table"
        return "code" if kinds & {"mono", "code"} else "formula" if self.has_formulas else "text"

    @property
    def formula_share(self) -> float:
        """The share of its lines that formulas take, by estimate."""
        trees = [formula[1] for formula in markup.find_formulas(self._blocks) if formula[1]]
        return sum(map(self._measure_formula, trees)) / sum(wide for wide, _ in self._lines)

    @property
    def is_blank(self) -> bool:
        """Whether it shows nothing, as formulas of spaces do."""
        if any(block[0] == "table" for block in self._blocks) or any(
            map(fonts.is_visible, self.shown_text())
        ):
            return False
        trees = [formula[1] for formula in markup.find_formulas(self._blocks)]
        return not any(tree is None or latex_tree.leaves_ink(tree) for tree in trees)

    def shown_text(self) -> str:
        """The text on the pages, without markup; a formula's letters and signs in the order of its tree."""
        return " ".join(text for block in self._blocks for text in _read_block(block))

    def smallest_size(self, least: int, most: int) -> int:
        """The smallest font size in pixels; larger where formulas have indices, which are smaller still."""
        factor = 1.2 if self.has_formulas else 1.0
        return min(most, round(least * factor))

    def page_width(self, size: int, style: PageStyle, budget: int) -> int:
        """One page's width in pixels: of the style's shape, wide enough for code, no wider than the lines."""
        natural = self.natural_width(size, style)
        area = self._area * size**2 * (_RISE + style.leading)
        wide = min(max(math.sqrt(area * style.shape * 1.6), 16 * size), math.sqrt(budget * style.shape))
        if natural <= _SHORT * size + 2 * style.margin:
            wide = natural
        if self._is_broken_by_hand:
            wide = max(wide, min(natural, math.sqrt(budget * 2)))
        whole = (
            max(self._unwrapped, self._easy_tables, self._easy_formulas) * size * 1.02
            + 2 * style.margin
            + 1.5 * size
        )
        wide = max(wide, min(whole, math.sqrt(budget * 3)))
        wide = math.ceil(max(min(wide, natural), NARROWEST))
        high = self.estimate_height(size, wide, style)
        return max(wide, math.ceil(min(high / TALLEST, math.sqrt(budget / TALLEST))))

    def natural_width(self, size: int, style: PageStyle) -> float:
        """The page width in pixels at which no line is broken."""
        return self._longest * 1.04 * size + 2 * style.margin + 4

    def estimate_height(self, size: int, width: int, style: PageStyle) -> float:
        """The estimated height in pixels of a page of this width."""
        inside = width - 2 * style.margin
        lines = sum(max(1, math.ceil(long * size / inside)) * high for long, high in self._lines)
        each = self.line_metrics(size, style.leading)
        gaps = each["gap"] * (len(self._blocks) - 1) - each["leading"]  # none after the last line
        if header_text(style, self.header_language):
            gaps += each["rise"] + 0.4 * size + each["leading"] + each["gap"]
        return lines * (each["rise"] + each["leading"]) + gaps + 2 * style.margin

    @staticmethod
    def line_metrics(size: int, leading: float) -> dict[str, int]:
        """Line metrics in whole pixels, so that a letter looks the same on each line and is rasterised once.

        `rise` is above the baseline, `leading` between lines; `gap` is added between paragraphs.
        """
        return {"rise": round(_RISE * size), "leading": round(leading * size), "gap": round(_GAP * size)}

    def may_fit(self, size: int, width: int, height: float, style: PageStyle) -> bool:
        """Whether the text fits by estimate, with no word in a table broken."""
        is_wide_enough = self.least_width * size <= width - 2 * style.margin
        return is_wide_enough and self.estimate_height(size, width, style) <= height

    def build_blocks(self, limit: float) -> list[list]:
        """The blocks as the page takes them, with break opportunities in runs wider than `limit` em."""
        return [self._build_block(block, limit) for block in self._blocks]

    def _build_block(self, block: list, limit: float) -> list:
        kind = block[0]
        if kind in ("mono", "code"):
            if self._has_marks:
                text = "\n".join(markup.keep_indentation(line) for line in block[-1].split("\n"))
                return ["p", False, list(self._build_runs(text, limit))]
            return [*block[:-1], self._wrap(block[-1], limit - 2)]
        if kind == "math":
            return block[:2] if block[1] else ["p", False, list(self._build_runs(block[2], limit))]
        if kind == "list":
            items = [
                [d, marker, self._build_inlines(parts, limit - 4 - d, limit - 1.2 * d)]
                for d, marker, parts in block[1]
            ]
            return [kind, items, block[2]]
        if kind == "table":
            columns = self._measure_columns(block)
            limit += 1.9  # unlike a line, a cell never overflows: it is broken
            widths = _share_width(columns, limit)
            limits = [wide - _CELL + 0.01 for wide in widths]
            rows = [list(map(self._build_inlines, row, limits, limits)) for row in block[2]]
            # Where the whole table fits, typst chooses better widths.
            fits = sum(wide for *_, wide in columns) <= limit
            is_rtl = markup.is_rtl("".join(map(_read_text, block[2])))
            return [kind, block[1], rows, block[3], None if fits else widths, is_rtl]
        if kind == "head":
            return [*block[:-1], self._build_inlines(block[-1], 0.7 * limit, 0.7 * limit)]
        return [*block[:-1], self._build_inlines(block[-1], limit, limit + 2)]

    def _build_inlines(self, parts: list, limit: float, room: float) -> list:
        """The inlines with break opportunities; a formula no wider than `room` em is not broken.

        A formula is ["m", tree, is it not broken, is it flat, [is it after Chinese, is it before Chinese]].
        """
        out: list = []
        for at, part in enumerate(parts):
            kind, text = ("", part) if isinstance(part, str) else (part[0], part[-1])
            if not kind or (kind == "tt" and self._has_marks) or (kind == "m" and not part[1]):
                out += self._build_runs(text, limit)
            elif kind == "m":
                sides = [
                    _touches_chinese(parts[at - 1 : at], -1),
                    _touches_chinese(parts[at + 1 : at + 2], 0),
                ]
                is_whole = self._measure_formula(part[1]) <= room
                out.append([kind, part[1], is_whole, is_flat(part[1]), sides])
            elif kind in ("span", "covered"):
                out.append(part)
            elif kind == "tt":
                out.append([kind, self._wrap(text, limit)])
            else:
                out.append([kind, list(self._build_runs(text, limit * 0.9))])
        return out

    def _build_runs(self, text: str, limit: float) -> Iterator[str | list]:
        """Text as runs; a word with combining marks names the font that has the whole of it.

        typst falls back character by character, and loses a letter whose mark comes from another font.
        """
        for part in _CIRCLED.split(text):
            if _CIRCLED.fullmatch(part):  # some faces draw circled numbers wider than they say
                yield ["f", fonts.CJK, self._wrap(part, limit)]
            else:
                for word in re.split(r"(\s+)", part) if self._has_marks else [part]:
                    yield from self._build_run(word, limit)

    def _build_run(self, part: str, limit: float) -> Iterator[str | list]:
        """A run that has one font: the whole part, or else each of its grapheme clusters."""
        if not self._has_marks or not any(map(_is_mark, part)):
            yield self._wrap(part, limit)
        elif family := self._fonts.find_family(part):
            yield ["f", family, self._wrap(part, limit)]
        elif len(clusters := _split_clusters(part)) == 1:
            raise fonts.MissingGlyph(part)
        else:
            for cluster in clusters:
                yield from self._build_run(cluster, limit)

    def _wrap(self, text: str, limit: float) -> str:
        """Put break opportunities (U+200B) into every run that is wider than a line; glue others (U+2060)."""
        text = _GLUED.sub("\u2060", text)
        measure = self._fonts.measure
        if measure(text) <= limit:
            return text
        return _UNBROKEN.sub(
            lambda run: run[0] if measure(run[0]) <= limit else _break_anywhere(run[0]), text
        )

    def _measure_columns(self, block: list) -> list[tuple[float, float, float]]:
        """Each column's width in em: with its longest word whole (up to 12 em), with also its short cells and
        long words (up to 20 em) on one line, and without any break.
        """
        rows = [
            list(self._measure_row(row, _BOLD if block[3] and not number else 1.0))
            for number, row in enumerate(block[2])
        ]
        return [
            tuple(max(widths) + _CELL for widths in zip(*column, strict=True))
            for column in zip(*rows, strict=True)
        ]

    def _measure_row(self, row: list, factor: float) -> Iterator[tuple[float, float, float]]:
        """The widths of a row's cells; one that spans columns gives each an equal share."""
        share = (1.0, 1.0, 1.0)
        left = 0
        for parts in row:
            kind = parts[0][0] if parts and isinstance(parts[0], list) else ""
            if kind == "span":
                left = parts[0][1]
                share = tuple(width / left for width in self._measure_cell(parts[1:], factor))
            if kind in ("span", "covered"):
                yield share if left > 0 else (1.0, 1.0, 1.0)
            else:
                yield self._measure_cell(parts, factor)
            left -= 1

    def _measure_cell(self, parts: list, factor: float) -> tuple[float, float, float]:
        """The widths in em of a cell's longest word, of what is easy to read, and of its longest line."""
        words, formulas, line = [1.0], [0.0], 0.0
        for part in parts:
            kind, text = ("", part) if isinstance(part, str) else (part[0], part[-1])
            if kind == "m" and part[1]:
                formulas += map(self._measure_formula, split_row(part[1]))
                line += self._measure_formula(part[1])
                continue
            em = self._measure_mono if kind == "tt" else self._fonts.measure
            wide = factor * (_BOLD if kind == "b" else 1.0)
            words += [wide * em(run[0]) for run in _UNBROKEN.finditer(text)]
            line += wide * em(text)
        word, formula = max(words), max(formulas)
        wide = max(line, word, formula)
        return max(min(word, 12.0), formula), max(min(word, 20.0), formula, min(wide, _EASY)), wide

    def _measure_formula(self, tree: list) -> float:
        return estimate_width(tree, self._fonts.measure)

    def _measure_mono(self, line: str) -> float:
        """A line's width in em in the monospace face."""
        return max(self._fonts.measure(line), 0.61 * preformatted.count_columns(line))

    def _measure_block(self, block: list) -> Iterator[tuple[float, float]]:
        """Each line's unbroken width in em, and its height in lines."""
        kind = block[0]
        if kind in ("mono", "code"):
            extra = [""] * (2 if kind == "code" else 0)
            for line in [*extra, *block[-1].split("\n")]:
                yield self._measure_mono(line) + 1.5, 1.0
        elif kind == "math" and not block[1]:
            yield from self._measure_inlines([block[2]])
        elif kind == "math":
            first, *rest = block[2].split(r"\\")
            width = self._measure_formula(block[1])
            yield width, 1.6 + ("frac" in first)
            yield from ((width, 1.2 + ("frac" in row)) for row in rest)
        elif kind == "list":
            for depth, _, parts in block[1]:
                yield from ((w + 2 + 1.2 * depth, h) for w, h in self._measure_inlines(parts))
        elif kind == "table":
            rows = [[max(self._measure_inlines(cell), default=(0, 0)) for cell in row] for row in block[2]]
            whole = sum(wide for *_, wide in self._measure_columns(block)) + 2.1  # which a page keeps free
            for row in rows:
                yield whole, max(high for _, high in row) + 0.1
        else:
            factor = _HEADS[block[1] - 1] * _BOLD if kind == "head" else 1.0
            yield from self._measure_inlines(block[-1], factor)

    def _measure_inlines(self, parts: list, factor: float = 1.0) -> list[tuple[float, float]]:
        lines = [(0.0, 1.0)]
        for part in parts:
            if isinstance(part, list) and part[0] == "m" and part[1]:
                width, high = lines[-1]
                least = 1.9 if "frac" in part[-1] else 1.0 if is_flat(part[1]) else 1.15
                gaps = 2 * _CHINESE_GAP if self.language == "zh" else 0.0
                lines[-1] = (width + self._measure_formula(part[1]) + gaps, max(high, least))
                continue
            text = part if isinstance(part, str) else part[-1]
            first, *rest = text.split("\n")
            lines[-1] = (lines[-1][0] + self._fonts.measure(first) * factor, max(lines[-1][1], factor))
            lines += [(self._fonts.measure(line) * factor, factor) for line in rest]
        return lines


def _find_paragraphs(read: list[tuple[list, str]]) -> Iterator[str]:
    """The sources of the paragraphs."""
    return (source for block, source in read if block[0] == "p")


def _share_width(columns: list[tuple[float, float, float]], limit: float) -> list[float]:
    """Column widths in em: of the whole lines where they fit, else the least and a share of the rest.

    Short cells get one line first, unless that leaves a long one with many more lines.
    """
    narrow, easy, whole = (list(widths) for widths in zip(*columns, strict=True))
    shared = _widen(_widen(narrow, easy, limit), whole, limit)
    if (lines := _count_lines(whole, shared)) > _TALL:
        longest_first = _widen(narrow, whole, limit)
        if _count_lines(whole, longest_first) < 0.75 * lines:
            return longest_first
    return shared


def _widen(widths: list[float], wanted: list[float], limit: float) -> list[float]:
    """The widths, each with the same share of what it lacks, as far as the limit allows."""
    missing = [wide - width for wide, width in zip(wanted, widths, strict=True)]
    share = min(1.0, max(limit - sum(widths), 0.0) / sum(missing)) if sum(missing) else 0.0
    return [width + share * more for width, more in zip(widths, missing, strict=True)]


def _count_lines(whole: list[float], widths: list[float]) -> float:
    """The lines of the cell that has the most of them, by estimate."""
    return max(wide / width for wide, width in zip(whole, widths, strict=True))


def _read_text(node: object) -> str:
    """The text within inlines, without their formulas."""
    if isinstance(node, list):
        named = bool(node) and node[0] in ("m", "span", "covered")
        return "" if named else "".join(map(_read_text, node))
    return node if isinstance(node, str) else ""


def _read_prose(blocks: list[list]) -> Iterator[str]:
    """The text outside of code and formulas."""
    for block in blocks:
        if block[0] not in ("mono", "code"):
            yield from _read_block(block, with_formulas=False)


def _read_block(block: list, with_formulas: bool = True) -> Iterator[str]:
    kind = block[0]
    if kind in ("mono", "code"):
        yield from block[1:]
    elif kind == "math":
        yield from _read_inlines([block], with_formulas)
    elif kind == "list":
        for _, marker, parts in block[1]:
            yield from _read_inlines([marker, *parts], with_formulas)
    elif kind == "table":
        for cell in (cell for row in block[2] for cell in row):
            yield from _read_inlines(cell, with_formulas)
    else:
        yield from _read_inlines(block[-1], with_formulas)


def _read_inlines(parts: list, with_formulas: bool) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif part[0] in ("m", "math"):
            if with_formulas:
                yield from _read_tree(part[1]) if part[1] else [part[-1]]
        elif part[0] not in ("span", "covered"):
            yield part[-1]


def _read_tree(node: list) -> Iterator[str]:
    """The letters and signs of a formula's tree."""
    if node[:1] in (["s"], ["t"], ["op"]):
        yield node[1]
    elif node[-1:] != ["hide"]:
        for part in node:
            if isinstance(part, list):
                yield from _read_tree(part)


def _touches_chinese(neighbour: list, side: int) -> bool:
    """Whether the text beside a formula, in a list of one or none, has a Chinese character at that side."""
    text = neighbour[0] if neighbour and isinstance(neighbour[0], str) else ""
    return bool(_CHINESE.match(text[side:][:1]))


def _is_plain_paragraph(block: list) -> bool:
    return block[0] == "p" and all(isinstance(part, str) for part in block[2])


def _detect_language(text: str, prose: str) -> str:
    """The language that decides glyph forms and line breaks.

    Latin letters of formulas and code make no Chinese `text` English: its `prose` has none of them.
    """
    if re.search("[\u3041-\u30ff]", text):
        return "ja"
    if re.search("[\uac00-\ud7af]", text):
        return "ko"
    is_chinese = any(_CHINESE.search(each) and not is_english(each) for each in (text, prose))
    return "zh" if is_chinese else "en"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" and fonts.is_visible(character)


def _break_anywhere(run: str) -> str:
    """A run with break opportunities (U+200B) between its clusters, except before closing punctuation."""
    return _BAD_BREAK.sub("", "\u200b".join(_split_clusters(run)))


def _split_clusters(text: str) -> list[str]:
    """A text's grapheme clusters: a letter with its marks, an emoji with its joiners."""
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
