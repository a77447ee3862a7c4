"""Heuristics for preformatted text without a fence: lines whose columns mean something, and code.

Mazes, ruled tables, number grids, diffs, tables aligned by blanks and code are shown in the monospace face.
Prose is not, and neither is anything that holds a formula.
"""

import re
import unicodedata
from collections.abc import Callable

WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6"
    "\U0001f300-\U0001faff\U00020000-\U0003fffd]"
)
"""Characters that take two columns (Unicode's East Asian Width W and F); engine.typ has the same."""

_MARKUP = re.compile(
    r"(?<![\\$\w])\$[^$\n]*[\\^_][^$\n]*\$(?!\w)|\\[(\[]|\\(?:frac|sqrt|begin|end|item|emph|text[a-z]*|(?:sub)*section)\b|\$\$"
    r"|(?<![\\$\w\"'])\$(?=\S)[^$\n\"']*(?<=\S)\$(?![\w$])"
    r"|^\s*(?:```|\[asy\]|<asy>)"
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_DRAWN = re.compile("[#+|_/\\\\.*~^<>@\u2500-\u25ff\u2b1b\u2b1c\U0001f7e0-\U0001f7eb-]|==+")
_BOX = re.compile("[\u2500-\u259f]")
_FRAME = re.compile(r"\s*\+[-=+]{2,}\+?\s*\Z")
_CROSSED_RULER = re.compile(r"\s*-{2,}(?:\+-{2,})+\s*\Z")
_NUMBER = re.compile(r"[-−]?\d+(?:[.,]\d+)*\Z")
_RULER = re.compile("[-=+|:─━┼═╪ ]{3,}\\Z")
_SINGLE = re.compile(
    r"\s*(?:[-+*•]\s+\w|[-+−]?[.,]?\d[\d.,]*\s*\Z|[(（]?\d+[).．、）]|[(（]?[A-Ha-h][).．、）])"
)
"""A bullet, a number alone, or an item with a blank to fill in."""
_OPTION = re.compile(r"\s*[(（]?[A-Ha-h①-⑳][.．、)）:：]|\s*[①-⑳]")
_SENTENCE_END = re.compile(r"([.?!])  (?=[A-Z])")
_ITEM = re.compile(r"\s*(?:[-*•+]|\d{1,3}[.)])\s+\S")
_DIFF_START = re.compile(r"diff --git |@@ -\d|--- \S.*\n\+\+\+ \S")
_DIFF_LINE = re.compile(r"[-+ @\\]|diff |index [0-9a-f]{4}")
_DIFF_REST = re.compile(r" |@@ -\d|diff --git |[-+](?! \w)")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*\|[-:|\s]*\Z")
_CODE = re.compile(
    r"[{}=\[\]]|^(?!.*[A-Za-z]{2} [A-Za-z]{2}).*;"
    r"|\w\(|:\s*\Z|->|^\s*(?:return|else|end|break|pass|continue|begin|SELECT|FROM|WHERE|import)\b"
)
_CODE_LINE = re.compile(
    r"\s*(?:(?:import|from|def|class|function|return|public|private|static|int|double|float|char|void|bool"
    r"|const|package|using|namespace|struct|try|else|elif)\b.*[\w)\]:;{}>\"'*]\Z"
    r"|#(?:include|define|\s)|//|/\*|@\w|(?:let|var|const)?\s*[\w.\[\]]+\s*[-+*/]?=\s*\S|\w[\w.]*\(.*\)\Z)"
    r"|.*[;{}]\Z"
)
_SUM = re.compile(
    r"(?: *\d[\d.,]* *\n)+ *[-+−×xX*÷] *\d[\d.,]* *\n *[-_=─]{2,} *(?:\n *[\d.,?□_]+ *)?(?=\n|\Z)"
)
_SENTENCE = re.compile(
    r"(?![A-Z]{2})[A-Z][\w'’,-]*(?:(?: [^\s;{}]+){2,}[.?!:]|(?: [^\s;{}=()\[\]<>]+){2,})\Z"
)
_LABEL = re.compile(r"[A-Z][\w'’-]*(?: [\w'’-]+)*:\Z")


def count_columns(line: str) -> int:
    """How many columns of the monospace face a line takes."""
    if line.isascii():
        return len(line)
    marks = sum(unicodedata.category(c) in ("Mn", "Me", "Cf") for c in line)
    return len(line) - marks + len(WIDE.findall(line))


def find_columns(lines: list[str], start: int) -> int:
    """The end of the lines from `start` on whose columns mean something; `start` if there are none."""
    if (end := _find_diff(lines, start)) > start:
        return end
    return max(find(lines, start) for find in (_find_sum, _find_drawing, _find_grid, _find_aligned))


def find_code(lines: list[str], start: int) -> int:
    """The end of the code that begins at `start`; `start` if none does.

    Blank lines do not end it where more of it follows. Paragraphs of statements alone belong to it, but one
    of its first paragraphs must be indented.
    """
    end, at, is_indented, count = start, start, False, 0
    while at < len(lines) and (is_indented or count < 4) and not is_prose(lines[at]):
        count += 1
        after = _find_run(lines, at, str.strip)
        stop = after
        while stop > at and is_prose(lines[stop - 1]):
            stop -= 1
        part = lines[at:stop]
        if not part:
            break
        follows = is_indented and part[0].startswith(("  ", "\t")) and not _ITEM.match(part[0])
        if _is_code(part):
            is_indented = True
        elif not follows and not all(map(_CODE_LINE.match, part)):
            break
        end = stop
        if stop < after:
            break
        at = _find_run(lines, after, lambda line: not line.strip())
    return end if is_indented else start


def is_prose(line: str) -> bool:
    """Whether a line that is not indented is a sentence, a label, or Chinese that is no comment in code."""
    if line.startswith((" ", "\t")):
        return False
    return _is_chinese(line) or bool(_SENTENCE.match(line) or _LABEL.match(line))


def begins_prose(line: str) -> bool:
    """Whether a line begins as a sentence does and has no sign of code, is Chinese or holds a formula."""
    begins_sentence = re.match(r"[A-Z][a-z ]", line) and not _CODE.search(line)
    return bool(begins_sentence or WIDE.match(line) or _MARKUP.search(line))


def _find_run(lines: list[str], start: int, matches: Callable[[str], object]) -> int:
    """The end of the lines from `start` on that match and hold no markup."""
    at = start
    while at < len(lines) and matches(lines[at]) and not _MARKUP.search(lines[at]):
        at += 1
    return at


def _find_diff(lines: list[str], start: int) -> int:
    if not _DIFF_START.match("\n".join(lines[start : start + 2])):
        return start
    end = _find_run(lines, start, _DIFF_LINE.match)
    # A blank line within a diff has often lost the blank that it consisted of.
    while end + 1 < len(lines) and not lines[end] and _DIFF_REST.match(lines[end + 1]):
        end = _find_run(lines, end + 1, _DIFF_LINE.match)
    return end


def _find_sum(lines: list[str], start: int) -> int:
    """Numbers below one another, the last with its sign before it, a rule and what stands below it."""
    match = _SUM.match("\n".join(lines[start : start + 12]))
    return start + match.group().count("\n") + 1 if match else start


def _find_drawing(lines: list[str], start: int) -> int:
    """Ruled tables, trees and mazes: lines of which most is drawn."""
    below = lines[start + 1] if start + 1 < len(lines) else ""
    if _FRAME.match(lines[start]):
        end = _find_run(lines, start, lambda line: line.lstrip().startswith(("+", "|")))
        return end if end - start > 2 else start
    if _CROSSED_RULER.match(below) and "|" in lines[start]:
        return _find_run(lines, start, lambda line: "|" in line or _CROSSED_RULER.match(line))
    is_root = below.startswith(("├", "└", "│")) and len(lines[start].split()) == 1
    end = _find_run(lines, start + is_root, _BOX.search)
    if end - start > 1:
        return end
    if any(map(_TABLE_RULE.match, lines[start : start + 2])) or not _is_drawn(lines[start], 0.5):
        return start
    end = _find_run(lines, start, lambda line: _is_drawn(line, 0.2))
    while not _is_drawn(lines[end - 1], 0.5):
        end -= 1
    return end if end - start > 2 and _is_drawn("".join(lines[start:end]), 0.5) else start


def _is_drawn(text: str, share: float) -> bool:
    """Whether of what can be seen at least so large a share is drawn, and nothing is a word or an item."""
    if not text.strip() or _WORD.search(text) or _SINGLE.match(text):
        return False
    seen = "".join(text.split())
    return sum(map(len, _DRAWN.findall(seen))) >= share * len(seen)


def _find_grid(lines: list[str], start: int) -> int:
    """Rows of as many letters, digits or numbers each, such as a sudoku; a pyramid of them; or capitals."""
    first = lines[start].split()
    if len(first) == 1 and re.fullmatch(r"[A-Z]{4,}", first[0]):
        capitals = re.compile(rf"\s*[A-Z]{{{len(first[0])}}}\s*\Z")
        end = _find_run(lines, start, capitals.match)
        return end if end - start > 2 else start

    def is_row(line: str) -> bool:
        return len(line.split()) == len(first) and _is_row_of_cells(line)

    if not _is_row_of_cells(lines[start]):
        return start
    if len(first) < 3:
        end = _find_run(lines, start, lambda line: line.startswith(" ") and _is_row_of_cells(line))
        return _find_run(lines, end, _is_row_of_cells) if end - start > 1 else start
    end = _find_run(lines, start, lambda line: is_row(line) or _RULER.match(line.strip()))
    rows = sum(map(is_row, lines[start:end]))
    if rows < 2 or (rows == 2 and len(first) < 5):
        return start
    return end + (
        end < len(lines) and len(lines[end].split()) == len(first) - 1 and _is_row_of_cells(lines[end])
    )


def _is_row_of_cells(line: str) -> bool:
    """Whether a line has single characters alone, or numbers alone, and is no equation."""
    cells = line.split()
    return (
        bool(cells)
        and "=" not in cells
        and (all(len(cell) == 1 for cell in cells) or all(map(_NUMBER.match, cells)))
    )


def _find_aligned(lines: list[str], start: int) -> int:
    """Two rows or more with a gutter: two columns that are blank in each row, with text on both sides."""
    blanks: set[int] | None = None
    end, rows = start, 0
    for line in lines[start:]:
        line = _SENTENCE_END.sub("\\1 .", line.expandtabs(8).rstrip())
        if not line.strip() or _OPTION.match(line) or _MARKUP.search(line):
            break
        if rows and _RULER.match(line.strip()):
            end += 1
            continue
        if "  " not in line.lstrip():
            break
        here = _find_gaps(line)
        common = here if blanks is None else blanks & here
        if not any(column + 1 in common for column in common):
            break
        blanks, end, rows = common, end + 1, rows + 1
    return end if rows > 1 else start


def _find_gaps(line: str) -> set[int]:
    """The columns that are blank between the first letter of a line and the last."""
    gaps, column, is_inside = set(), 0, False
    for character in line:
        wide = count_columns(character)
        if character == " " and is_inside:
            gaps.add(column)
        is_inside = is_inside or character != " "
        column += wide
    return gaps


def _is_code(lines: list[str]) -> bool:
    """Whether lines are indented like code, have tabs between words, or mostly end as statements in C do."""
    if len(lines) > 1 and any("\t" in line.strip() for line in lines[1:]):
        return not any(map(is_prose, lines))
    if _ITEM.match(lines[0]):
        return False
    statements = [line for line in lines if line.rstrip().endswith((";", "{", "}"))]
    if len(statements) > 2 and 2 * len(statements) > len(lines) and any("{" in line for line in statements):
        return True
    indented = [lines[0].startswith(("    ", "\t")), *(line.startswith(("  ", "\t")) for line in lines[1:])]
    code = [line for line, is_in in zip(lines, indented, strict=True) if is_in and not _is_text(line)]
    return bool(code) and any(_CODE.search(line) and not is_prose(line) for line in lines)


def _is_text(line: str) -> bool:
    """Whether an indented line is an item, an option, or Chinese, whose paragraphs begin with blanks too."""
    return bool(_ITEM.match(line) or _OPTION.match(line)) or _is_chinese(line)


def _is_chinese(line: str) -> bool:
    """Whether a line is mostly Chinese, and no comment."""
    seen = "".join(line.split())
    return not re.match(r"#|//|/\*|\*|--", seen) and 2 * len(WIDE.findall(seen)) > len(seen)
