"""LaTeX in prose: where formulas stand in a text, and the commands and lists around them.

`FORMULA_PATTERN` and `COMMAND_PATTERN` are parts of the pattern of inlines (prep.rendering.markup), and
`read_inline` makes an inline of what they match. LaTeX that cannot be read is a formula without a tree,
so that it is named among what is literal.
"""

import re
from collections.abc import Iterable

from prep.rendering import latex
from prep.rendering.latex_commands import ALIGNED, COMMANDS, DISPLAYS, GRIDS
from prep.rendering.latex_symbols import SYMBOLS

_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\}"
_PIECE = rf"\\(?:text[a-z]*|[mh]box)\s*{_GROUP}|\\[A-Za-z]+|\\.|[^$\\\n]"
"""What a formula between dollars has: text with dollars of its own, a command, or another character."""


def _match_environment(group: str, names: Iterable[str]) -> str:
    """A pattern of an environment with one of the names, to its first end."""
    named = "|".join(map(re.escape, sorted(names)))
    return rf"\\begin\{{(?P<{group}>{named})\}}.{{1,4000}}?\\end\{{(?P={group})\}}"


_INNER = (ALIGNED | set(GRIDS)) - DISPLAYS - {"math", "subarray"}

_OPENING = r"(?:(?<![\w\]])|(?!\\\[[\w-]+\\\]))\\\["
"""Of a display; not the escaped bracket of `a\\[i\\]\\[j\\]`."""

FORMULA_PATTERN = (
    rf"\$\$(?P<mm>(?>{_PIECE}|\n){{1,4000}}?)\$\$"
    # Beside letters and digits on both sides: scripts (`H$_2$O`), one command (`5$\\times$3`), or one sign.
    rf"|(?<![\\$])\$(?P<mz>(?:[_^](?:{_GROUP}|\\[A-Za-z]+|[^\s\\${{}}]))+|\\[A-Za-z]+|[-+=<>±×÷])\$(?!\$)"
    rf"|(?<![\\$A-Za-z0-9])\$(?P<m>(?>{_PIECE}){{1,4000}}?)\$(?!\.?[0-9]|[A-Za-z])"
    # Over lines, only with a command in it.
    rf"|(?<![\\$A-Za-z0-9])\$(?P<ml>(?=[^$]{{0,4000}}\\[A-Za-z])(?>{_PIECE}|\n){{1,4000}}?)\$(?![A-Za-z0-9])"
    # Or with a relation, a script or a sign in it, and no word.
    r"|(?<![\\$A-Za-z0-9])\$(?P<mn>(?=[^$]{0,200}[=^_<>+])(?![^$]{0,200}[^\W\d_]{2})"
    r"(?=\S)(?>[^$\\\n]|\n(?![ \t]*\n)){1,200}?(?<=\S))\$(?![A-Za-z0-9])"
    # Beside letters (`$n$th`, `Let$x=1$be`), if no word of text can be in it.
    r"|(?:(?<![\\$A-Za-z0-9])|(?<=[A-Za-z])(?=\$[^$\n]{0,200}[\\^_=]))"
    rf"\$(?P<mw>(?![^$\n]*(?<![\\A-Za-z{{])[a-z]{{2}})(?=\S)(?>{_PIECE}){{1,200}}?)"
    r"(?<=[\w})\]'])\$(?=[a-z]{2}|s\b|\W|\Z)"
    r"|\\\((?P<mp>.{1,4000}?)\\\)"
    rf"|{_OPENING}(?P<mb>.{{1,4000}}?)\\\]"
    rf"|(?P<me>{_match_environment('environment', DISPLAYS | _INNER)})"
)
COMMAND_PATTERN = (
    rf"\\(?:textbf|(?P<italic>textit|emph))(?P<styled>{_GROUP})"
    r"|(?P<mx>\\begin\{(?P<drawing>tikzpicture|asy|pspicture|picture|circuitikz)\}.{1,4000}?\\end\{(?P=drawing)\})"
    rf"|(?<![\\:])(?P<mc>\\[A-Za-z]{{2,}}\*?(?:\[[^\[\]\n]*\])?(?:{_GROUP})+)"
    r"|(?<![\\:A-Za-z])(?P<ms>\\[A-Za-z]{2,})(?![A-Za-z\\{*])"
    r"|(?<![\\:])\\(?P<escaped>[%&#$_*`])"
)
DISPLAY = re.compile(
    rf"[ \t]*(?:\$\$((?>{_PIECE}|\n)+?)\$\$|\\\[(?!\\\])([^\\]*+(?:\\[^\]][^\\]*+)*+)\\\]"
    rf"|((?>{_match_environment('display', DISPLAYS)})|{_match_environment('inner', _INNER)}))"
    r"[ \t]*(?=\n|\Z)",
    re.DOTALL,
)
"""A formula on lines of its own; what it holds is in the first of the groups 1 to 3 that took part."""

_PUNCTUATION = "[.,;:!?。，；：！？]"
_DISPLAY_IN_PROSE = re.compile(
    rf"^([ \t]*\$\$(?>{_PIECE}|\n){{1,4000}}?\$\$)[ \t]*(?=[A-Z][a-z]*[ .,])"
    r"|(?P<row>^[ \t]*(?:\$\$[^$\n]+\$\$[ \t]*){2,}$)"
    r"|(?P<code>(?<!`)(?P<ticks>`+)(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`))"
    rf"|[ \t]*(?P<display>(?<!\\){_OPENING}.{{1,4000}}?\\\]|{_match_environment('name', DISPLAYS)})"
    rf"(?P<mark>{_PUNCTUATION}?)[ \t]*",
    re.DOTALL | re.MULTILINE,
)
_DELIMITED = re.compile(r"\$\$(.+)\$\$|\$(.+)\$|\\\((.+)\\\)|\\\[(.+)\\\]", re.DOTALL)
_PROSE = re.compile(r"[\d.,]+\s*[^\W\d_]{2,}|.*[^\W\d_]{2,}\s+[^\W\d_]{2,}")
_WORDS = re.compile(r"[^\W\d_]{2,} +[^\W\d_]{2,}")
_SHORT = {"pi", "le", "ge", "mu"}
_LAYOUT = re.compile(
    r"\\(?:(?:begin|end)\{(?:center|flushleft|flushright|table\*?|figure\*?|quote|quotation|document|minipage)(?:\[\w*!?\])?\}(?:\{[^{}]*\})?"
    r"|vspace\*?\{[^{}]*\}|label\{[^{}]*\}|noindent|centering|bigskip|medskip|smallskip|newpage|clearpage|hfill"
    r"|tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|bfseries|itshape|indent|maketitle)"
)
"""Commands that place text and show nothing."""
_LIST_TOKEN = re.compile(
    r"\\begin\{(?P<begin>enumerate|itemize)\}(?:\[(?P<label>[^\]]*)\])?|\\end\{(?P<end>enumerate|itemize)\}"
    r"|\\item\b[ \t]*(?:\[(?P<marker>[^\]]*)\])?|\\(?:setlength|itemsep)(?:\{[^}]*\})*[-\d.]*(?:pt|em)?"
)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv")


def isolate_displays(paragraph: str) -> str:
    """Set each display on a line of its own, with the punctuation that follows it.

    Doubled dollars are often formulas of a line, and displays only where they begin it, with a sentence or
    other displays after them.
    """
    return re.sub(r"\n{2,}", "\n", _DISPLAY_IN_PROSE.sub(_isolate_display, paragraph)).strip("\n")


def _isolate_display(match: re.Match) -> str:
    display = match["display"]
    if match["row"]:
        return re.sub(r"(?<=\$\$)[ \t]*(?=\$\$)", "\n", match["row"])
    if not display:
        return match["code"] or f"{match[1]}\n"
    if match["mark"]:
        body = display if match["name"] else display[2:-2].rstrip()
        display = rf"\[{body}{match['mark']}\]"
    return f"\n{display}\n"


def find_gaps(match: re.Match, gap_before: str) -> tuple[str, str]:
    """What sets a display within a line apart from text before and after it that touches it.

    That is a line's end, or a space where the display is between doubled dollars. `gap_before` is the gap
    after what was matched before.
    """
    named = match.groupdict()
    gap = "\n" if named["mb"] or named["environment"] in DISPLAYS else " " if named["mm"] else ""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if gap == " ":
        return gap * bool(re.search(r"[A-Za-z0-9]\Z", before)), gap * bool(re.match(r"[A-Za-z0-9$]", after))
    is_inside = not re.search(r"\n[ \t]*\Z", gap_before + before)
    return gap * is_inside, gap * bool(re.match(rf"[ \t]*(?!{_PUNCTUATION})\S", after))


def read_inline(match: re.Match, source: str) -> list | str | None:
    """The inline of a match of the patterns whose group has the text `source`, or None if it is text."""
    kind = match.lastgroup
    if kind == "escaped":
        return source
    if _LAYOUT.fullmatch(match.group()):
        return "\u200b"
    if kind == "ms":
        name = source[1:]
        is_symbol = not SYMBOLS.get(name, "a").isascii() and (len(name) > 2 or name in _SHORT)
        is_symbol = is_symbol or COMMANDS.get(name, ["row"])[0] == "op"
        return ["m", parse_formula(source), source] if is_symbol or name in ("quad", "qquad") else None
    if kind == "m" and not _is_formula(source):
        return None
    return ["m", parse_formula(source), match.group()]


def parse_formula(source: str) -> list | None:
    """A formula's tree, or None if it cannot be read."""
    try:
        return latex.parse(source)
    except latex.UnsupportedLatex:
        return None


def parse_partly(source: str) -> list | None:
    """The tree of a formula, given as it is in a text, in which what cannot be read is literal.

    None if the formula is malformed, or nothing else is in it.
    """
    match = _DELIMITED.fullmatch(source.strip())
    try:
        tree = latex.parse(match[match.lastindex] if match else source, is_partly=True)
    except latex.UnsupportedLatex:
        return None
    return None if len(tree[1]) == 1 and tree[1][0][0] == "raw" else tree


def _is_formula(source: str) -> bool:
    """Whether text between single dollars is mathematics, not words between two sums of money."""
    if "\\" not in source and _is_between_sums(source):
        return False
    if re.search(r"\\[^$%&#_]|[\^_{}=]", re.sub(r"\\_", "", source)):
        return True
    return source.strip() != "" and not _PROSE.match(source)


def _is_between_sums(text: str) -> bool:
    """Whether the sign of money stands before text and after it: `($) = price ($)`, `$5. How many $ …`."""
    if re.fullmatch(r"[^()]*\).*\([^()]*", text):
        return True
    is_loose = text != text.strip() or ". " in text or "? " in text
    is_open = len(re.findall(r"[(\[]", text)) != len(re.findall(r"[)\]]", text))
    return is_loose and (is_open or bool(_WORDS.search(text)))


def find_list(source: str) -> int:
    """The length of the enumerate or itemize that a text begins with, or 0."""
    depth = 0
    for token in _LIST_TOKEN.finditer(source):
        depth += bool(token["begin"]) - bool(token["end"])
        if depth == 0:
            return token.end()
    return 0


def read_list(source: str) -> list[list] | None:
    """The items of an enumerate or itemize: depth, marker and text. None if text stands before an item."""
    lists: list[tuple[str, str]] = []
    counts: list[int] = []
    items: list[list] = []
    tokens = list(_LIST_TOKEN.finditer(source))
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        text = source[token.end() : following.start() if following else None].strip()
        if token["begin"]:
            lists.append((token["begin"], token["label"] or ""))
            counts.append(0)
        elif token["end"]:
            lists.pop()
            counts.pop()
        elif token.group().startswith(r"\item") and not token.group().startswith(r"\itemsep"):
            counts[-1] += 1
            marker = (
                token["marker"] if token["marker"] is not None else _mark(*lists[-1], counts[-1], len(lists))
            )
            items.append([len(lists) - 1, marker, text])
            continue
        if text and items:
            items[-1][2] += "\n" + text
        elif text:
            return None
    return items


def _mark(kind: str, label: str, count: int, depth: int) -> str:
    """The marker of an item, by its list's label (`label=(\\alph*)` or `(a)`) or depth."""
    if kind == "itemize":
        return "•"
    letter = chr(96 + count) if count <= 26 else str(count)
    roman = _ROMAN[count - 1] if count <= len(_ROMAN) else str(count)
    forms = [(r"\\alph\*?|\ba\b", letter), (r"\\Alph\*?|\bA\b", letter.upper()), (r"\\roman\*?|\bi\b", roman)]
    forms += [(r"\\Roman\*?|\bI\b", roman.upper()), (r"\\arabic\*?|1", str(count))]
    label = label.partition("label=")[2] or label
    for form, text in forms:
        if re.search(form, label):
            return re.sub(form, text, label, count=1).split(",")[0].strip("{} ")
    return (f"{count}.", f"({letter})", f"{roman}.")[min(depth, 3) - 1]
