"""LaTeX command tables: what each command of mathematics stands for, as nodes of prep.rendering.latex."""

import re


def _read_pairs(text: str) -> dict[str, str]:
    """A table from words that are keys and values in turn."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SYMBOLS = _read_pairs("""
    alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ
    lambda λ mu μ nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ
    chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
    varDelta Δ varGamma Γ varOmega Ω varPhi Φ varkappa ϰ digamma ϝ omicron ο
    times × div ÷ pm ± mp ∓ cdot ⋅ cdotp ⋅ ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙
    oslash ⊘ cap ∩ cup ∪ uplus ⊎ setminus ∖ smallsetminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ neg ¬ lnot ¬ sqcap ⊓
    sqcup ⊔ dagger † dag † ddagger ‡ ddag ‡ wr ≀ amalg ⨿ ltimes ⋉ rtimes ⋊ veebar ⊻ barwedge ⊼
    divideontimes ⋇
    leq ≤ le ≤ geq ≥ ge ≥ leqslant ⩽ geqslant ⩾ leqq ≦ geqq ≧ neq ≠ ne ≠ ll ≪ gg ≫ equiv ≡ sim ∼ simeq ≃
    approx ≈ thickapprox ≈ approxeq ≊ thicksim ∼ backsim ∽ lesssim ≲ gtrsim ≳ lessgtr ≶ gtrless ≷
    nleq ≰ ngeq ≱
    nless ≮ ngtr ≯ lneq ⪇ gneq ⪈ lneqq ≨ gneqq ≩ nleqslant ≰ ngeqslant ≱ nsim ≁ ncong ≇ coloneqq ≔ eqqcolon ≕
    cong ≅ propto ∝ varpropto ∝ in ∈ notin ∉ ni ∋ owns ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subseteqq ⫅
    supseteqq ⫆ subsetneq ⊊ subsetneqq ⫋ varsubsetneqq ⫋ varsubsetneq ⊊ supsetneq ⊋ supsetneqq ⫌ nsubseteq ⊈
    nsupseteq ⊉ nsubset ⊄ Subset ⋐ Supset ⋑ sqsubset ⊏ sqsupset ⊐ sqsubseteq ⊑ sqsupseteq ⊒
    prec ≺ succ ≻ preceq ⪯ succeq ⪰ mid ∣ shortmid ∣ divides ∣ nmid ∤ parallel ∥ shortparallel ∥ nparallel ∦
    perp ⟂ vdash ⊢ dashv ⊣ models ⊨ vDash ⊨ Vdash ⊩ nvdash ⊬ nvDash ⊭ doteq ≐ doteqdot ≑ asymp ≍ bowtie ⋈
    triangleq ≜ because ∵ therefore ∴ smile ⌣ frown ⌢ trianglelefteq ⊴ trianglerighteq ⊵ lhd ⊲ rhd ⊳
    vartriangleleft ⊲ vartriangleright ⊳
    forall ∀ exists ∃ nexists ∄ emptyset ∅ varnothing ∅ infty ∞ partial ∂ nabla ∇ aleph ℵ beth ℶ hbar ℏ
    hslash ℏ ell ℓ Re ℜ Im ℑ wp ℘ angle ∠ measuredangle ∡ sphericalangle ∢ triangle △ vartriangle △
    bigtriangleup △ triangledown ▽ bigtriangledown ▽ triangleleft ◁ triangleright ▷ blacktriangle ▲
    blacktriangledown ▼ square □ Box □ blacksquare ■ diamond ⋄ Diamond ◇ lozenge ◊ bigcirc ◯ bigstar ★
    clubsuit ♣ diamondsuit ♢ heartsuit ♡ spadesuit ♠ top ⊤ bot ⊥ eth ð mho ℧
    prime ′ backprime ‵ degree ° celsius ℃ textcelsius ℃ textdegree ° sharp ♯ flat ♭ natural ♮ checkmark ✓
    surd √ complement ∁ imath ı jmath ȷ diagup ╱ diagdown ╲
    to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔
    implies ⟹ impliedby ⟸ iff ⟺ longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow ⟷ Longrightarrow ⟹
    Longleftarrow ⟸ Longleftrightarrow ⟺ mapsto ↦ longmapsto ⟼ uparrow ↑ downarrow ↓ updownarrow ↕
    Uparrow ⇑ Downarrow ⇓ Updownarrow ⇕ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪
    hookleftarrow ↩ rightharpoonup ⇀ rightharpoondown ⇁ leftharpoonup ↼ leftharpoondown ↽
    rightleftharpoons ⇌ leftrightharpoons ⇋ leftrightarrows ⇆ rightleftarrows ⇄ rightrightarrows ⇉
    upuparrows ⇈ nrightarrow ↛ nRightarrow ⇏ nleftarrow ↚ nLeftrightarrow ⇎ rightsquigarrow ⇝ leadsto ⇝
    twoheadrightarrow ↠ circlearrowleft ↺ circlearrowright ↻ curvearrowright ↷ dashrightarrow ⇢
    sum ∑ prod ∏ coprod ∐ int ∫ intop ∫ smallint ∫ iint ∬ iiint ∭ oint ∮ oiint ∯ bigcup ⋃ bigcap ⋂
    bigoplus ⨁ bigotimes ⨂ bigodot ⨀ biguplus ⨄ bigsqcup ⨆ bigvee ⋁ bigwedge ⋀
    ldots … dots … dotsc … dotso … textellipsis … mathellipsis … cdots ⋯ dotsb ⋯ dotsm ⋯ dotsi ⋯ vdots ⋮
    ddots ⋱ colon : ldotp .
    lbrace { rbrace } lbrack [ rbrack ] langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ vert | lvert |
    rvert | Vert ‖ lVert ‖ rVert ‖ backslash \\ textbackslash \\ lt < gt > And & S § P ¶ copyright ©
    pounds £ textsterling £ yen ¥ textyen ¥ euro € texteuro € cent ¢ textcent ¢ textdollar $ dollar $
    textunderscore _ textasciitilde ~ textquotesingle ' textregistered ®
    textbullet • AA Å aa å AE Æ ae æ OE Œ oe œ O Ø o ø L Ł l ł ss ß i ı j ȷ
    hdots … iddots ⋰ centerdot ⋅ permil ‰ textperthousand ‰ perthousand ‰ ohm Ω micro µ parallelogram ▱
    R ℝ N ℕ Z ℤ Q ℚ infin ∞ exist ∃ isin ∈ rarr → larr ← harr ↔ Alpha Α Beta Β
    { { } } % % # # $ $ & & _ _ | ‖
""")

_OPERATORS = """
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp deg dim ker arg hom
    arccot arcsec arccsc sech csch arsinh artanh tg ctg arctg th sh ch cosec
"""
_LIMITS = "lim limsup liminf max min sup inf gcd lcm det Pr argmax argmin injlim projlim"
_ACCENTS = """
    hat ^ widehat ^ tilde ~ widetilde ~ bar ¯ vec → dot ˙ ddot ¨ dddot ⃛ check ˇ widecheck ˇ acute ´ grave `
    breve ˘ mathring ∘ overrightarrow → overleftarrow ← overleftrightarrow ↔
"""
_STYLES = """
    mathbbm bb mathds bb
    mathrm upright mathup upright mathbf boldupright boldsymbol bold bm bold pmb bold mathit italic
    mathnormal italic mathbb bb Bbb bb mathcal cal mathscr cal mathfrak frak mathsf sans mathtt mono
"""
_LINES = """
    overline over underline under overbrace overbrace underbrace underbrace overparen overparen
    wideparen overparen overarc overparen underparen underparen overbracket overbracket
    underbracket underbracket cancel cancel bcancel bcancel xcancel xcancel sout cancel
    boxed box phantom hide hphantom hide vphantom hide
"""
_CLASSES = """
    mathrel relation mathbin binary mathord normal mathopen opening mathclose closing mathpunct punctuation
    mathinner normal
"""
_SPACES = {",": 0.17, ":": 0.22, ">": 0.22, ";": 0.28, "!": -0.17, " ": 0.25, "\n": 0.25, "/": 0.0}
_SPACES |= {"quad": 1.0, "qquad": 2.0, "enspace": 0.5, "enskip": 0.5, "thinspace": 0.17, "medspace": 0.22}
_SPACES |= {"thickspace": 0.28, "negthinspace": -0.17, "negmedspace": -0.22, "nobreakspace": 0.25}
_SPACES |= {"space": 0.25, "hfill": 1.0, "hfil": 1.0}
_IGNORED = """
    displaystyle textstyle scriptstyle scriptscriptstyle nonumber notag relax allowbreak nobreak centering
    tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge noindent strut
    mathstrut null par break displaylimits protect - unboldmath
"""
_MOD = ["row", [["sp", 0.22], ["t", "mod"], ["sp", 0.22]]]
COMMANDS: dict[str, list] = {
    **{name: ["row", []] for name in _IGNORED.split()},
    **{name: ["op", name, False] for name in _OPERATORS.split()},
    **{name: ["op", name, True] for name in _LIMITS.split()},
    **{name: ["accent", ..., mark] for name, mark in _read_pairs(_ACCENTS).items()},
    **{name: ["style", style, ...] for name, style in _read_pairs(_STYLES).items()},
    **{name: ["line", ..., place] for name, place in _read_pairs(_LINES).items()},
    **{name: ["class", kind, ...] for name, kind in _read_pairs(_CLASSES).items()},
    **{name: ["sp", width] for name, width in _SPACES.items()},
    **{name: ["s", character] for name, character in SYMBOLS.items()},
    **{name: ["binom", ..., ...] for name in ("binom", "dbinom", "tbinom")},
    "bmod": _MOD,
    "mod": ["row", [["sp", 0.5], ["t", "mod"], ["sp", 0.33]]],
    "pmod": ["row", [["sp", 0.5], ["s", "("], ["t", "mod"], ["sp", 0.33], ..., ["s", ")"]]],
    "pod": ["row", [["sp", 0.5], ["s", "("], ..., ["s", ")"]]],
    "textsuperscript": ["attach", ["t", ""], ..., None],
    "textsubscript": ["attach", ["t", ""], None, ...],
    "mathop": ["limits", ..., True],
    **{name: ["row", [...]] for name in ("smash", "ensuremath", "mathclap", "rlap", "llap")},
}
"""The node that each command makes; `...` stands for an argument. Other commands need code of their own."""

TEXTS = {
    "text": None, "textrm": None, "textnormal": None, "textup": None, "mbox": None, "hbox": None,
    "textsc": None, "emph": "italic", "textit": "italic", "textsl": "italic", "textbf": "boldupright",
    "textsf": "sans", "texttt": "mono",
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
}  # fmt: skip
NOT = {"=": "≠", "∈": "∉", "⊂": "⊄", "⊆": "⊈", "∣": "∤", "∥": "∦", "≡": "≢", "∼": "≁", "<": "≮", ">": "≯"}
NOT |= {"≤": "≰", "≥": "≱", "⊃": "⊅", "⊇": "⊉", "≅": "≇", "≈": "≉", "∃": "∄", "→": "↛", "⇒": "⇏", "⇔": "⇎"}
MARKS = dict(
    zip(
        "'`^\"~=.ucvHr",
        "\u0301\u0300\u0302\u0308\u0303\u0304\u0307\u0306\u0327\u030c\u030b\u030a",
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
ASCII = {"-": "−", "*": "∗", "'": "′"}
EM = {"em": 1.0, "ex": 0.43, "pt": 0.1, "cm": 2.85, "mm": 0.285, "in": 7.2, "mu": 1 / 18, "px": 0.08}
EM |= {"bp": 0.1, "pc": 1.2, "textwidth": 20.0, "linewidth": 20.0}
LENGTH = re.compile(
    r"\s*(-?\d*\.?\d*)\s*\\?(" + "|".join(sorted(EM, key=len, reverse=True)) + r")\s*(?:plus.*|minus.*)?\Z"
)
"""A length, which becomes em."""
