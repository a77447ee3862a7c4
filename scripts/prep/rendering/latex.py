"""LaTeX mathematics parser: a formula as a tree of plain data.

A node is a list whose first item names it. The page renders the tree and never sees the LaTeX:

    ["s", "x"]              one symbol (a letter is a variable)      ["t", "max"]       upright text
    ["row", [node, …]]      one after the other                      ["sp", 1.0]        space, in em
    ["frac", node, node]    fraction       ["binom", node, node]     ["root", node, node | null]
    ["attach", base, superscript | null, subscript | null]           ["op", "lim", limits]
    ["over", base, node]    a small node above (`\\overset`)          ["under", base, node]
    ["accent", base, "→"]   ["line", base, "over" | "under" | "overbrace" | "underbrace"]
    ["full", node]          a part of a fraction that holds fractions, at full size
    ["style", "bb", node]   ["fence", "(", node, ")"]                 ["stretch", "→", above, below]
    ["line", base, "box" | "circle" | "cancel" | "hide" | …]   what is drawn around or through a base
    ["limits", node, are_above]          ["class", "relation", node]     ["mid", "|"]   ["big", "(", 1.2]
    ["blank", 2.0]   a line to write on, in em        ["stack", row, row, …]   small lines
    ["grid", "(", ")", [[cell, …], …], "lcr", [column, …], [row, …]]   matrices and cases, and rules in them
    ["lines", [[cell, …], …]]            aligned lines

    ["raw", "\\\\foo{x}"]   an unsupported command with its arguments, as literal text

Unsupported commands raise UnsupportedLatex, or else are literal text within the formula.
"""

import re
import unicodedata

from prep.rendering import chemistry, latex_environments, latex_packages
from prep.rendering.latex_commands import (
    ARROWS,
    ASCII,
    COMMANDS,
    DELIMITERS,
    EM,
    INFIXES,
    LENGTH,
    MARKS,
    NOT,
    ROW_ENDS,
    SWITCHES,
    TEXTS,
    UnsupportedLatex,
)
from prep.rendering.latex_symbols import SYMBOLS, TEXVC
from prep.rendering.latex_tree import holds_fraction, is_blank, join_text, measure_blank

MAX_DEPTH = 36
"""The limit of nested commands and groups: typst and Python recurse over the tree."""

_TOKEN = re.compile(r"\\([A-Za-z]+|.)|\s+|[0-9]+(?:\.[0-9]+)?|.", re.DOTALL)
_COMMAND = re.compile(r"(\\+)([A-Za-z]+)")
_PARTS = {"right", "end", "limits", "nolimits", "hline", "item"}
"""Commands that are parts of others."""
_BIG = re.compile(r"[bB]igg?[lrm]?\Z")
_BIG_SIZES = {"big": 1.2, "Big": 1.8, "bigg": 2.4, "Bigg": 3.0}


def parse(source: str, is_partly: bool = False) -> list:
    """Parse a formula, given without its dollar signs; raises UnsupportedLatex.

    If it `is_partly` to be read, unsupported commands are literal. What is malformed is raised in any case.
    """
    tree = Parser(halve_backslashes(source), is_partly=is_partly).parse_lines()
    if not tree[1]:
        raise UnsupportedLatex("an empty formula")
    return tree


def halve_backslashes(source: str) -> str:
    """A formula whose every backslash is doubled, as in JSON, with single ones; any other as it is.

    `\\\\` and a letter can also be a line's end. So every backslash before letters must be doubled, with
    two letters or more, and one command known.
    """
    runs = _COMMAND.findall(source)
    if not any(len(slashes) % 4 == 2 and _is_known(name) for slashes, name in runs):
        return source
    if all(len(slashes) % 4 == 0 or (len(slashes) % 4 == 2 and len(name) > 1) for slashes, name in runs):
        return source.replace("\\\\", "\\")
    return source


def _is_known(name: str) -> bool:
    tables = (COMMANDS, TEXTS, SWITCHES, INFIXES, ARROWS, _PARSERS, _PARTS)
    return any(name in table for table in tables) or bool(_BIG.match(name))


class Parser:
    """A recursive descent parser over the tokens of a formula."""

    def __init__(self, source: str, depth: int = 0, is_partly: bool = False) -> None:
        self.tokens = [match.group() for match in _TOKEN.finditer(source)]
        self.at = 0
        self.depth = depth
        self.is_partly = is_partly

    def peek(self) -> str | None:
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> str:
        token = self.peek()
        if token is None:
            raise UnsupportedLatex("the formula's end, where more is needed")
        self.at += 1
        return token

    def parse_lines(self) -> list:
        """The whole formula: one row, or lines that end with `\\\\` outside any environment."""
        rows = [self.parse_row(None, *ROW_ENDS)]
        while self.peek() is not None:
            self.end_row()
            rows.append(self.parse_row(None, *ROW_ENDS))
        rows = [row for row in rows if row[1]]
        if len(rows) > 1:
            return ["row", [["lines", [[row] for row in rows]]]]
        return rows[0] if rows else ["row", []]

    def parse_row(self, *ends: str | None) -> list:
        """Everything up to one of `ends` (None: the formula's end), which is not consumed."""
        nodes: list[list] = []
        while (token := self.peek()) not in ends:
            if token is None:
                raise UnsupportedLatex(f"no {' or '.join(str(end) for end in ends)}")
            name = token[1:] if token[0] == "\\" else ""
            if token in ("^", "_", "'", "′"):
                nodes.append(self.parse_attach(nodes.pop() if nodes else ["t", ""]))
            elif name in ("limits", "nolimits") and nodes:
                self.at += 1
                nodes.append(["limits", nodes.pop(), name == "limits"])
            elif name in SWITCHES:
                nodes.append(["style", SWITCHES[name], self.parse_rest(ends)])
            elif name in INFIXES:
                nodes = [[INFIXES[name], ["row", nodes], self.parse_rest(ends)]]
            else:
                nodes.append(self.parse_atom())
        return ["row", nodes]

    def parse_rest(self, ends: tuple[str | None, ...]) -> list:
        """What follows a command that reaches to the end of its group."""
        self.at += 1
        self.enter()
        rest = self.parse_row(*ends)
        self.depth -= 1
        return rest

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnsupportedLatex("groups too deep")

    def parse_until(self, end: str) -> list:
        """Everything up to `end`, which is consumed."""
        row = self.parse_row(end)
        self.at += 1
        return row

    def parse_option(self) -> list | None:
        """An argument in brackets, or None."""
        if self.peek() != "[":
            return None
        self.at += 1
        return self.parse_until("]")

    def parse_attach(self, base: list) -> list:
        """Superscripts, subscripts and primes of a base, in any order."""
        above: list[list] = []
        below = None
        while (token := self.peek()) in ("^", "_", "'", "′"):
            self.at += 1
            if token in ("'", "′"):
                above.append(["s", "′"])
            elif token == "^" and not any(node != ["s", "′"] for node in above):
                above.append(self.parse_argument())
            elif token == "_" and below is None:
                below = self.parse_argument()
            else:
                raise UnsupportedLatex("two superscripts or subscripts in a row")
        if base[0] == "line" and base[2].endswith(("brace", "bracket")):
            for place, note in (("over", ["row", above] if above else None), ("under", below)):
                base = [place, base, note] if note else base
            return base
        return ["attach", base, ["row", above] if above else None, below]

    def parse_argument(self) -> list:
        """One token, or a group in braces."""
        if self.peek() in ("^", "_", "&", "}"):
            raise UnsupportedLatex(f"{self.peek()} in place of an argument")
        token = self.peek()
        if token is not None and len(token) > 1 and token[0].isdigit():
            self.tokens[self.at : self.at + 1] = list(token)  # \frac12 is a half
        return self.parse_atom()

    def parse_group(self) -> str:
        """The raw text of a group in braces, for names and lengths."""
        if self.next() != "{":
            raise UnsupportedLatex("no { where one is needed")
        start, depth = self.at, 1
        while depth:
            if self.at >= len(self.tokens):
                raise UnsupportedLatex("no }")
            depth += {"{": 1, "}": -1}.get(self.tokens[self.at], 0)
            self.at += 1
        return "".join(self.tokens[start : self.at - 1])

    def parse_text(self) -> list:
        """A group in braces as text, with any mathematics between dollars."""
        if self.peek() != "{":
            return self.parse_argument()
        self.next()
        self.enter()
        nodes: list[list] = []
        while True:
            if self.at >= len(self.tokens):
                raise UnsupportedLatex("no }")
            token = self.tokens[self.at]
            if token == "}":
                break
            if token == "{":
                node = self.parse_text()
            elif token in ("$", "\\("):
                self.at += 1
                node = self.parse_until({"$": "$", "\\(": "\\)"}[token])
            elif token[0] == "\\" and token not in ("\\ ", "\\\\"):
                self.at += 1
                mark = MARKS.get(token[1:])
                node = self.parse_accent(mark) if mark else self.parse_command(token[1:])
            else:
                self.at += 1
                node = ["t", " " if token in ("~", "\\ ", "\\\\") or token.isspace() else token]
            if node[0] == "t" and nodes and nodes[-1][0] == "t":
                nodes[-1] = ["t", nodes[-1][1] + node[1]]
            else:
                nodes.append(node)
        self.at += 1
        self.depth -= 1
        return nodes[0] if len(nodes) == 1 else ["row", nodes] if nodes else ["t", ""]

    def parse_atom(self) -> list:
        self.enter()
        node = self.parse_token(self.next())
        self.depth -= 1
        return node

    def parse_token(self, token: str) -> list:
        if token == "{":
            return self.parse_until("}")
        if token in ("}", "&", "^", "_", "$"):
            raise UnsupportedLatex(f"{token} out of place")
        if token == "~":
            return ["sp", 0.25]
        if token[0] == "\\":
            return self.parse_command(token[1:])
        if token[0].isdigit() or not token.isascii():
            return ["t", token]
        return ["s", ASCII.get(token, token)]

    def parse_command(self, name: str) -> list:
        """A command, whose name is consumed."""
        if name in COMMANDS:
            node = self.fill(COMMANDS[name])
            is_answer_line = name == "underline" and is_blank(node[1])
            return ["blank", max(measure_blank(node[1]), 1.0)] if is_answer_line else node
        if name in TEXTS:
            text = self.parse_text()
            return ["style", TEXTS[name], text] if TEXTS[name] else text
        if name in ARROWS:
            below = self.parse_option()
            return ["stretch", ARROWS[name], self.parse_argument(), below]
        if _BIG.match(name):
            token = self.next()
            size = _BIG_SIZES[name.rstrip("lrm")]
            return ["row", []] if token == "." else ["big", self.parse_delimiter(token)[1], size]
        if parse := _PARSERS.get(name):
            return parse(self)
        if self.is_partly and len(name) > 1:
            return ["raw", f"\\{name}{self.read_arguments()}"]
        raise UnsupportedLatex("\\" + name)

    def read_arguments(self) -> str:
        """The source of the groups in brackets and braces that follow at once."""
        start = self.at
        while self.tokens[self.at : self.at + 1] in (["{"], ["["]):
            before = self.at
            if self.tokens[self.at] == "{":
                self.parse_group()
            elif "]" in self.tokens[self.at : self.at + 20]:
                self.at = self.tokens.index("]", self.at) + 1
            if self.at == before:
                break
        return "".join(self.tokens[start : self.at])

    def fill(self, part: object) -> object:
        """A node of the tables, with an argument in place of each `...`."""
        if part is ...:
            return self.parse_argument()
        return list(map(self.fill, part)) if isinstance(part, list) else part

    def parse_fraction(self) -> list:
        self.parse_option()
        parts = [self.parse_argument(), self.parse_argument()]
        # Shrunk at each level, nested fractions would be illegible.
        return ["frac", *(["full", part] if holds_fraction(part) else part for part in parts)]

    def parse_root(self) -> list:
        index = self.parse_option()
        return ["root", self.parse_argument(), index]

    def parse_operator(self, has_limits: bool = False) -> list:
        """`\\operatorname{…}`, whose name may have any letters."""
        has_limits |= self.skip("*")
        name = self.parse_argument()
        text = join_text(name)
        if text:
            return ["op", text, has_limits]
        return ["limits", ["style", "upright", name], has_limits]

    def parse_over(self) -> list:
        note, base = self.parse_argument(), self.parse_argument()
        is_arc = note in (["s", "⌢"], ["row", [["s", "⌢"]]])
        return ["line", base, "overparen"] if is_arc else ["over", base, note]

    def parse_under(self) -> list:
        note, base = self.parse_argument(), self.parse_argument()
        return ["under", base, note]

    def parse_not(self) -> list:
        base = self.parse_atom()
        if base[0] in ("s", "t") and base[1] in NOT:
            return ["s", NOT[base[1]]]
        return ["line", base, "cancel"]

    def parse_fence(self) -> list:
        opening, body, closing = self.next(), self.parse_until("\\right"), self.next()
        sides = ["" if side == "." else self.parse_delimiter(side)[1] for side in (opening, closing)]
        return ["fence", sides[0], body, sides[1]]

    def parse_middle(self) -> list:
        return ["mid", self.parse_delimiter(self.next())[1]]

    def parse_delimiter(self, token: str) -> list:
        text = (TEXVC | SYMBOLS).get(token[1:], "") if token[0] == "\\" else token
        if text not in DELIMITERS:
            raise UnsupportedLatex(f"{token} as a delimiter")
        return ["s", {"<": "⟨", ">": "⟩", "∣": "|", "∥": "‖"}.get(text, text)]

    def parse_accent(self, mark: str) -> list:
        """An accent of text, such as `\\'e`."""
        text = join_text(self.parse_text())
        composed = unicodedata.normalize("NFC", text[0] + mark) + text[1:] if text else mark
        if text is None or len(composed) > max(len(text), 1):
            raise UnsupportedLatex("an accent on what has none")
        return ["t", composed if text else unicodedata.normalize("NFKC", mark).strip()]

    def parse_tag(self) -> list:
        is_bare = self.skip("*")
        text = self.parse_text()
        return ["row", [["sp", 2.0], text if is_bare else ["row", [["t", "("], text, ["t", ")"]]]]]

    def parse_framed(self) -> list:
        return ["line", self.parse_text(), "box"]

    def parse_stack(self) -> list:
        """`\\substack{…}`: lines of a small note."""
        if self.next() != "{":
            raise UnsupportedLatex("no { where one is needed")
        rows = [self.parse_row("}", *ROW_ENDS)]
        while self.peek() != "}":
            self.end_row()
            rows.append(self.parse_row("}", *ROW_ENDS))
        self.at += 1
        return ["stack", *rows]

    def parse_chemistry(self) -> list:
        return self.parse_source(chemistry.translate(self.parse_group()))

    def parse_source(self, source: str) -> list:
        """LaTeX that a command was translated to."""
        return Parser(source, self.depth, self.is_partly).parse_lines()

    def parse_unit(self) -> list:
        return ["t", self.parse_group().replace("//", "/")]

    def parse_space(self) -> list:
        """`\\hspace{…}` and `\\kern…`. What is less than nothing would let letters overlap."""
        self.skip("*")
        if self.peek() == "{":
            length = self.parse_group()
        else:
            start = self.at
            while self.at < min(start + 6, len(self.tokens)) and not LENGTH.match(
                "".join(self.tokens[start : self.at])
            ):
                self.at += 1
            length = "".join(self.tokens[start : self.at])
        match = LENGTH.match(length)
        if not match:
            raise UnsupportedLatex(f"a space of {length}")
        return ["sp", round(min(max(float(match[1] or 1) * EM[match[2]], 0.0), 20.0), 3)]

    def parse_vertical_space(self) -> list:
        self.parse_space()
        return ["row", []]

    def parse_rule(self) -> list:
        width = self.parse_space()[1]
        self.parse_group()
        return ["blank", max(width, 0.1)]

    def parse_label(self) -> list:
        self.parse_group()
        return ["row", []]

    def parse_coloured(self) -> list:
        self.parse_option()
        self.parse_group()
        return self.parse_text() if self.peek() == "{" else ["row", []]

    def parse_colour(self) -> list:
        self.parse_group()
        return ["row", []]

    def skip(self, token: str) -> bool:
        """Consume a token if it comes at once; whether it does."""
        comes = self.tokens[self.at : self.at + 1] == [token]
        self.at += comes
        return comes

    def end_row(self) -> None:
        """Consume a row's end, with its star and the space that it asks for."""
        self.next()
        self.skip("*")
        start = self.at
        if self.peek() == "[":
            length = "".join(self.tokens[self.at + 1 : self.at + 12]).partition("]")
            if length[1] and LENGTH.match(length[0]):
                self.at = self.tokens.index("]", self.at) + 1
                return
        self.at = start


_PARSERS = {
    **dict.fromkeys(("frac", "dfrac", "tfrac", "cfrac"), Parser.parse_fraction),
    "sqrt": Parser.parse_root,
    "operatorname": Parser.parse_operator,
    "operatornamewithlimits": lambda parser: parser.parse_operator(has_limits=True),
    **dict.fromkeys(("overset", "stackrel"), Parser.parse_over),
    "underset": Parser.parse_under,
    "not": Parser.parse_not,
    "left": Parser.parse_fence,
    "middle": Parser.parse_middle,
    "tag": Parser.parse_tag,
    **dict.fromkeys(("fbox", "framebox"), Parser.parse_framed),
    "substack": Parser.parse_stack,
    **dict.fromkeys(("ce", "cf"), Parser.parse_chemistry),
    "pu": Parser.parse_unit,
    **dict.fromkeys(("hspace", "kern", "mkern", "hskip", "mskip"), Parser.parse_space),
    "vspace": Parser.parse_vertical_space,
    "rule": Parser.parse_rule,
    "label": Parser.parse_label,
    **dict.fromkeys(("textcolor", "colorbox"), Parser.parse_coloured),
    "color": Parser.parse_colour,
    "begin": latex_environments.parse_environment,
    **latex_packages.PARSERS,
}
"""The commands that need code of their own."""
