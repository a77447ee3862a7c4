"""LaTeX commands of prose: text in groups, sections, theorems, code, quotation marks, dashes and line ends.

`PATTERN` and, in a text that is written in LaTeX, `LATEX_PATTERN` are parts of the pattern of inlines
(prep.rendering.markup), and `read_inline` makes inlines of what they match.
"""

import re
import unicodedata
from collections.abc import Callable

from prep.rendering.latex_commands import MARKS

_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\}"
_SWITCHES = {"bf": "b", "bfseries": "b", "it": "i", "itshape": "i", "em": "i", "sl": "i"}
_LETTERS = {"aa": "å", "AA": "Å", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ"}
_LETTERS |= {"ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "S": "§", "P": "¶", "textdollar": "$"}
_WORDS = {"LaTeX": "LaTeX", "TeX": "TeX", "dotfill": "…………"}
_UNITS = r"(?:[kcmMGnµ]?(?:[mgsNJWVAKLT]|Hz|Pa|eV|mol|rad)|min|h|°C?)(?![A-Za-z])"
_SIZES = "tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge"
_THEOREMS = (
    "theorem|lemma|proposition|corollary|definition|remark|example|problem|exercise|question|claim|conjecture"
    "|proof|solution|note"
)

PATTERN = (
    r"\\(?:text(?:rm|normal|up|md|sc|sf)?|[mh]box|caption\*?|centerline|underline(?=\{[^{}$\\]*[A-Za-z]{2})"
    rf"|(?:textcolor|href)\{{[^{{}}]*\}})(?P<words>{_GROUP})(?![_^])"
    rf"|\\(?:texttt|url)(?P<typed>{_GROUP})"
    rf"|\{{\\(?P<switch>{'|'.join(_SWITCHES)}|rm|sf|{_SIZES}|color\{{[^{{}}]*\}})(?![A-Za-z])[ \t]*"
    rf"(?P<switched>(?:[^{{}}]|{_GROUP}){{0,2000}})\}}"
    rf"|\\(?:(?:sub)*section|(?:sub)?paragraph|chapter)\*?(?P<title>{_GROUP})"
    rf"|\\begin\{{(?P<theorem>{_THEOREMS})\*?\}}(?:\[(?P<note>[^\[\]\n]*)\])?(?:\\label\{{[^{{}}]*\}})?[ \t]*"
    rf"|(?P<end>\\end\{{(?:{_THEOREMS})\*?\}}|\\begin\{{(?:table|figure)\*?\}}\[[\w!]*\])"
    r"|\\(?:textbackslash(?:\{\}|(?![A-Za-z]))|(?P<caret>[\^~])\{\})(?P<character>)"
)
LATEX_PATTERN = (
    r"|[ \t]*(?:\\newline|\\linebreak|\\par)(?![A-Za-z])[ \t]*(?P<line>)"
    r"|[ \t]*(?<!\\)\\\\(?:\*|\[[-\d.]+ ?\w\w\])?[ \t]*(?P<row>\n|(?=\Z)|(?<=[ \t]))"
    r"|\\(?P<brace>[{}])"
    r"|\\(?P<accent>[\"'`^~=.uvHckr])\{\\?(?P<letter>[A-Za-z])\}"
    rf"|(?<![\\:])\\(?P<named>{'|'.join(_LETTERS)})(?![A-Za-z])(?:\{{\}}|[ \t]+(?=\w))?"
    rf"|(?<![\\:])\\(?P<word>{'|'.join(_WORDS)})(?![A-Za-z])(?:\{{\}})?"
    r"|(?<=[A-Za-z])\\(?P<mark>[\"^~]|['`](?=[aeiouy])|[vHck] )(?P<under>[A-Za-z])"
    r"|(?<![\\:])\\(?P<space>[ \n])"
    r"|(?<=[\w)])(?P<dash>---?)(?=\w)|(?<=\s)(?P<aside>---?)(?=\s)"
    r"|(?P<tie>(?<=[A-Za-z.])~(?=[\\$\d(])|(?<=[\d)])~(?=[A-Za-z\\$]))|(?P<thin>(?<=[\w.)])\\[,;](?=[\w\\$]))"
)
QUOTES_PATTERN = r"|(?<!`)``(?!`)(?P<quoted>[^`\n]{1,1000}?)''(?!')"
SECTION = re.compile(rf"\\((?:sub)*)section\*?({_GROUP})")

_EVIDENCE = re.compile(
    # Not `\\r{i}` of a string in code: an accent stands in a word.
    r"\\['`^~]\{[A-Za-z]?\}|\\[\"'`^~]\{\\[ij]\}|(?<=[A-Za-z])\\[=vHck]\{[A-Za-z]\}|\\[=vHck]\{[A-Za-z]\}(?=[A-Za-z])"
    rf"|\d(?:~|\\[,;]){_UNITS}|[a-z]\.\\ (?=[A-Za-z$])|\$[.,;:]?[ \t]*\\\\(?:\s|\[\d)"
    r"|\\(?:begin|end)\{[a-z]+\*?\}|\\(?:text[a-z]{2}|emph|section|subsection|item|frac|sqrt|ref|eqref|label|cite"
    r"|newline|noindent|times|leq|geq)(?![a-z])|\$[^$\n]*\\[A-Za-z]{2,}[^$\n]*\$|\\\[.+?\\\]|\\\(.+?\\\)",
    re.DOTALL,
)
_VERBATIM = (
    r"(?P<drawing>\[asy\](?:(?!\[asy\]).)+?\[/asy\]|<asy>(?:(?!<asy>).)+?</asy>"
    r"|\$*\\begin\{(?P<drawn>tikzpicture|asy|pspicture|picture|circuitikz)\}"
    r"(?:(?!\\begin\{(?P=drawn)\}).)+?\\end\{(?P=drawn)\}\$*)"
    r"|\\begin\{(?P<typed>(?:verbatim|lstlisting|minted)\*?)\}(?:\[[^\]\n]*\])?(?:\{\w+\})?(?:[ \t]*\n)?"
    r"(?P<body>(?:(?!\\begin\{(?P=typed)\}).)*?)(?:\n[ \t]*)?\\end\{(?P=typed)\}"
)
VERBATIM = re.compile(rf"[ \t]*(?:{_VERBATIM})[ \t]*(?=\n|\Z)", re.DOTALL)
"""A verbatim environment with its `body`, or the code of a `drawing`, on lines of its own."""
_VERBATIM_IN_PROSE = re.compile(
    r"\\begin\{tabular\}.*?\\end\{tabular\}"
    rf"|(?P<begins>^)?[ \t]*(?P<code>{_VERBATIM})[ \t]*(?P<ends>$)?",
    re.DOTALL | re.MULTILINE,
)


def is_latex(text: str) -> bool:
    """Whether a text is written in LaTeX."""
    return "\\" in text and _EVIDENCE.search(text) is not None


def has_quotes(text: str) -> bool:
    """Whether doubled backticks and apostrophes of a text are quotation marks: each that opens is closed."""
    return text.count("``") == text.count("''") > 0


def isolate_sections(text: str) -> str:
    """Set each title of a section on a line of its own."""
    return re.sub(rf"[ \t]*({SECTION.pattern})[ \t]*", r"\n\n\1\n\n", text) if "section" in text else text


def isolate_verbatim(text: str) -> str:
    """Set each verbatim environment, and the code of each drawing, on lines of its own."""
    return _VERBATIM_IN_PROSE.sub(_isolate, text)


def is_drawing(text: str) -> bool:
    """Whether a text is the code of a drawing."""
    match = VERBATIM.fullmatch(text)
    return bool(match and match["drawing"])


def _isolate(match: re.Match) -> str:
    if not match["code"]:
        return match[0]  # a cell of a table has no lines of its own
    return "\n" * (match["begins"] is None) + match["code"] + "\n" * (match["ends"] is None)


def read_inline(match: re.Match, parse: Callable[[str], list]) -> list | None:
    """The inlines of a match of the patterns; `parse` reads the text within. None if it is none of theirs."""
    found = {name: text for name, text in match.groupdict().items() if text is not None}
    kind = next((name for name in _READERS if name in found), "")
    return _READERS[kind](found, match[0], parse) if kind else None


def _read_words(found: dict, source: str, parse: Callable[[str], list]) -> list:
    parts = parse(found["words"][1:-1])
    return _mark("u", parts) if source.startswith("\\underline") else parts


def _read_switched(found: dict, source: str, parse: Callable[[str], list]) -> list:
    return _mark(_SWITCHES.get(found["switch"]), parse(found["switched"]))


def _read_theorem(found: dict, source: str, parse: Callable[[str], list]) -> list:
    note = f" ({found['note']})" if found.get("note") else ""
    return [["b", f"{found['theorem'].capitalize()}{note}."], " "]


def _read_accent(found: dict, source: str, parse: Callable[[str], list]) -> list | None:
    mark, letter = found.get("accent") or found["mark"].strip(), found.get("letter") or found["under"]
    composed = unicodedata.normalize("NFC", letter + MARKS.get(mark, ""))
    return [composed] if len(composed) == 1 and composed != letter else None


def _read_character(found: dict, source: str, parse: Callable[[str], list]) -> list:
    return [found.get("caret", "\\")]


def _read_dash(found: dict, source: str, parse: Callable[[str], list]) -> list:
    return ["—" if len(source) == 3 else "–"]


def _mark(kind: str | None, parts: list) -> list:
    """The parts with their texts marked; other parts have a face of their own."""
    return [[kind, part] if kind and isinstance(part, str) else part for part in parts]


_READERS: dict[str, Callable[[dict, str, Callable[[str], list]], list | None]] = {
    "words": _read_words,
    "typed": lambda found, *_: [["tt", re.sub(r"\\([%&#$_{}])", r"\1", found["typed"][1:-1]) or " "]],
    "switched": _read_switched,
    "title": lambda found, _, parse: _mark("b", parse(found["title"][1:-1])),
    "theorem": _read_theorem,
    "end": lambda *_: ["\u200b"],
    "character": _read_character,
    "accent": _read_accent,
    "mark": _read_accent,
    "line": lambda *_: ["\n"],
    "row": lambda *_: ["\n"],
    "brace": lambda found, *_: [found["brace"]],
    "dash": _read_dash,
    "aside": _read_dash,
    "tie": lambda *_: ["\u00a0"],
    "thin": lambda *_: ["\u202f"],
    "named": lambda found, *_: [_LETTERS[found["named"]]],
    "word": lambda found, *_: [_WORDS[found["word"]]],
    "space": lambda found, *_: [found["space"]],
    "quoted": lambda found, _, parse: ["“", *parse(found["quoted"]), "”"],
}
"""The reader of each kind of match, by the group that only it has."""
