"""Conservative Markdown parser: a question's text as blocks of plain data.

Marks are not rendered, so a construct counts only where it can hardly be anything else. All other text stays
literal, `2*3*4`, `$5 to $10` and `__init__` included. The first item of a block or inline names it:

    ["p", rtl, inlines]   ["mono", text]   ["code", language, text]   ["head", level, inlines]
    ["list", [[depth, marker, inlines], …], rtl]   ["table", [alignment, …], [[inlines, …], …], has_head]
    ["math", tree, source]

    "text"   ["b" | "i" | "u" | "sub" | "sup", text]   ["tt", text]   ["m", tree, source]

In a table, ["span", columns, rows, alignment] comes first in a cell that spans others, which are ["covered"].
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from prep.rendering import html, latex_prose, latex_text, latex_tree, preformatted, tables
from prep.rendering.html import Cell
from prep.rendering.latex_text import parse_formula

_FENCE = re.compile(r"( *)(`{3,}|~{3,})[ \t]*([\w+#.-]*)[ \t]*\Z")
_HEAD = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*\Z")
_ITEM = re.compile(r"( *)([-*•]|\d{1,3}[.)])[ \t]+(\S.*)\Z")
_DEEPEST = 12
"""The depth of a list from which on items are no further to the right."""
_NUMBER = re.compile(r"[\d.,/]+\Z")
_HTML_TABLE = re.compile(r"\s*(<table\b[^<>]*>.*?</table>)[ \t]*(?=\n|\Z)", re.DOTALL | re.IGNORECASE)
_HTML_TABLE_EDGE = re.compile(r"[ \t]*(?<!\n)(?=<table\b)|(?<=</table>)[ \t]*(?=\S)", re.IGNORECASE)
_HTML_PARAGRAPH = re.compile(r"\s*</?p>\s*", re.IGNORECASE)
_TICKS = r"(?<!`)(?P<ticks>`+)(?!`)(?P<tt>[^\n]{1,1000}?)(?<!`)(?P=ticks)(?!`)"
_EMPHASIS = (
    r"|(?<![*A-Za-z0-9])(?P<stars>\*{2,3})(?=[^\s*])(?P<b>[^*\n]+?)(?<=[^\s*])(?P=stars)(?![*A-Za-z0-9])"
    r"|(?<![*A-Za-z0-9])\*(?=[^\s*])(?P<i>[^*\n]+?)(?<=[^\s*])\*(?![*A-Za-z0-9])"
)
_HTML_PARTS = (
    r"|<(?P<tag>sub|sup|u|b|strong|i|em|code)>(?P<marked>[^<>\n]{1,500})</(?P=tag)>"
    r"|(?P<br>\n?<br\s*/?>\n?)"
    r"|(?P<entity>&\#?\w{2,31};)"
)
_HTML_KINDS = {"strong": "b", "em": "i"}


class Notations(NamedTuple):
    """What a text is written with, besides Markdown and formulas."""

    html: bool = False
    latex: bool = False
    quotes: bool = False


_PLAIN = Notations()


@cache
def _compile_inline(notations: Notations) -> re.Pattern:
    quotes = latex_prose.QUOTES_PATTERN[1:] + "|" if notations.quotes else ""
    prose = latex_prose.PATTERN + (latex_prose.LATEX_PATTERN if notations.latex else "")
    latex = f"(?-i:{latex_text.FORMULA_PATTERN}|{prose}|{latex_text.COMMAND_PATTERN})"
    tags = _HTML_PARTS if notations.html else ""
    return re.compile(
        f"{quotes}{_TICKS}|{latex}{_EMPHASIS}{tags}", re.DOTALL | re.IGNORECASE if tags else re.DOTALL
    )


def parse(text: str) -> list[tuple[list, str]]:
    """Parse a text, whose line ends are `\\n`, into blocks, each with its source lines."""
    return _BlockParser(text).parse()


def parse_plain(text: str) -> list[list]:
    """Split a text into paragraphs without parsing any markup."""
    return [["p", is_rtl(part), [part]] for part in re.split(r"\n[ \t]*\n", text) if part.strip()]


def find_formulas(node: object) -> Iterator[list]:
    """The formulas within blocks or inlines; an unsupported one has None for its tree."""
    if isinstance(node, list) and node:
        if node[0] in ("m", "math") and len(node) == 3 and (node[1] is None or node[1][0] == "row"):
            yield node
        else:
            for part in node:
                yield from find_formulas(part)


def read_partly(blocks: list) -> Iterator[str]:
    """Read the unsupported formulas as far as possible. Yields the LaTeX that stays literal."""
    for formula in find_formulas(blocks):
        if formula[1] is None:
            formula[1] = latex_text.parse_partly(formula[2])
            yield from latex_tree.find_raw(formula[1]) if formula[1] else [formula[2]]


def is_rtl(text: str) -> bool:
    """Whether the first strong character is written from right to left (Unicode's rule P2)."""
    strong = (d for d in map(unicodedata.bidirectional, text) if d in ("L", "R", "AL"))
    return next(strong, "L") != "L"


def parse_inlines(text: str, notations: Notations = _PLAIN) -> list:
    """Parse code, mathematics, emphasis, and what the text's other notations have."""
    pattern = _compile_inline(notations)
    parts: list = []
    at = 0
    while match := pattern.search(text, at):
        nodes = _parse_inline(match, notations)
        at = match.start() + 1
        if nodes is not None:
            before, after = latex_text.find_gaps(match, parts[-1] if parts else "\n")
            parts += [text[: match.start()], before, *nodes, after]
            text, at = text[match.end() :], 0  # what follows, such as `$y$` after `$x$`, begins anew
    return _join_texts([*parts, text])


def _join_texts(parts: list) -> list:
    """The parts without empty texts, and with each text as long as it goes."""
    joined: list = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined


def _parse_inline(match: re.Match, notations: Notations) -> list | None:
    """The nodes that a match makes, or None if it is text."""
    prose = latex_prose.read_inline(match, lambda text: parse_inlines(text, notations))
    if prose is not None:
        return prose
    kind = match.lastgroup or ""
    source = match[kind]
    if kind == "tt":
        has_room = source[0] == source[-1] == " " and source.strip() != ""  # `` `a` `` shows backticks
        return [["tt", source[1:-1] if has_room else source]]
    if kind in ("b", "i"):
        return _mark(kind, parse_inlines(source, notations))
    if kind == "marked":
        tag = match["tag"].lower()
        if tag == "code":
            return [["tt", html.read_entities(source)]]
        return _mark(_HTML_KINDS.get(tag, tag), parse_inlines(source, notations))
    if kind == "br":
        return ["\n"]
    if kind == "entity":
        return [html.read_entities(source)]
    if kind == "styled":
        return _mark("i" if match["italic"] else "b", parse_inlines(source[1:-1], notations))
    node = latex_text.read_inline(match, html.read_entities(source) if notations.html else source)
    return None if node is None else [node]


def _mark(kind: str, parts: list) -> list:
    """The parts with their texts marked; code and mathematics have a face of their own."""
    return [[kind, part] if isinstance(part, str) else part for part in parts]


class _BlockParser:
    """Parses a text block by block. The first parser that accepts the lines wins."""

    def __init__(self, text: str) -> None:
        self.has_html = html.is_simple(text)
        is_code = "```" in text
        has_quotes = not is_code and latex_prose.has_quotes(text)
        is_latex = has_quotes or (not is_code and latex_prose.is_latex(text))
        self.notations = Notations(self.has_html, is_latex, has_quotes)
        if not is_code:
            text = latex_prose.isolate_verbatim(text)
            text = latex_prose.isolate_sections(tables.isolate_tabulars(text))
            if self.has_html:
                text = _HTML_TABLE_EDGE.sub("\n", _HTML_PARAGRAPH.sub("\n\n", text))
        self.lines = text.split("\n")
        self.at = 0
        self.start = 0
        """The first line of the block that is parsed."""
        self.numbers_end = 0
        """The end of the last lines that look like a list and are numbers with a minus."""

    def parse(self) -> list[tuple[list, str]]:
        blocks = []
        while self.at < len(self.lines):
            if not self.lines[self.at].strip():
                self.at += 1
                continue
            self.start = self.at
            block = self.parse_special() or self.parse_paragraph()
            blocks.append((block, "\n".join(self.lines[self.start : self.at])))
        return blocks

    def parse_special(self) -> list | None:
        """A block that is no paragraph, or None without advancing."""
        certain = (
            self.parse_fence,
            self.parse_verbatim,
            self.parse_table,
            self.parse_html_table,
            self.parse_display,
        )
        latex = (self.parse_latex_list, self.parse_tabular)
        guessed = (self.parse_preformatted, self.parse_heading, self.parse_list)
        for parse_block in (*certain, *latex, *guessed):
            start = self.at
            block = parse_block()
            if block is not None:
                return block
            self.at = start
        return None

    def match_lines(self, pattern: re.Pattern, *starts: str) -> re.Match | None:
        """Match whole lines from here on, of which the first begins with one of `starts`, and advance."""
        if not self.lines[self.at].lstrip().startswith(starts):
            return None
        match = pattern.match("\n".join(self.lines[self.at :]))
        if match:
            self.at += match.group().count("\n") + 1
        return match

    def is_blank(self, number: int) -> bool:
        return not 0 <= number < len(self.lines) or not self.lines[number].strip()

    def parse_fence(self) -> list | None:
        """A fenced code block, without the indent that it has as part of a list.

        One that is never closed reaches to the text's end if it names a language or has code in it.
        """
        opening = _FENCE.match(self.lines[self.at])
        if not opening:
            return None
        start = self.at + 1
        fences = ((at, _FENCE.match(self.lines[at])) for at in range(start, len(self.lines)))
        ends = (at for at, fence in fences if fence and fence[2].startswith(opening[2]) and not fence[3])
        end = next(ends, len(self.lines))
        if end == len(self.lines) and not opening[3] and preformatted.find_code(self.lines, start) == start:
            return None
        indent = re.compile(f" {{0,{len(opening[1])}}}")
        body = "\n".join(indent.sub("", line.expandtabs(4), count=1) for line in self.lines[start:end])
        if end == len(self.lines):
            body = body.rstrip()
        self.at = end + 1
        return ["code", opening[3], body] if body or end < len(self.lines) else None

    def parse_verbatim(self) -> list | None:
        """A verbatim environment; the code of a drawing, which stands there as it is written."""
        match = self.match_lines(latex_prose.VERBATIM, "\\begin{", "$", "[asy]", "<asy>")
        return match and ["code", "", (match["drawing"] or match["body"]).expandtabs(4)]

    def parse_preformatted(self) -> list | None:
        """Lines that are preformatted without a fence: code, or lines whose columns mean something."""
        start = end = self.at
        if start == self.start or preformatted.is_prose(self.lines[start - 1]):
            end = preformatted.find_code(self.lines, start)
        if end == start:
            end = preformatted.find_columns(self.lines, start)
        lines = self.lines[start:end]
        self.at = end
        tabs = 8 if any("\t" in line.strip() for line in lines) else 4
        return ["mono", "\n".join(line.expandtabs(tabs).rstrip() for line in lines)] if lines else None

    def parse_heading(self) -> list | None:
        """`## …`; a single `#` may be a comment in code and counts only after a blank line, above prose."""
        if section := latex_prose.SECTION.fullmatch(self.lines[self.at].strip()):
            self.at += 1
            return ["head", min(2 + len(section[1]) // 3, 6), self.parse_inlines(section[2][1:-1])]
        match = _HEAD.match(self.lines[self.at])
        is_apart = self.is_blank(self.at - 1) and (
            self.is_blank(self.at + 1) or preformatted.begins_prose(self.lines[self.at + 1])
        )
        if not match or (len(match[1]) == 1 and not is_apart):
            return None
        self.at += 1
        return ["head", len(match[1]), self.parse_inlines(match[2])]

    def parse_table(self) -> list | None:
        """A pipe table: rows of equal length, with a line of dashes below the first."""
        if self.at + 1 >= len(self.lines) or "|" not in self.lines[self.at]:
            return None
        table = tables.read_pipe_table(self.lines, self.at)
        if not table:
            return None
        sides, rows, self.at = table
        return self.build_table(sides, rows, True)

    def parse_list(self) -> list | None:
        """A list of two items or more, with the lines that continue an item; a single marked line is text."""
        found: list[list] = []
        indents: list[int] = []  # of the items that the next may be in
        indent = 0
        if self.at < self.numbers_end:
            return None
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if match := _ITEM.match(line):
                marker = "•" if match[2] in "-*•+" else match[2]
                indents = [*(each for each in indents if each + 2 <= len(match[1])), len(match[1])]
                found.append([min(len(indents) - 1, _DEEPEST), marker, [match[3].rstrip()]])
                indent = len(match[1]) + 2
            elif found and line.startswith(" " * indent) and line.strip() and not _FENCE.match(line):
                found[-1][2].append(line.strip())
            else:
                break
            self.at += 1
            if self.is_blank(self.at) and not self.is_blank(self.at + 1):
                line = self.lines[self.at + 1]
                self.at += bool(_ITEM.match(line) or line.startswith(" " * indent))
        if found and all(marker == "•" and _NUMBER.match(text[0]) for _, marker, text in found):
            self.numbers_end = self.at
            return None
        if len(found) < 2:
            return None
        items = [[depth, marker, self.parse_inlines("\n".join(text))] for depth, marker, text in found]
        return ["list", items, is_rtl("".join(text for _, _, lines in found for text in lines))]

    def parse_display(self) -> list | None:
        """A formula on lines of its own, between `$$` or `\\[` and `\\]`."""
        match = self.match_lines(latex_text.DISPLAY, "$$", "\\[", "\\begin{")
        source = match and (match[1] or match[2] or match[3])
        return match and ["math", parse_formula(source), match.group().strip()]

    def parse_latex_list(self) -> list | None:
        """An enumerate or itemize on lines of its own."""
        if not self.lines[self.at].lstrip().startswith(("\\begin{enumerate}", "\\begin{itemize}")):
            return None
        text = "\n".join(self.lines[self.at :])
        end = latex_text.find_list(text)
        items = (
            latex_text.read_list(text[:end]) if end and not text[end:].partition("\n")[0].strip() else None
        )
        if not items:
            return None
        self.at += text[:end].count("\n") + 1
        is_from_right = is_rtl("".join(item[2] for item in items))
        return [
            "list",
            [[depth, mark, self.parse_inlines(item)] for depth, mark, item in items],
            is_from_right,
        ]

    def parse_tabular(self) -> list | None:
        """A LaTeX tabular on lines of its own."""
        if not self.lines[self.at].lstrip().startswith("\\begin{"):
            return None
        text = "\n".join(self.lines[self.at :])
        end = tables.find_tabular_end(text)
        if not end or text[end:].partition("\n")[0].strip():
            return None
        table = tables.read_tabular(text[:end].strip())
        self.at += text[:end].count("\n") + 1
        return table and self.build_table(*table, False)

    def parse_html_table(self) -> list | None:
        """A simple HTML table on lines of its own."""
        match = self.match_lines(_HTML_TABLE, "<table", "<TABLE", "<Table") if self.has_html else None
        table = match and html.read_table(match[1])
        if not table:
            return None
        rows, has_head = table
        size = max(sum(cell.across for cell in row) for row in rows)
        return self.build_table(["left"] * size, [[_strip(cell) for cell in row] for row in rows], has_head)

    def parse_paragraph(self) -> list:
        """The lines up to a blank one or another block."""
        start = self.at
        while not self.is_blank(self.at):
            self.at += 1
            here = self.at
            if not self.is_blank(here) and self.parse_special():
                self.at = here
                break
        text = "\n".join(self.lines[start : self.at])
        isolated = latex_text.isolate_displays(text)
        if isolated != text:
            self.lines[start : self.at] = isolated.split("\n")
            self.at = start
            return self.parse_special() or self.parse_paragraph()
        text = "\n".join(map(keep_indentation, self.lines[start : self.at]))
        return ["p", is_rtl(text), self.parse_inlines(text)]

    def build_table(self, sides: list[str], rows: list[list[Cell]], has_head: bool) -> list | None:
        return tables.build_table(sides, rows, has_head, self.parse_inlines)

    def parse_inlines(self, text: str) -> list:
        return parse_inlines(text, self.notations)


def _strip(cell: Cell) -> Cell:
    return cell._replace(text=re.sub(r"\s*\n\s*", " ", cell.text.strip()))


def keep_indentation(line: str) -> str:
    """Replace leading blanks by no-break spaces, which typst does not drop."""
    line = line.expandtabs(4).rstrip(" ")
    body = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(body)) + body
