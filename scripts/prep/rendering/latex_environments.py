"""LaTeX environments: matrices, cases and aligned lines.

The functions take the parser of prep.rendering.latex.
"""

import re

from prep.rendering.latex_commands import ALIGNED, GRIDS, ROW_ENDS, UnsupportedLatex
from prep.rendering.latex_parser import Parser

_RULES = {"\\hline", "\\toprule", "\\midrule", "\\bottomrule", "\\hdashline", "\\cline"}


def parse_environment(parser: Parser) -> list:
    """`\\begin{…}`: matrices, cases, and aligned lines."""
    name = parser.parse_group()
    if name not in GRIDS and name not in ALIGNED:
        if parser.is_partly:
            return ["raw", f"\\begin{{{name}}}{_read_body(parser)}"]
        raise UnsupportedLatex(f"\\begin{{{name}}}")
    _skip_position(parser)
    has_columns = name in ("array", "darray", "subarray")
    columns = _read_columns(parser.parse_group()) if has_columns else ""
    if name.startswith("alignat") or name == "alignedat":
        parser.parse_group()
    rows, down = _parse_rows(parser)
    if parser.parse_group() != name:
        raise UnsupportedLatex(f"no \\end{{{name}}}")
    if not rows:
        raise UnsupportedLatex("an empty environment")
    if name in ALIGNED:
        return ["lines", [_separate_pairs(name, row) for row in rows]]
    wide = max(map(len, rows))
    across = {at - columns[:at].count("|") for at, mark in enumerate(columns) if mark == "|"}
    inner = [
        sorted({at for at in across if 0 < at < wide}),
        sorted(at for at in down if 0 < at < len(rows)),
    ]
    sides = columns.replace("|", "")[:wide].ljust(wide, "c") if columns else ""
    if "cases" in name:
        sides = "l" * wide
    grid = ["grid", *GRIDS[name], rows, sides if set(sides) - {"c"} else "", *inner]
    is_framed = {0, wide} <= across and {0, len(rows)} <= down
    return ["line", grid, "box"] if is_framed else grid  # other outer rules are dropped


def _separate_pairs(name: str, cells: list) -> list:
    """The cells of an aligned line, which are right and left of a point in turns, with gaps between pairs.

    `eqnarray` has its relation in a cell of its own. `alignat` has no gaps.
    """
    if name.startswith("eqnarray"):
        return [*cells[:1], *([["row", cells[1:]]] if cells[1:] else [])]
    if "alignat" in name or name == "alignedat":
        return cells
    return [["row", [["sp", 2.0], cell]] if at and at % 2 == 0 else cell for at, cell in enumerate(cells)]


def _read_body(parser: Parser) -> str:
    """The source of an environment to its end, with others in it."""
    start, depth = parser.at, 1
    while depth:
        depth += {"\\begin": 1, "\\end": -1}.get(parser.next(), 0)
    parser.parse_group()
    return "".join(parser.tokens[start : parser.at])


def _skip_position(parser: Parser) -> None:
    """The optional `[t]` of an environment."""
    parser.peek()
    if parser.tokens[parser.at : parser.at + 1] == ["["] and parser.tokens[parser.at + 2 : parser.at + 3] == [
        "]"
    ]:
        parser.at += 3


def _parse_rows(parser: Parser) -> tuple[list[list], set[int]]:
    """The rows of an environment up to its end, and the numbers of the rows that have a rule above."""
    rows: list[list] = [[]]
    down: set[int] = set()
    while True:
        while not rows[-1] and parser.peek() in _RULES:
            if parser.next() == "\\cline":
                parser.parse_group()
            else:
                down.add(len(rows) - 1)
        if parser.peek() == "\\multicolumn":
            rows[-1] += _parse_span(parser)
        else:
            rows[-1].append(parser.parse_row("&", "\\end", *ROW_ENDS))
        end = parser.peek()
        if end == "&":
            parser.at += 1
            continue
        if not any(cell[1] for cell in rows[-1]):
            rows.pop()
        if end == "\\end":
            parser.at += 1
            return rows, down
        parser.end_row()
        rows.append([])


def _parse_span(parser: Parser) -> list:
    """A cell over several columns: its text in the first, and the others empty."""
    parser.at += 1
    count = parser.parse_group()
    parser.parse_group()
    if not count.strip().isdecimal() or not 1 <= int(count) <= 50:
        raise UnsupportedLatex(f"a cell over {count} columns")
    return [["row", [parser.parse_argument()]], *(["row", []] for _ in range(int(count) - 1))]


def has_separators(columns: str) -> bool:
    """Whether something is shown between columns, such as the `=` of `r@{=}l`."""
    between = re.findall(r"[@!]\{((?:[^{}]|\{[^{}]*\})*)\}", columns)
    return any(re.sub(r"\\[A-Za-z]+\*?(?:\{[^{}]*\})?|\\.|[~\s$]", "", each) for each in between)


def _read_columns(source: str) -> str:
    """The columns of an array: l, c and r, and a bar for each rule."""
    if has_separators(source):
        raise UnsupportedLatex(f"an array of {source}")
    columns = re.sub(r"[@!]\{[^{}]*\}|[<>]\{[^{}]*\}", "", source)
    columns = re.sub(
        r"\*\{(\d{1,2})\}\{([lcr|\s]*)\}", lambda repeat: repeat[2] * int(repeat[1]), columns
    ).replace(" ", "")
    if re.search(r"[^lcr|]", columns):
        raise UnsupportedLatex(f"an array of {columns}")
    return columns
