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

from prep.rendering import html, latex_text, preformatted
from prep.rendering.html import Cell
from prep.rendering.latex_text import parse_formula

_FENCE = re.compile(r"( *)(`{3,}|~{3,})[ \t]*([\w+#.-]*)[ \t]*\Z")
_HEAD = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*\Z")
_ITEM = re.compile(r"( *)([-*•]|\d{1,3}[.)])[ \t]+(\S.*)\Z")
_NUMBER = re.compile(r"[\d.,/]+\Z")
_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\Z")
_TABULAR = re.compile(
    r"\s*\\begin\{(tabular[x*]?)\}(?:\[\w\])?(?:\{[^{}]*\}(?=\{))?\{((?:[^{}]|\{[^{}]*\})*)\}(.*?)\\end\{\1\}"
    r"[ \t]*(?=\n|\Z)",
    re.DOTALL,
)
_TABULAR_IN_DOLLARS = re.compile(
    r"(\$\$?)\s*(\\begin\{tabular\}(?:(?!\\end\{tabular\}).){1,4000}\\end\{tabular\})\s*\1", re.DOTALL
)
_TABULAR_START = re.compile(r"(?m)^((?:[^$\n]|\$[^$\n]*\$)*?\S[ \t]*)(?=\\begin\{tabular[x*]?\})")
_TABULAR_END = re.compile(r"(\\end\{tabular[x*]?\})[ \t]*(?=[^\n$ \t])")
_TABULAR_COLUMN = re.compile(r"[lcrX]|[pmb]\{[^{}]*\}")
_TABULAR_RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule)\b|\\c(?:line|midrule)(?:\(\w*\))?\{[^}]*\}|\n"
)
_TABULAR_TOKEN = re.compile(r"\$[^$]*\$|&|\\\\(?:\*|\[[\w. ]*\])?|\\.|[^$&\\]+|.", re.DOTALL)
_MULTI = re.compile(
    r"\\multi(column|row)\s*(?:\[[^\]]*\])?\{\s*(\d+)\s*\}\s*(?:\{([^{}]*(?:\{[^{}]*\})?[^{}]*)\}|\*)\s*\{(.*)\}\Z",
    re.DOTALL,
)
_ARRAY_CELL = re.compile(
    r"\$\s*\\begin\{array\}\{[lcr]\}((?:(?!\\begin|&).)*)\\end\{array\}\s*\$\Z", re.DOTALL
)
_TEXT_GROUP = re.compile(r"\\text\s*\{([^{}$\\]*)\}")
_HTML_TABLE = re.compile(r"\s*(<table\b[^<>]*>.*?</table>)[ \t]*(?=\n|\Z)", re.DOTALL | re.IGNORECASE)
_HTML_TABLE_EDGE = re.compile(r"[ \t]*(?<!\n)(?=<table\b)|(?<=</table>)[ \t]*(?=\S)", re.IGNORECASE)
_HTML_PARAGRAPH = re.compile(r"\s*</?p>\s*", re.IGNORECASE)
_INLINE_PARTS = (
    r"(?<!`)(?P<ticks>`+)(?!`)(?P<tt>[^\n]{1,1000}?)(?<!`)(?P=ticks)(?!`)"
    rf"|(?-i:{latex_text.PATTERN})"
    r"|(?<![*A-Za-z0-9])(?P<stars>\*{2,3})(?=[^\s*])(?P<b>[^*\n]+?)(?<=[^\s*])(?P=stars)(?![*A-Za-z0-9])"
    r"|(?<![*A-Za-z0-9])\*(?=[^\s*])(?P<i>[^*\n]+?)(?<=[^\s*])\*(?![*A-Za-z0-9])"
)
_HTML_PARTS = (
    r"|<(?P<tag>sub|sup|u|b|strong|i|em)>(?P<marked>[^<>\n]{1,500})</(?P=tag)>"
    r"|(?P<br>\n?<br\s*/?>\n?)"
    r"|(?P<entity>&\#?\w{2,31};)"
)
_INLINE = re.compile(_INLINE_PARTS, re.DOTALL)
_INLINE_HTML = re.compile(_INLINE_PARTS + _HTML_PARTS, re.DOTALL | re.IGNORECASE)
_HTML_KINDS = {"strong": "b", "em": "i"}


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


def is_rtl(text: str) -> bool:
    """Whether the first strong character is written from right to left (Unicode's rule P2)."""
    strong = (d for d in map(unicodedata.bidirectional, text) if d in ("L", "R", "AL"))
    return next(strong, "L") != "L"


def parse_inlines(text: str, has_html: bool = False) -> list:
    """Parse code, mathematics, emphasis and, if it `has_html`, simple HTML within a text."""
    parts: list = []
    start = 0
    at = 0
    while match := (_INLINE_HTML if has_html else _INLINE).search(text, at):
        nodes = _parse_inline(match, has_html)
        at = match.start() + 1
        if nodes is not None:
            parts += [text[start : match.start()], *nodes]
            start = at = match.end()
    return _join_texts([*parts, text[start:]])


def _join_texts(parts: list) -> list:
    """The parts without empty texts, and with each text as long as it goes."""
    joined: list = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined


def _parse_inline(match: re.Match, has_html: bool) -> list | None:
    """The nodes that a match makes, or None if it is text."""
    kind = match.lastgroup or ""
    source = match[kind]
    if kind == "tt":
        has_room = source[0] == source[-1] == " " and source.strip() != ""  # `` `a` `` shows backticks
        return [["tt", source[1:-1] if has_room else source]]
    if kind in ("b", "i"):
        return _mark(kind, parse_inlines(source, has_html))
    if kind == "marked":
        tag = match["tag"].lower()
        return _mark(_HTML_KINDS.get(tag, tag), parse_inlines(source, has_html))
    if kind == "br":
        return ["\n"]
    if kind == "entity":
        return [html.read_entities(source)]
    if kind == "styled":
        return _mark("i" if match["italic"] else "b", parse_inlines(source[1:-1], has_html))
    node = latex_text.read_inline(match, html.read_entities(source) if has_html else source)
    return None if node is None else [node]


def _mark(kind: str, parts: list) -> list:
    """The parts with their texts marked; code and mathematics have a face of their own."""
    return [[kind, part] if isinstance(part, str) else part for part in parts]


class _BlockParser:
    """Parses a text block by block. The first parser that accepts the lines wins."""

    def __init__(self, text: str) -> None:
        self.has_html = html.is_simple(text)
        if "```" not in text:
            text = _TABULAR_IN_DOLLARS.sub(r"\2", text)
            text = _TABULAR_END.sub(r"\1\n", _TABULAR_START.sub(r"\1\n", text))
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
        parsers = (self.parse_fence, self.parse_table, self.parse_preformatted, self.parse_heading)
        for parse_block in (
            *parsers,
            self.parse_list,
            self.parse_latex_list,
            self.parse_display,
            self.parse_tabular,
            self.parse_html_table,
        ):
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
        """A fenced code block, without the indent that it has as part of a list; one never closed is text."""
        opening = _FENCE.match(self.lines[self.at])
        if not opening:
            return None
        for end in range(self.at + 1, len(self.lines)):
            closing = _FENCE.match(self.lines[end])
            if closing and closing[2].startswith(opening[2]) and not closing[3]:
                body = [line.expandtabs(4) for line in self.lines[self.at + 1 : end]]
                self.at = end + 1
                indent = re.compile(f" {{0,{len(opening[1])}}}")
                return ["code", opening[3], "\n".join(indent.sub("", line, count=1) for line in body)]
        return None

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
        """`## …`; a single `#` may be a comment in code and counts only between blank lines."""
        match = _HEAD.match(self.lines[self.at])
        is_alone = self.is_blank(self.at - 1) and self.is_blank(self.at + 1)
        if not match or (len(match[1]) == 1 and not is_alone):
            return None
        self.at += 1
        return ["head", len(match[1]), self.parse_inlines(match[2])]

    def parse_table(self) -> list | None:
        """A pipe table: rows of equal length, with a line of dashes below the first."""
        if self.at + 1 >= len(self.lines) or "|" not in self.lines[self.at]:
            return None
        rule = self.lines[self.at + 1].strip()
        head = _split_cells(self.lines[self.at])
        marks = _split_cells(rule)
        if not _RULE.match(rule) or "-" not in rule or len(marks) != len(head):
            return None
        rows = [head]
        self.at += 2
        while self.at < len(self.lines) and "|" in self.lines[self.at]:
            rows.append(_split_cells(self.lines[self.at]))
            self.at += 1
        sides = ["center" if m[0] == m[-1] == ":" else "right" if m[-1] == ":" else "left" for m in marks]
        return self.build_table(sides, [list(map(Cell, row)) for row in rows], True)

    def parse_list(self) -> list | None:
        """A list of two items or more, with the lines that continue an item; a single marked line is text."""
        found: list[list] = []
        indent = 0
        if self.at < self.numbers_end:
            return None
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if match := _ITEM.match(line):
                marker = "•" if match[2] in "-*•+" else match[2]
                found.append([min(len(match[1]) // 2, 6), marker, [match[3].rstrip()]])
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
        """A LaTeX tabular on lines of its own. `&` and `\\\\` within formulas do not end cells and rows."""
        match = self.match_lines(_TABULAR, r"\begin{tabular}")
        if not match:
            return None
        rows = [[""]]
        for token in _TABULAR_TOKEN.findall(_TABULAR_RULE.sub(" ", match[3])):
            if token == "&":
                rows[-1].append("")
            elif token.startswith("\\\\"):
                rows.append([""])
            else:
                rows[-1][-1] += token
        sides = [{"c": "center", "r": "right"}.get(mark, "left") for mark in _read_column_marks(match[2])]
        return self.build_table(sides, _read_spans([row for row in rows if any(map(str.strip, row))]), False)

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
        text = "\n".join(map(keep_indentation, self.lines[start : self.at]))
        return ["p", is_rtl(text), self.parse_inlines(text)]

    def build_table(self, sides: list[str], rows: list[list[Cell]], has_head: bool) -> list | None:
        """A table, its rows filled up with empty cells; None if it has no cell, or a row has too many."""
        rows = [row for row in rows if row]
        if not rows or not sides:
            return None
        grid = [[[] for _ in sides] for _ in rows]
        taken: set[tuple[int, int]] = set()
        for number, row in enumerate(rows):
            free = (at for at in range(len(sides)) if (number, at) not in taken)
            for cell in row:
                at = next(free, None)
                if at is None or at + cell.across > len(sides):
                    return None
                down = min(cell.down, len(rows) - number)
                covered = {(number + y, at + x) for y in range(down) for x in range(cell.across)}
                if covered & taken:
                    return None
                taken |= covered
                parts = self.parse_inlines(_read_array_cell(cell.text))
                if cell.side or len(covered) > 1:
                    for y, x in covered:
                        grid[y][x] = [["covered"]]
                    parts = [["span", cell.across, down, cell.side or "center"], *parts]
                grid[number][at] = parts
        return ["table", sides, grid, has_head]

    def parse_inlines(self, text: str) -> list:
        return parse_inlines(text, self.has_html)


def _read_column_marks(specification: str) -> list[str]:
    """The columns of a tabular, each by the letter of its alignment."""
    repeated = re.sub(r"\*\{(\d{1,2})\}\{([^{}]*)\}", lambda match: int(match[1]) * match[2], specification)
    return [mark[0] for mark in _TABULAR_COLUMN.findall(re.sub(r"[@!<>]\{[^{}]*\}", "", repeated))]


def _read_spans(rows: list[list[str]]) -> list[list[Cell]]:
    """The cells of a tabular. A cell in several rows leaves an empty one in each row below it, which goes."""
    read: list[list[Cell]] = []
    below: dict[int, int] = {}
    for row in rows:
        cells: list[Cell] = []
        column = 0
        for text in row:
            cell = _read_span(text.strip())
            if below.get(column) and not cell.text:
                below[column] -= 1
            else:
                cells.append(cell)
                below |= {column + more: cell.down - 1 for more in range(cell.across)}
            column += cell.across
        read.append(cells)
    return read


def _read_span(text: str) -> Cell:
    match = _MULTI.match(text)
    if not match:
        return Cell(text)
    count = max(1, min(int(match[2]), 99))
    if match[1] == "column":
        inner = _read_span(match[4].strip())
        side = {"l": "left", "r": "right"}.get("".join(_read_column_marks(match[3] or "")), "center")
        return inner._replace(across=count, side=side)
    return _read_span(match[4].strip())._replace(down=count)


def _read_array_cell(text: str) -> str:
    """A cell that is one array of text as lines of text, which can be broken; any other as it is.

    Lines that end and begin with Chinese are joined: the array broke them for want of room.
    """
    match = _ARRAY_CELL.match(text)
    lines = "\n".join(map(_read_text_groups, re.split(r"\\\\", match[1]))) if match else text
    return re.sub(r"(?<=[\u3400-\u9fff])\n(?=[\u3400-\u9fff])", "", lines)


def _read_text_groups(formula: str) -> str:
    """A formula as text, with the mathematics between its groups of text in dollars."""
    parts = re.split(_TEXT_GROUP, formula)
    for at in range(0, len(parts), 2):
        part = parts[at].strip()
        parts[at] = part if re.fullmatch(r"[\s\d,.;:，。；：、]*", part) else f"${part}$"
    return re.sub(
        r"(?<=[\u3000-\u9fff\uff00-\uffef]) +(?=[\u3000-\u9fff\uff00-\uffef])|^ +| +$", "", "".join(parts)
    )


def _strip(cell: Cell) -> Cell:
    return cell._replace(text=re.sub(r"\s*\n\s*", " ", cell.text.strip()))


def _split_cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)]


def keep_indentation(line: str) -> str:
    """Replace leading blanks by no-break spaces, which typst does not drop."""
    line = line.expandtabs(4).rstrip(" ")
    body = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(body)) + body
