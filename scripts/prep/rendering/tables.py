"""Tables: LaTeX's tabular, pipe tables, and the grid that a table's rows fill."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from prep.rendering.html import Cell
from prep.rendering.latex_environments import has_separators

_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\}"
_KINDS = r"(?:tabular[x*]?|tabulary|longtable)"
_EDGE = re.compile(rf"\\(?:(?P<begin>begin)|end)\{{{_KINDS}\}}")
_TABULAR = re.compile(
    rf"\\begin\{{{_KINDS}\}}(?:\[\w\])?(?:\{{[^{{}}]*\}}(?=\{{))?({_GROUP})(.*)\\end\{{{_KINDS}\}}", re.DOTALL
)
_IN_DOLLARS = re.compile(
    r"(\$\$?)\s*(\\begin\{tabular\}(?:(?!\\end\{tabular\}).){1,4000}\\end\{tabular\})\s*\1", re.DOTALL
)
_FORMULA = re.compile(r"\$\$(?:[^$]|\\\$)*\$\$|\$[^$\n]*\$")
_COLUMN = re.compile(r"[lcrXLCR]|[pmb]\{[^{}]*\}")
_RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|endhead|endfirsthead|endfoot|endlastfoot|centering)\b"
    r"|\\c(?:line|midrule)(?:\(\w*\))?\{[^}]*\}|\\(?:row|cell)color(?:\[\w*\])?\{[^}]*\}|\n"
)
_NESTED = re.compile(rf"\\begin\{{{_KINDS}\}}(?:\[\w\])?{_GROUP}(.*?)\\end\{{{_KINDS}\}}", re.DOTALL)
_TOKEN = re.compile(
    rf"\\begin\{{{_KINDS}\}}.*?\\end\{{{_KINDS}\}}|\$[^$]*\$|&"
    rf"|\\\\(?:\*|\[[\w. ]*\])?|\\.|{_GROUP}|[^$&\\{{]+|.",
    re.DOTALL,
)
_LINES = re.compile(rf"\\(?:makecell|shortstack|thead)\*?(?:\[\w*\])?({_GROUP})")
_MULTI = re.compile(
    r"\\multi(column|row)\s*(?:\[[^\]]*\])?\{\s*(\d+)\s*\}\s*(?:\[[^\]]*\])?"
    r"(?:\{([^{}]*(?:\{[^{}]*\})?[^{}]*)\}|\*)\s*\{(.*)\}\Z",
    re.DOTALL,
)
_ARRAY_CELL = re.compile(
    r"\$\s*\\begin\{array\}\{[lcr]\}((?:(?!\\begin|&).)*)\\end\{array\}\s*\$\Z", re.DOTALL
)
_TEXT_GROUP = re.compile(r"\\text\s*\{([^{}$\\]*)\}")
_PIPE_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\Z")
_PIPE_TOKEN = re.compile(r"\\\||(`+)(?!`).+?(?<!`)\1(?!`)|(?<!\\)\$[^$\n]+\$|\||[^|`$\\]+|.")


def isolate_tabulars(text: str) -> str:
    """Set each tabular on lines of its own, outside of dollars."""
    text = _IN_DOLLARS.sub(r"\2", text)
    parts = []
    done = 0
    for start, end in _find_tabulars(text):
        before = text[done:start]
        if _FORMULA.sub("", before.rpartition("\n\n")[2]).count("$") % 2:
            continue  # within a formula
        parts += [
            before.rstrip(" \t"),
            "" if before.rstrip(" \t")[-1:] in ("", "\n") else "\n",
            text[start:end],
        ]
        done = end + len(text[end:]) - len(text[end:].lstrip(" \t"))
        parts.append("" if text[done : done + 1] in ("", "\n") else "\n")
    return "".join([*parts, text[done:]])


def find_tabular_end(text: str) -> int:
    """The end of the tabular that a text begins with, or 0."""
    return next((end for start, end in _find_tabulars(text) if not text[:start].strip()), 0)


def _find_tabulars(text: str) -> Iterator[tuple[int, int]]:
    """The start and end of each tabular that is in no other."""
    start, depth = 0, 0
    for edge in _EDGE.finditer(text):
        if edge["begin"]:
            start = start if depth else edge.start()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                yield start, edge.end()


def read_tabular(source: str) -> tuple[list[str], list[list[Cell]]] | None:
    """The alignment of each column of a tabular, and its rows. `&` and `\\\\` in formulas end nothing."""
    match = _TABULAR.match(source)
    if not match:
        return None
    rows = [[""]]
    for token in _TOKEN.finditer(_RULE.sub(" ", match[2])):
        if token[0] == "&":
            rows[-1].append("")
        elif token[0].startswith("\\\\"):
            rows.append([""])
        else:
            rows[-1][-1] += token[0]
    if has_separators(match[1]):
        return None
    sides = [{"c": "center", "r": "right"}.get(mark.lower(), "left") for mark in _read_column_marks(match[1])]
    return sides, _read_spans([row for row in rows if any(map(str.strip, row))])


def _read_column_marks(specification: str) -> list[str]:
    """The columns of a tabular, each by the letter of its alignment."""
    repeated = re.sub(r"\*\{(\d{1,2})\}\{([^{}]*)\}", lambda match: int(match[1]) * match[2], specification)
    return [mark[0] for mark in _COLUMN.findall(re.sub(r"[@!<>]\{[^{}]*\}", "", repeated))]


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
        return Cell(_read_lines(text))
    count = max(1, min(int(match[2]), 99))
    if match[1] == "column":
        inner = _read_span(match[4].strip())
        side = {"l": "left", "r": "right"}.get("".join(_read_column_marks(match[3] or "")), "center")
        return inner._replace(across=count, side=side)
    return _read_span(match[4].strip())._replace(down=count)


def _read_lines(text: str) -> str:
    """A cell with the lines of a tabular or `\\makecell` in it as lines of text."""
    for pattern in (_NESTED, _LINES):
        text = pattern.sub(lambda match: _break_lines(match[1]), text)
    return text


def _break_lines(inner: str) -> str:
    inner = inner.removeprefix("{").removesuffix("}") if inner.startswith("{") else inner
    return re.sub(r"\s*(?:\\\\|&)\s*", "\n", _RULE.sub(" ", inner)).strip()


def read_pipe_table(lines: list[str], start: int) -> tuple[list[str], list[list[Cell]], int] | None:
    """The alignments, the rows and the end of a pipe table: rows with a line of dashes below the first."""
    rule = lines[start + 1].strip()
    marks = _split_cells(rule, 0)
    size = len(marks)
    head = _split_cells(lines[start], size)
    if not _PIPE_RULE.match(rule) or "-" not in rule or len(head) != size:
        return None
    end = start + 2
    rows = [head]
    while end < len(lines) and "|" in lines[end]:
        rows.append(_split_cells(lines[end], size))
        end += 1
    sides = ["center" if m[0] == m[-1] == ":" else "right" if m[-1] == ":" else "left" for m in marks]
    return sides, [list(map(Cell, row)) for row in rows], end


def is_unread(source: str) -> bool:
    """Whether a paragraph has the line of dashes of a pipe table below a row."""
    lines = source.split("\n")
    return any(
        "|" in above and "|" in rule and _PIPE_RULE.match(rule.strip()) is not None
        for above, rule in pairwise(lines)
    )


def _split_cells(line: str, size: int) -> list[str]:
    """The cells of a line. Bars in code and formulas end none where there would be more than `size`."""
    line = line.strip().removeprefix("|")
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    cells = re.split(r"(?<!\\)\|", line)
    if len(cells) > size > 0:
        cells = [""]
        for token in _PIPE_TOKEN.finditer(line):
            if token[0] == "|":
                cells.append("")
            else:
                cells[-1] += token[0]
    return [cell.replace("\\|", "|").strip() for cell in cells]


def build_table(
    sides: list[str], rows: list[list[Cell]], has_head: bool, parse_inlines: Callable[[str], list]
) -> list | None:
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
            parts = parse_inlines(_read_array_cell(cell.text))
            if cell.side or len(covered) > 1:
                for y, x in covered:
                    grid[y][x] = [["covered"]]
                parts = [["span", cell.across, down, cell.side or "center"], *parts]
            grid[number][at] = parts
    return ["table", sides, grid, has_head]


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
