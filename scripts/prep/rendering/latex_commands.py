"""LaTeX command tables: what each command of mathematics stands for, as nodes of prep.rendering.latex."""

import re

from prep.rendering.latex_symbols import SYMBOLS, TEXVC, UPRIGHT_GREEK, read_pairs


class UnsupportedLatex(Exception):
    """A formula is malformed or has an unsupported part, which the text names."""


_OPERATORS = """
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp deg dim ker arg hom
    arccot arcsec arccsc sech csch arsinh artanh arcosh tg ctg cotg arctg arcctg th sh
    ch cth cosec
"""
_LIMITS = "lim limsup liminf max min sup inf gcd lcm det Pr argmax argmin injlim projlim plim"
_ACCENTS = """
    hat ^ widehat ^ tilde ~ widetilde ~ bar ¯ vec → dot ˙ ddot ¨ dddot ⃛ check ˇ widecheck ˇ acute ´ grave `
    breve ˘ mathring ∘ overrightarrow → overleftarrow ← overleftrightarrow ↔
    ddddot ⃜ overleftharpoon ⃐ overrightharpoon ⃑
"""
_STYLES = """
    mathbbm bb mathds bb
    mathrm upright mathup upright mathbf boldupright boldsymbol bold bm bold pmb bold mathit italic
    mathnormal italic mathbb bb Bbb bb mathcal cal mathscr cal mathfrak frak mathsf sans mathtt mono
    mathsfit sans bold bold vb bold mathbfit bold
"""
_LINES = """
    overline over underline under overbrace overbrace underbrace underbrace overparen overparen
    wideparen overparen overarc overparen underparen underparen overbracket overbracket
    underbracket underbracket cancel cancel bcancel bcancel xcancel xcancel sout cancel
    overgroup overparen undergroup underparen overlinesegment over underlinesegment under underbar under
    boxed box phantom hide hphantom hide vphantom hide
"""
_CLASSES = """
    mathrel relation mathbin binary mathord normal mathopen opening mathclose closing mathpunct punctuation
    mathinner normal
"""
_SPACES = {",": 0.17, ":": 0.22, ">": 0.22, ";": 0.28, "!": 0.0, " ": 0.25, "\n": 0.25, "/": 0.0}
_SPACES |= {"quad": 1.0, "qquad": 2.0, "enspace": 0.5, "enskip": 0.5, "thinspace": 0.17, "medspace": 0.22}
_SPACES |= {
    "thickspace": 0.28,
    "negthinspace": -0.17,
    "negmedspace": -0.22,
    "negthickspace": -0.28,
    "nobreakspace": 0.25,
}
_SPACES |= {"space": 0.25, "hfill": 1.0, "hfil": 1.0}
_IGNORED = """
    displaystyle textstyle scriptstyle scriptscriptstyle nonumber notag relax allowbreak nobreak centering
    tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge noindent strut
    mathstrut null par break displaylimits protect - unboldmath DOTSB DOTSI DOTSX sixptsize allowdisplaybreaks
"""
_MARKS_BELOW = """
    underleftarrow ← underrightarrow → underleftrightarrow ↔ utilde ∼
"""
_FENCES = {
    "bra": ("⟨", "|"), "ket": ("|", "⟩"), "braket": ("⟨", "⟩"), "Bra": ("⟨", "|"), "Ket": ("|", "⟩"),
    "Braket": ("⟨", "⟩"), "set": ("{", "}"), "Set": ("{", "}"), "abs": ("|", "|"), "norm": ("‖", "‖"),
    "ceil": ("⌈", "⌉"), "floor": ("⌊", "⌋"),
}  # fmt: skip
_COLOURS = ["red", "blue", "green", "purple", "orange", "pink", "gray"]
_COLOURS += [
    colour + tone
    for colour in ("blue", "teal", "green", "gold", "red", "maroon", "purple", "mint", "gray")
    for tone in "ABCDEFGHI"
]
"""Commands of KaTeX that colour their argument. A page has one ink."""
_TRANSPARENT = """
    smash ensuremath mathclap mathrlap mathllap clap rlap llap vcenter
"""
"""Commands that place their argument, which is shown where they stand."""
_SIGNS = read_pairs("""
    colonequals ≔ coloncolon ∷ equalscolon ≕ coloncolonequals ⩴ equalscoloncolon =∷ Eqqcolon =∷ colonminus :−
    Coloneq ∷− coloncolonminus ∷− minuscolon −: Eqcolon −∷ minuscoloncolon −∷ colonapprox :≈ Colonapprox ∷≈
    coloncolonapprox ∷≈ colonsim :∼ Colonsim ∷∼ coloncolonsim ∷∼ approxcolon ≈: approxcoloncolon ≈∷
    simcolon ∼: simcoloncolon ∼∷
""")
"""Relations of several signs."""
_MOD = ["row", [["sp", 0.22], ["t", "mod"], ["sp", 0.22]]]
COMMANDS: dict[str, list] = {
    **{name: ["row", []] for name in _IGNORED.split()},
    **{name: ["op", name, False] for name in _OPERATORS.split()},
    **{name: ["op", name, True] for name in _LIMITS.split()},
    **{name: ["accent", ..., mark] for name, mark in read_pairs(_ACCENTS).items()},
    **{name: ["style", style, ...] for name, style in read_pairs(_STYLES).items()},
    **{name: ["line", ..., place] for name, place in read_pairs(_LINES).items()},
    **{name: ["class", kind, ...] for name, kind in read_pairs(_CLASSES).items()},
    **{name: ["sp", width] for name, width in _SPACES.items()},
    **{name: ["s", character] for name, character in (TEXVC | SYMBOLS).items()},
    **{name: ["style", "upright", ["s", character]] for name, character in UPRIGHT_GREEK.items()},
    **{name: ["under", ..., ["s", mark]] for name, mark in read_pairs(_MARKS_BELOW).items()},
    **{name: ["fence", opening, ..., closing] for name, (opening, closing) in _FENCES.items()},
    **{name: ["row", [...]] for name in _COLOURS},
    **{name: ["binom", ..., ...] for name in ("binom", "dbinom", "tbinom")},
    "bmod": _MOD,
    "mod": ["row", [["sp", 0.5], ["t", "mod"], ["sp", 0.33]]],
    "pmod": ["row", [["sp", 0.5], ["s", "("], ["t", "mod"], ["sp", 0.33], ..., ["s", ")"]]],
    "pod": ["row", [["sp", 0.5], ["s", "("], ..., ["s", ")"]]],
    "textsuperscript": ["attach", ["t", ""], ..., None],
    "textsubscript": ["attach", ["t", ""], None, ...],
    "mathop": ["limits", ..., True],
    **{name: ["row", [...]] for name in _TRANSPARENT.split()},
    "varlimsup": ["limits", ["line", ["op", "lim", False], "over"], True],
    "varliminf": ["limits", ["line", ["op", "lim", False], "under"], True],
    "varinjlim": ["limits", ["under", ["op", "lim", False], ["s", "→"]], True],
    "varprojlim": ["limits", ["under", ["op", "lim", False], ["s", "←"]], True],
    "idotsint": ["row", [["s", "∫"], ["s", "⋯"], ["s", "∫"]]],
    **{
        name: ["class", "relation", ["row", [["s", sign] for sign in signs]]]
        for name, signs in _SIGNS.items()
    },
    "Overrightarrow": ["over", ..., ["s", "⇒"]],
    "TeX": ["t", "TeX"],
    "LaTeX": ["t", "LaTeX"],
    "KaTeX": ["t", "KaTeX"],
    "dd": ["row", [["sp", 0.17], ["s", "d"], ...]],
}
"""The node that each command makes; `...` stands for an argument. Other commands need code of their own."""

TEXTS = {
    "text": None, "textrm": None, "textnormal": None, "textup": None, "mbox": None, "hbox": None,
    "textsc": None, "emph": "italic", "textit": "italic", "textsl": "italic", "textbf": "boldupright",
    "textsf": "sans", "texttt": "mono", "textmd": None, "url": "mono",
}  # fmt: skip
"""Commands whose argument is text, and its style."""

SWITCHES = {
    "rm": "upright", "bf": "boldupright", "it": "italic", "sf": "sans", "tt": "mono", "cal": "cal",
    "mit": "italic", "frak": "frak", "rmfamily": "upright", "bfseries": "boldupright", "itshape": "italic",
    "boldmath": "bold",
}  # fmt: skip
"""Commands that set the style of the rest of their group."""

INFIXES = {"over": "frac", "choose": "binom", "atop": "stack"}
"""Commands between the two halves of a group."""

ARROWS = {
    "xlongrightarrow": "→",
    "xrightarrow": "→", "xleftarrow": "←", "xlongequal": "=", "xleftrightarrow": "↔", "xRightarrow": "⇒",
    "xLeftarrow": "⇐", "xLeftrightarrow": "⇔", "xrightleftharpoons": "⇌", "xleftrightharpoons": "⇋",
    "xmapsto": "↦", "xhookrightarrow": "↪", "xrightharpoonup": "⇀", "xleftharpoonup": "↼",
    "xhookleftarrow": "↩", "xrightharpoondown": "⇁", "xleftharpoondown": "↽", "xtwoheadrightarrow": "↠",
    "xtwoheadleftarrow": "↞", "xtofrom": "⇄", "xrightleftarrows": "⇄", "xleftrightarrows": "⇆",
    "xrightequilibrium": "⇌", "xleftequilibrium": "⇋", "xequal": "=", "xlongleftarrow": "←",
}  # fmt: skip
NOT = {"=": "≠", "∈": "∉", "⊂": "⊄", "⊆": "⊈", "∣": "∤", "∥": "∦", "≡": "≢", "∼": "≁", "<": "≮", ">": "≯"}
NOT |= {"≤": "≰", "≥": "≱", "⊃": "⊅", "⊇": "⊉", "≅": "≇", "≈": "≉", "∃": "∄", "→": "↛", "⇒": "⇏", "⇔": "⇎"}
MARKS = dict(
    zip(
        "'`^\"~=.ucvHrk",
        "\u0301\u0300\u0302\u0308\u0303\u0304\u0307\u0306\u0327\u030c\u030b\u030a\u0328",
        strict=True,
    )
)
"""Accents of text, each as the combining character."""

GRIDS = {"matrix": ("", ""), "smallmatrix": ("", ""), "array": ("", ""), "pmatrix": ("(", ")")}
GRIDS |= {"bmatrix": ("[", "]"), "Bmatrix": ("{", "}"), "vmatrix": ("|", "|"), "Vmatrix": ("‖", "‖")}
GRIDS |= {"cases": ("{", ""), "dcases": ("{", ""), "rcases": ("", "}"), "drcases": ("", "}")}
GRIDS |= {"darray": ("", ""), "subarray": ("", "")}
_ALIGNED = """
    aligned align align* split gathered gather gather* equation equation* multline multline* eqnarray
    eqnarray* alignat alignat* alignedat flalign flalign* displaymath math
"""
ALIGNED = frozenset(_ALIGNED.split())
DISPLAYS = ALIGNED - {"aligned", "split", "gathered", "alignedat", "math"}
"""Environments that are displays; others of aligned lines stand within formulas."""
ASCII = {"-": "−", "*": "∗", "'": "′"}
EM = {"em": 1.0, "ex": 0.43, "pt": 0.1, "cm": 2.85, "mm": 0.285, "in": 7.2, "mu": 1 / 18, "px": 0.08}
EM |= {"bp": 0.1, "pc": 1.2, "textwidth": 20.0, "linewidth": 20.0}
LENGTH = re.compile(
    r"\s*(-?\d*\.?\d*)\s*\\?(" + "|".join(sorted(EM, key=len, reverse=True)) + r")\s*(?:plus.*|minus.*)?\Z"
)
"""A length, which becomes em."""

ROW_ENDS = ("\\\\", "\\cr", "\\newline", "\\tabularnewline")
DELIMITERS = frozenset("()[]{}|‖⟨⟩⌊⌋⌈⌉/\\<>↑↓↕⇑⇓⇕∣∥⌜⌝⌞⌟⟮⟯⎰⎱⟦⟧⦃⦄")
