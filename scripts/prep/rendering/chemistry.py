"""mhchem translator: chemical formulas and reactions (`\\ce{…}`) as LaTeX mathematics.

https://mhchem.github.io/MathJax-mhchem/ describes the notation. This is the commoner part of it: amounts,
elements, charges, isotopes, states, bonds, arrows with conditions, precipitates and gases.
"""

import re

_ARROWS = {
    "->": "xrightarrow", "-->": "xrightarrow", "→": "xrightarrow", "<-": "xleftarrow",
    "<->": "xleftrightarrow", "<-->": "xleftrightarrow", "==": "xlongequal", "===": "xlongequal",
    "<=>": "xrightleftharpoons", "<=>>": "xrightleftharpoons", "<<=>": "xrightleftharpoons",
    "⇌": "xrightleftharpoons",
}  # fmt: skip
_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |\$(?P<math>[^$]*)\$
    |(?P<arrow>(?P<sign><-->|<=>>|<<=>|<=>|<->|-->|->|<-|===?|→|⇌)
        (?:\[(?P<above>[^\[\]]*)\](?:\[(?P<below>[^\[\]]*)\])?)?)
    |(?P<released>[\^v](?![^\s])|\([\^v]\)|↑|↓)
    |(?P<script>[\^_](?:{_GROUP}|\d*[+\-]+|\d+|\\[A-Za-z]+|.))
    |(?P<number>(?<![A-Za-z)\]])\d+\.\d+|\d+(?:/\d+)?)
    |(?P<letters>[A-Za-z]+)
    |(?P<command>\\[A-Za-z]+(?:{_GROUP})*|\\.|{_GROUP})
    |(?P<charge>[+\-]+(?:(?![^\s)\]}},^])|(?=\((?:aq|s|l|g)\))))
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_BONDS = {
    "#": r"\equiv ",
    "=": r"\mathord{=}",
    "-": r"\mathord{-}",
    ".": r"\cdot ",
    "*": r"\cdot ",
    "·": r"\cdot ",
    "~": r"\ ",
}


def translate(source: str) -> str:
    """The LaTeX of a chemical formula or reaction."""
    parts = []
    is_after_atom = False  # so that a number is an index and not an amount
    for match in _TOKEN.finditer(source.strip()):
        kind, text = match.lastgroup, match.group()
        was_after_atom, is_after_atom = is_after_atom, kind in ("math", "letters", "script", "command")
        if kind == "space":
            parts.append(" ")
        elif kind == "math":
            parts.append("{" + match["math"] + "}")
        elif kind == "arrow":
            above, below = (translate(match[side] or "") for side in ("above", "below"))
            parts.append(f"\\{_ARROWS[match['sign']]}[{below}]{{{above}}}")
        elif kind == "released":
            parts.append(r"\uparrow " if text in ("^", "(^)", "↑") else r"\downarrow ")
        elif kind == "script":
            body = text[1:].removeprefix("{").removesuffix("}").strip("$").replace(".", r"\bullet ")
            parts.append(f"{'' if was_after_atom else '{}'}{text[0]}{{\\mathrm{{{body}}}}}")
        elif kind == "number":
            is_after_atom = was_after_atom
            amount = r"\frac{{{}}}{{{}}}".format(*text.split("/")) if "/" in text else text
            parts.append(f"_{{{text}}}" if was_after_atom else amount + r"\,")
        elif kind == "letters":
            parts.append(f"\\mathrm{{{text}}}")
        elif kind == "charge":
            parts.append(f"^{{{text}}}" if was_after_atom else text)
        else:
            is_after_atom = kind == "command" or text in ")]"
            is_between_words = source.strip()[match.start() - 1 : match.start()].isspace()
            parts.append(text if is_between_words else _BONDS.get(text, text))
    return "".join(parts)
