"""A question's text as blocks of plain data, for the typesetter's page.

Markdown is read with care, since what is taken for a mark is not drawn: a construct counts only where
it can hardly be anything else, and all other text stays as it is written, `2*3*4`, `$5 to $10` and
`__init__` included. Blocks and inlines are lists whose first item names them:

    ["p", rtl, inlines]   ["mono", text]   ["code", language, text]   ["head", level, inlines]
    ["list", [[depth, marker, inlines], …]]   ["table", [alignment, …], [[inlines, …], …], has_head]
    ["math", tree, source]

    "text"   ["b", text]   ["i", text]   ["tt", text]   ["m", tree, source]
"""

import re
import unicodedata
from collections.abc import Iterator

from prep.rendering import latex

_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})[ \t]*([\w+#.-]*)[ \t]*\Z")
_HEAD = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*\Z")
_ITEM = re.compile(r"( *)([-*•]|\d{1,3}[.)])[ \t]+(\S.*)\Z")
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


def parse(text: str) -> list[list]:
    """The blocks of a text whose line ends are `\\n`."""
    return [block for block, _ in sourced(text)]


def sourced(text: str) -> list[tuple[list, str]]:
    """The blocks, each with the lines that it was read from."""
    return _Blocks(text).read()


def plain(text: str) -> list[list]:
    """The text with no markup read at all, paragraph by paragraph."""
    return [["p", is_rtl(part), [part]] for part in re.split(r"\n[ \t]*\n", text) if part.strip()]


def formulas(node: object) -> Iterator[list]:
    """The formulas within blocks or inlines; one that is not understood has None for its tree."""
    if isinstance(node, list) and node:
        if node[0] in ("m", "math") and len(node) == 3 and (node[1] is None or node[1][0] == "row"):
            yield node
        else:
            for part in node:
                yield from formulas(part)


def is_rtl(text: str) -> bool:
    """Whether the first strong character is written from right to left (Unicode's rule P2)."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def inlines(text: str) -> list:
    """Text with code, mathematics and emphasis taken out of it."""
    parts: list = []
    start = 0
    for match in _INLINE.finditer(text):
        node = _inline(match)
        if node is None:
            continue
        if match.start() > start:
            parts.append(text[start : match.start()])
        parts.append(node)
        start = match.end()
    if start < len(text):
        parts.append(text[start:])
    return parts


def _inline(match: re.Match) -> list | None:
    kind = match.lastgroup
    if kind in ("tt", "b", "i"):
        return [kind, match[kind]]
    source = match[kind]
    if kind == "m" and not _is_formula(source):
        return None
    try:
        return ["m", latex.parse(source), match.group()]
    except latex.Unread:
        return ["m", None, match.group()]


def _is_formula(source: str) -> bool:
    """Between single dollars: mathematics, or two sums of money with words between them?"""
    if re.search(r"[\\^_{}=]", source):
        return True
    return source.strip() != "" and not _PROSE.match(source)


class _Blocks:
    """Reads a text block by block, each block by the first reader that knows it."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.at = 0

    def read(self) -> list[tuple[list, str]]:
        blocks = []
        while self.at < len(self.lines):
            start = self.at
            if not self.lines[start].strip():
                self.at += 1
                continue
            block = self.special() or self.paragraph()
            blocks.append((block, "\n".join(self.lines[start : self.at])))
        return blocks

    def special(self) -> list | None:
        """A block that is no paragraph; None leaves the place where it was."""
        for reader in (self.fenced, self.heading, self.table, self.items, self.display, self.tabular):
            start = self.at
            block = reader()
            if block is not None:
                return block
            self.at = start
        return None

    def blank(self, number: int) -> bool:
        return not 0 <= number < len(self.lines) or not self.lines[number].strip()

    def fenced(self) -> list | None:
        """A fenced block of code; one that is never closed is text."""
        opening = _FENCE.match(self.lines[self.at])
        if not opening:
            return None
        for end in range(self.at + 1, len(self.lines)):
            closing = _FENCE.match(self.lines[end])
            if closing and closing[2].startswith(opening[2]) and not closing[3]:
                body = self.lines[self.at + 1 : end]
                self.at = end + 1
                return ["code", opening[3], "\n".join(line.expandtabs(4) for line in body)]
        return None

    def heading(self) -> list | None:
        """`## …`; a single `#` may be a comment in code, and counts only between blank lines."""
        match = _HEAD.match(self.lines[self.at])
        if not match or (len(match[1]) == 1 and not (self.blank(self.at - 1) and self.blank(self.at + 1))):
            return None
        self.at += 1
        return ["head", len(match[1]), inlines(match[2])]

    def table(self) -> list | None:
        """Rows between pipes with a line of dashes under the first, as many cells in each."""
        if self.at + 1 >= len(self.lines) or "|" not in self.lines[self.at]:
            return None
        rule = self.lines[self.at + 1].strip()
        head = _cells(self.lines[self.at])
        marks = _cells(rule)
        if not _RULE.match(rule) or "-" not in rule or len(marks) != len(head):
            return None
        rows = [head]
        self.at += 2
        while self.at < len(self.lines) and "|" in self.lines[self.at]:
            cells = _cells(self.lines[self.at])
            if len(cells) > len(head):
                return None
            rows.append(cells + [""] * (len(head) - len(cells)))
            self.at += 1
        sides = ["center" if m[0] == m[-1] == ":" else "right" if m[-1] == ":" else "left" for m in marks]
        return ["table", sides, [[inlines(cell) for cell in row] for row in rows], True]

    def items(self) -> list | None:
        """A list of two items or more; a single marked line is text."""
        found = []
        while self.at < len(self.lines) and (match := _ITEM.match(self.lines[self.at])):
            marker = "•" if match[2] in "-*•" else match[2]
            found.append([min(len(match[1]) // 2, 6), marker, inlines(match[3].rstrip())])
            self.at += 1
            if self.at + 1 < len(self.lines) and self.blank(self.at) and _ITEM.match(self.lines[self.at + 1]):
                self.at += 1
        return ["list", found] if len(found) > 1 else None

    def display(self) -> list | None:
        """A formula on lines of its own, between `$$` or `\\[` and `\\]`."""
        if not self.lines[self.at].lstrip().startswith(("$$", "\\[")):
            return None
        match = _DISPLAY.match("\n".join(self.lines[self.at :]))
        if not match:
            return None
        try:
            tree = latex.parse(match[1] or match[2])
        except latex.Unread:
            tree = None
        self.at += match.group().count("\n") + 1
        return ["math", tree, match.group().strip()]

    def tabular(self) -> list | None:
        """LaTeX's table, on lines of its own: cells between `&`, rows between `\\\\`, but not in formulas."""
        if not self.lines[self.at].lstrip().startswith(r"\begin{tabular}"):
            return None
        match = _TABULAR.match("\n".join(self.lines[self.at :]))
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
        if not rows or not sides or any(len(row) > len(sides) for row in rows):
            return None
        self.at += match.group().count("\n") + 1
        cells = [[inlines(cell) for cell in row + [""] * (len(sides) - len(row))] for row in rows]
        return ["table", sides, cells, False]

    def paragraph(self) -> list:
        """Lines up to a blank one or another block; in a monospace face if they are indented like code."""
        start = self.at
        while not self.blank(self.at):
            self.at += 1
            here = self.at
            if not self.blank(here) and self.special():
                self.at = here
                break
        lines = self.lines[start : self.at]
        if _is_aligned(lines):
            tabs = 8 if any("\t" in line.strip() for line in lines) else 4
            return ["mono", "\n".join(line.expandtabs(tabs).rstrip() for line in lines)]
        text = "\n".join(indented(line) for line in lines)
        return ["p", is_rtl(text), inlines(text)]


def _cells(line: str) -> list[str]:
    line = line.strip()
    line = line[1:] if line.startswith("|") else line
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)]


def _is_aligned(lines: list[str]) -> bool:
    """Lines whose columns mean something: indented like code, or with tabs between words.

    Chinese paragraphs begin with blanks too, and its letters do not stand in a monospace face's columns.
    """
    if any(ord(c) >= 0x2E80 for line in lines for c in line):
        return False
    return len(lines) > 1 and any(line.startswith(("  ", "\t")) or "\t" in line.strip() for line in lines[1:])


def indented(line: str) -> str:
    """A line whose leading blanks are kept at a line's start: no-break spaces, which are not dropped."""
    line = line.expandtabs(4).rstrip(" ")
    body = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(body)) + body
