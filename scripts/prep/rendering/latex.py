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
    ["grid", "(", ")", [[cell, …], …], [column, …], [row, …]]   matrices and cases, and rules in them
    ["lines", [[cell, …], …]]            aligned lines

Unsupported commands raise UnsupportedLatex, and the formula is then shown as literal text.
"""

import re

MAX_DEPTH = 24
"""The limit of nested groups."""


def _read_pairs(text: str) -> dict[str, str]:
    """A table from words that are keys and values in turn."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SYMBOLS = _read_pairs("""
    alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ
    lambda λ mu μ nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ
    chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
    times × div ÷ pm ± mp ∓ cdot ⋅ ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙
    cap ∩ cup ∪ setminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ neg ¬ lnot ¬ sqcap ⊓ sqcup ⊔ dagger † wr ≀
    leq ≤ le ≤ geq ≥ ge ≥ leqslant ⩽ geqslant ⩾ neq ≠ ne ≠ ll ≪ gg ≫ equiv ≡ sim ∼ simeq ≃ approx ≈
    cong ≅ propto ∝ in ∈ notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ subsetneqq ⫋
    supsetneq ⊋ nsubseteq ⊈ nsubset ⊄ prec ≺ succ ≻ preceq ⪯ succeq ⪰ mid ∣ nmid ∤ parallel ∥
    nparallel ∦ perp ⟂ vdash ⊢ models ⊨ vDash ⊨ doteq ≐ asymp ≍ bowtie ⋈ triangleq ≜ because ∵ therefore ∴
    forall ∀ exists ∃ nexists ∄ emptyset ∅ varnothing ∅ infty ∞ partial ∂ nabla ∇ aleph ℵ hbar ℏ ell ℓ
    Re ℜ Im ℑ wp ℘ angle ∠ measuredangle ∡ triangle △ square □ Box □ blacksquare ■ diamond ⋄ top ⊤ bot ⊥
    prime ′ degree ° sharp ♯ flat ♭ natural ♮ checkmark ✓ surd √ complement ∁ imath ı jmath ȷ
    to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔
    implies ⟹ impliedby ⟸ iff ⟺ longrightarrow ⟶ longleftarrow ⟵ Longrightarrow ⟹ Longleftrightarrow ⟺
    mapsto ↦ uparrow ↑ downarrow ↓ updownarrow ↕ Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ swarrow ↙
    nwarrow ↖ hookrightarrow ↪ rightharpoonup ⇀ rightleftharpoons ⇌ leftrightharpoons ⇋ leftrightarrows ⇆
    sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁
    bigwedge ⋀ ldots … dots … dotsc … cdots ⋯ dotsb ⋯ vdots ⋮ ddots ⋱ colon : lbrace { rbrace }
    lbrack [ rbrack ] langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ vert | lvert | rvert | Vert ‖
    lVert ‖ rVert ‖ backslash \\ lt < gt > And & S § P ¶ copyright © pounds £
    { { } } % % # # $ $ & & _ _ | ‖
""")

_OPERATORS = """
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp deg dim ker arg hom
"""
_LIMITS = "lim limsup liminf max min sup inf gcd lcm det Pr argmax argmin"
_ACCENTS = """
    hat ^ widehat ^ tilde ~ widetilde ~ bar ¯ vec → dot ˙ ddot ¨ check ˇ acute ´ grave ` breve ˘ mathring ∘
    overrightarrow → overleftarrow ←
"""
_STYLES = """
    mathrm upright rm upright mathbf boldupright bf boldupright boldsymbol bold bm bold mathit italic
    mathbb bb mathcal cal mathscr cal mathfrak frak mathsf sans mathtt mono
"""
_LINES = "overline over underline under overbrace overbrace underbrace underbrace"
_SPACES = {",": 0.17, ":": 0.22, ">": 0.22, ";": 0.28, "!": -0.17, " ": 0.25, "quad": 1.0, "qquad": 2.0}
_SPACES |= {"thinspace": 0.17, "medspace": 0.22, "thickspace": 0.28, "enspace": 0.5, "/": 0.0}
_IGNORED = "displaystyle textstyle scriptstyle limits nolimits nonumber notag relax"
_MOD = ["row", [["sp", 0.28], ["op", "mod", False], ["sp", 0.28]]]
_COMMANDS: dict[str, list] = {
    **{name: ["row", []] for name in _IGNORED.split()},
    **{name: ["op", name, False] for name in _OPERATORS.split()},
    **{name: ["op", name, True] for name in _LIMITS.split()},
    **{name: ["accent", ..., mark] for name, mark in _read_pairs(_ACCENTS).items()},
    **{name: ["style", style, ...] for name, style in _read_pairs(_STYLES).items()},
    **{name: ["line", ..., place] for name, place in _read_pairs(_LINES).items()},
    **{name: ["sp", width] for name, width in _SPACES.items()},
    **{name: ["s", character] for name, character in SYMBOLS.items()},
    **{name: ["binom", ..., ...] for name in ("binom", "dbinom", "tbinom")},
    **{"bmod": _MOD, "mod": _MOD},
}
"""The node that each command makes; `...` stands for an argument. Other commands need code of their own."""
_TEXTS = {"text", "textrm", "textbf", "textit", "textsf", "texttt", "mbox", "hbox", "textnormal"}
_ARROWS = {"xrightarrow": "→", "xleftarrow": "←", "xlongequal": "=", "xleftrightarrow": "↔"}
_BIG = re.compile(r"[bB]igg?[lrm]?\Z")
_NOT = {"=": "≠", "∈": "∉", "⊂": "⊄", "⊆": "⊈", "∣": "∤", "∥": "∦", "≡": "≢", "∼": "≁", "<": "≮", ">": "≯"}
_GRIDS = {"matrix": ("", ""), "smallmatrix": ("", ""), "array": ("", ""), "pmatrix": ("(", ")")}
_GRIDS |= {"bmatrix": ("[", "]"), "Bmatrix": ("{", "}"), "vmatrix": ("|", "|"), "Vmatrix": ("‖", "‖")}
_GRIDS |= {"cases": ("{", ""), "rcases": ("", "}")}
_ALIGNED = {"aligned", "align", "align*", "split", "gathered", "gather", "gather*", "equation", "equation*"}
_ASCII = {"-": "−", "*": "∗", "'": "′"}

_TOKEN = re.compile(r"\\([A-Za-z]+|.)|\s+|[0-9]+(?:\.[0-9]+)?|.", re.DOTALL)


class UnsupportedLatex(Exception):
    """A formula is malformed or has an unsupported part, which the text names."""


def parse(source: str) -> list:
    """Parse a formula, given without its dollar signs; raises UnsupportedLatex."""
    parser = _Parser([match.group() for match in _TOKEN.finditer(source.strip())])
    tree = parser.parse_row(None)
    if not tree[1]:
        raise UnsupportedLatex("an empty formula")
    return tree


def _holds_fraction(node: object) -> bool:
    return isinstance(node, list) and (node[:1] == ["frac"] or any(map(_holds_fraction, node)))


class _Parser:
    """A recursive descent parser over the tokens of a formula."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

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

    def parse_row(self, *ends: str | None) -> list:
        """Everything up to one of `ends` (None: the formula's end), which is not consumed."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnsupportedLatex("groups too deep")
        nodes: list[list] = []
        while (token := self.peek()) not in ends:
            if token is None:
                raise UnsupportedLatex(f"no {' or '.join(str(end) for end in ends)}")
            if token in ("^", "_", "'"):
                nodes.append(self.parse_attach(nodes.pop() if nodes else ["t", ""]))
            else:
                nodes.append(self.parse_atom())
        self.depth -= 1
        return ["row", nodes]

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
        while (token := self.peek()) in ("^", "_", "'"):
            self.at += 1
            if token == "'":
                above.append(["s", "′"])
            elif token == "^" and not any(node != ["s", "′"] for node in above):
                above.append(self.parse_argument())
            elif token == "_" and below is None:
                below = self.parse_argument()
            else:
                raise UnsupportedLatex("two superscripts or subscripts in a row")
        if base[0] == "line" and base[2].endswith("brace"):
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
        """The raw text of a group in braces, for \\text{…} and names."""
        if self.next() != "{":
            raise UnsupportedLatex("no { where one is needed")
        start, depth = self.at, 1
        while depth:
            if self.at >= len(self.tokens):
                raise UnsupportedLatex("no }")
            depth += {"{": 1, "}": -1}.get(self.tokens[self.at], 0)
            self.at += 1
        return "".join(self.tokens[start : self.at - 1])

    def parse_atom(self) -> list:
        token = self.next()
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
        return ["s", _ASCII.get(token, token)]

    def parse_command(self, name: str) -> list:
        if name in _COMMANDS:
            return [self.parse_argument() if part is ... else part for part in _COMMANDS[name]]
        if _BIG.match(name):
            return self.parse_delimiter(self.next())
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            parts = [self.parse_argument(), self.parse_argument()]
            # Shrunk at each level, nested fractions would be illegible.
            return ["frac", *(["full", part] if _holds_fraction(part) else part for part in parts)]
        if name == "sqrt":
            index = self.parse_option()
            return ["root", self.parse_argument(), index]
        if name in _TEXTS:
            text = self.parse_group()
            if re.search(r"[\\${}]", text):
                raise UnsupportedLatex(f"mathematics within \\{name}")
            return ["t", text.replace("~", " ")]
        if name == "operatorname":
            return ["op", re.sub(r"[^A-Za-z]", "", self.parse_group()), False]
        if name in ("overset", "stackrel", "underset"):
            note, base = self.parse_argument(), self.parse_argument()
            return ["under" if name == "underset" else "over", base, note]
        if name in _ARROWS:
            below = self.parse_option()
            return ["stretch", _ARROWS[name], self.parse_argument(), below]
        if name == "not":
            base = self.parse_atom()
            if base[0] == "s" and base[1] in _NOT:
                return ["s", _NOT[base[1]]]
            raise UnsupportedLatex("\\not")
        if name == "pmod":
            return ["fence", "(", ["row", [_MOD, self.parse_argument()]], ")"]
        if name == "left":
            opening, body, closing = self.next(), self.parse_until("\\right"), self.next()
            sides = ["" if side == "." else self.parse_delimiter(side)[1] for side in (opening, closing)]
            return ["fence", sides[0], body, sides[1]]
        if name == "begin":
            return self.parse_environment()
        raise UnsupportedLatex("\\" + name)

    def parse_delimiter(self, token: str) -> list:
        text = SYMBOLS.get(token[1:], "") if token[0] == "\\" else token
        if text not in set("()[]{}|‖⟨⟩⌊⌋⌈⌉/\\<>↑↓↕⇑⇓"):
            raise UnsupportedLatex(f"{token} as a delimiter")
        return ["s", {"<": "⟨", ">": "⟩"}.get(text, text)]

    def parse_environment(self) -> list:
        """`\\begin{…}`: matrices, cases, and aligned lines."""
        name = self.parse_group()
        if name not in _GRIDS and name not in _ALIGNED:
            raise UnsupportedLatex(f"\\begin{{{name}}}")
        columns = self.parse_group().replace(" ", "") if name == "array" else ""
        if re.search(r"[^lcr|]", columns):
            raise UnsupportedLatex(f"an array of {columns}")
        across = [at - columns[:at].count("|") for at, mark in enumerate(columns) if mark == "|"]
        down: list[int] = []
        rows: list[list] = [[]]
        while True:
            while columns and not rows[-1] and self.peek() == "\\hline":
                self.at += 1
                down.append(len(rows) - 1)
            rows[-1].append(self.parse_row("&", "\\\\", "\\end"))
            end = self.next()
            if end == "\\end":
                break
            if end == "\\\\":
                rows.append([])
        if self.parse_group() != name:
            raise UnsupportedLatex(f"no \\end{{{name}}}")
        rows = [row for row in rows if any(cell[1] for cell in row)]
        if not rows:
            raise UnsupportedLatex("an empty environment")
        if name in _ALIGNED:
            return ["lines", rows]
        wide = max(map(len, rows))
        across = sorted({at for at in across if 0 < at < wide})  # outer rules are dropped
        return ["grid", *_GRIDS[name], rows, across, sorted({at for at in down if 0 < at < len(rows)})]
