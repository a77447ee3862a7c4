"""Conservative Markdown parser: a question's text as blocks of plain data.

Marks are not rendered, so a construct counts only where it can hardly be anything else. All other text stays
literal, `2*3*4`, `$5 to $10` and `__init__` included. The first item of a block or inline names it:

    ["p", rtl, inlines]   ["mono", text]   ["code", language, text]   ["head", level, inlines]
    ["list", [[depth, marker, inlines], …], rtl]   ["table", [alignment, …], [[inlines, …], …], has_head]
    ["math", tree, source]

    "text"   ["b", text]   ["i", text]   ["tt", text]   ["m", tree, source]
"""

import re
import unicodedata
from collections.abc import Iterator

from prep.rendering import latex, preformatted

_FENCE = re.compile(r"( *)(`{3,}|~{3,})[ \t]*([\w+#.-]*)[ \t]*\Z")
_HEAD = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*\Z")
_ITEM = re.compile(r"( *)([-*•]|\d{1,3}[.)])[ \t]+(\S.*)\Z")
_NUMBER = re.compile(r"[\d.,/]+\Z")
_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\Z")
_DISPLAY = re.compile(r"[ \t]*(?:\$\$(.+?)\$\$|\\\[(.+?)\\\])[ \t]*(?=\n|\Z)", re.DOTALL)
_TABULAR = re.compile(r"\s*\\begin\{tabular\}\{([lcr| ]+)\}(.*?)\\end\{tabular\}[ \t]*(?=\n|\Z)", re.DOTALL)
_TABULAR_RULE = re.compile(r"\\hline|\\cline\{[^}]*\}|\n")
_TABULAR_TOKEN = re.compile(r"\$[^$]*\$|&|\\.|[^$&\\]+|.", re.DOTALL)
_INLINE = re.compile(
    r"(?P<ticks>`+)(?P<tt>[^`\n]+)(?P=ticks)(?!`)"
    r"|\$\$(?P<mm>[^$]+?)\$\$"
    r"|(?<![\\$A-Za-z0-9])\$(?P<m>[^$\n]{1,1000}?)(?<!\\)\$(?![A-Za-z0-9])"
    r"|\\\((?P<mp>.+?)\\\)"
    r"|\\\[(?P<mb>.+?)\\\]"
    r"|(?<![*A-Za-z0-9])\*\*(?=[^\s*])(?P<b>[^*\n]+?)(?<=[^\s*])\*\*(?![*A-Za-z0-9])"
    r"|(?<![*A-Za-z0-9])\*(?=[^\s*])(?P<i>[^*\n]+?)(?<=[^\s*])\*(?![*A-Za-z0-9])",
    re.DOTALL,
)
_PROSE = re.compile(r"[\d.,]+\s*[^\W\d_]{2,}|.*[^\W\d_]{2,}\s+[^\W\d_]{2,}")


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


def parse_inlines(text: str) -> list:
    """Parse code, mathematics and emphasis within a text."""
    parts: list = []
    start = 0
    for match in _INLINE.finditer(text):
        node = _parse_inline(match)
        if node is None:
            continue
        if match.start() > start:
            parts.append(text[start : match.start()])
        parts.append(node)
        start = match.end()
    if start < len(text):
        parts.append(text[start:])
    return parts


def _parse_inline(match: re.Match) -> list | None:
    kind = match.lastgroup
    if kind in ("tt", "b", "i"):
        return [kind, match[kind]]
    source = match[kind]
    if kind == "m" and not _is_formula(source):
        return None
    return ["m", _parse_formula(source), match.group()]


def _parse_formula(source: str) -> list | None:
    try:
        return latex.parse(source)
    except latex.UnsupportedLatex:
        return None


def _is_formula(source: str) -> bool:
    """Whether text between single dollars is mathematics, not words between two sums of money."""
    if re.search(r"[\\^_{}=]", source):
        return True
    return source.strip() != "" and not _PROSE.match(source)


class _BlockParser:
    """Parses a text block by block. The first parser that accepts the lines wins."""

    def __init__(self, text: str) -> None:
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
        for parse_block in (*parsers, self.parse_list, self.parse_display, self.parse_tabular):
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
        return ["head", len(match[1]), parse_inlines(match[2])]

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
        return _build_table(sides, rows, True)

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
        items = [[depth, marker, parse_inlines("\n".join(text))] for depth, marker, text in found]
        return ["list", items, is_rtl("".join(text for _, _, lines in found for text in lines))]

    def parse_display(self) -> list | None:
        """A formula on lines of its own, between `$$` or `\\[` and `\\]`."""
        match = self.match_lines(_DISPLAY, "$$", "\\[")
        return match and ["math", _parse_formula(match[1] or match[2]), match.group().strip()]

    def parse_tabular(self) -> list | None:
        """A LaTeX tabular on lines of its own. `&` and `\\\\` within formulas do not end cells and rows."""
        match = self.match_lines(_TABULAR, r"\begin{tabular}")
        if not match:
            return None
        rows = [[""]]
        for token in _TABULAR_TOKEN.findall(_TABULAR_RULE.sub(" ", match[2])):
            if token == "&":
                rows[-1].append("")
            elif token == r"\\":
                rows.append([""])
            else:
                rows[-1][-1] += token
        rows = [[cell.strip() for cell in row] for row in rows if any(map(str.strip, row))]
        sides = [{"l": "left", "r": "right"}.get(mark, "center") for mark in match[1] if mark in "lcr"]
        return _build_table(sides, rows, False)

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
        return ["p", is_rtl(text), parse_inlines(text)]


def _build_table(sides: list[str], rows: list[list[str]], has_head: bool) -> list | None:
    """A table, its rows filled up with empty cells; None if it has no cell, or a row has too many."""
    if not rows or not sides or max(map(len, rows)) > len(sides):
        return None
    filled = [row + [""] * (len(sides) - len(row)) for row in rows]
    return ["table", sides, [list(map(parse_inlines, row)) for row in filled], has_head]


def _split_cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)]


def keep_indentation(line: str) -> str:
    """Replace leading blanks by no-break spaces, which typst does not drop."""
    line = line.expandtabs(4).rstrip(" ")
    body = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(body)) + body
