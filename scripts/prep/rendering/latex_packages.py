"""LaTeX commands of packages: mathtools, siunitx, physics and MathJax.

The functions take the parser of prep.rendering.latex.
"""

from prep.rendering import units
from prep.rendering.latex_commands import UnsupportedLatex
from prep.rendering.latex_parser import Parser
from prep.rendering.latex_tree import join_text

_ENCLOSURES = {
    "box": "box", "roundedbox": "box", "circle": "circle", "updiagonalstrike": "cancel",
    "downdiagonalstrike": "bcancel", "horizontalstrike": "cancel", "top": "over", "bottom": "under",
    "longdiv": "over", "radical": "over",
}  # fmt: skip
"""The notations of MathML's menclose."""

_EMPTY = ["row", []]


def parse_genfrac(parser: Parser) -> list:
    """`\\genfrac{(}{)}{0pt}{}{a}{b}`: a fraction with delimiters, and with a line or without."""
    sides = [parser.parse_delimiter(side)[1] if side else "" for side in _read_groups(parser, 2)]
    thickness, _ = _read_groups(parser, 2)
    halves = [parser.parse_argument(), parser.parse_argument()]
    has_line = not thickness.startswith("0")
    node = ["frac", *halves] if has_line else ["stack", *(["row", [half]] for half in halves)]
    return ["fence", sides[0], node, sides[1]] if any(sides) else node


def parse_sideset(parser: Parser) -> list:
    """`\\sideset{_a^b}{_c^d}\\sum`: scripts at the corners of an operator, besides its limits."""
    left, right = (_read_scripts(parser) for _ in range(2))
    base = parser.parse_argument()
    if parser.peek() in ("^", "_"):
        base = parser.parse_attach(base)
    return ["row", [left, base, right]]


def parse_prescript(parser: Parser) -> list:
    """`\\prescript{a}{b}{X}`: scripts before a base."""
    above, below, base = (parser.parse_argument() for _ in range(3))
    return ["row", [["attach", _EMPTY, above, below], base]]


def parse_quantity(parser: Parser) -> list:
    """`\\SI{10}{\\meter}` and `\\qty{10}{m}`; `\\qty(…)` of another package is a fence."""
    if parser.peek() != "{":
        opening = parser.next()
        closing = {"(": ")", "[": "]", "|": "|"}.get(opening)
        if closing is None:
            raise UnsupportedLatex(f"\\qty {opening}")
        return ["fence", opening, parser.parse_until(closing), closing]
    parser.parse_option()
    number, unit = _read_groups(parser, 2)
    return parser.parse_source(units.format_quantity(number, unit))


def parse_unit(parser: Parser) -> list:
    """`\\si{…}` and `\\unit{…}`."""
    parser.parse_option()
    return parser.parse_source(units.format_unit(parser.parse_group()))


def parse_number(parser: Parser) -> list:
    """`\\num{1.5e3}`."""
    parser.parse_option()
    return parser.parse_source(units.format_number(parser.parse_group()))


def parse_angle(parser: Parser) -> list:
    """`\\ang{10;30;15}`: degrees, minutes and seconds."""
    parser.parse_option()
    return parser.parse_source(units.format_angle(parser.parse_group()))


def parse_derivative(parser: Parser, letter: str) -> list:
    """`\\dv{f}{x}`, `\\dv[2]{f}{x}` and `\\dv{x}`."""
    order = parser.parse_option()
    above = parser.parse_argument()
    below = parser.parse_argument() if parser.peek() == "{" else None
    if below is None:
        above, below = _EMPTY, above
    sign = ["s", letter]
    raised = ["attach", sign, order, None] if order else sign
    return [
        "frac",
        ["row", [raised, above]],
        ["row", [sign, ["attach", below, order, None] if order else below]],
    ]


def parse_enclosed(parser: Parser) -> list:
    """`\\enclose{circle}{x}` of MathJax."""
    notations = parser.parse_group().split()
    parser.parse_option()
    node = parser.parse_argument()
    for notation in notations:
        if notation not in _ENCLOSURES:
            raise UnsupportedLatex(f"\\enclose{{{notation}}}")
        node = ["line", node, _ENCLOSURES[notation]]
    return node


def parse_shifted(parser: Parser) -> list:
    """`\\raisebox{2pt}[…]{text}` and `\\parbox{2cm}{text}`, whose text stays on its line."""
    parser.parse_group()
    return parse_box(parser)


def parse_box(parser: Parser) -> list:
    """`\\makebox[2cm][c]{text}`."""
    while parser.parse_option():
        pass
    return parser.parse_text()


def parse_link(parser: Parser) -> list:
    """`\\href{address}{text}`."""
    parser.parse_group()
    return parser.parse_text()


def parse_framed_colour(parser: Parser) -> list:
    """`\\fcolorbox{red}{white}{text}`."""
    _read_groups(parser, 2)
    return ["line", parser.parse_text(), "box"]


def parse_choice(parser: Parser) -> list:
    """`\\mathchoice`, of which the display is shown."""
    first, *_ = (parser.parse_argument() for _ in range(4))
    return first


def parse_over_under(parser: Parser) -> list:
    """`\\overunderset{a}{b}{base}` and `\\underoverset`."""
    above, below, base = (parser.parse_argument() for _ in range(3))
    return ["attach", ["limits", base, True], above, below]


def parse_circled(parser: Parser) -> list:
    """`\\textcircled{1}` and `\\circled{1}`."""
    text = join_text(parser.parse_text())
    if not text:
        raise UnsupportedLatex("a circle around what is no text")
    return ["line", ["t", text], "circle"]


def _read_groups(parser: Parser, count: int) -> list[str]:
    return [parser.parse_group().strip() for _ in range(count)]


def _read_scripts(parser: Parser) -> list:
    """A group of scripts without a base."""
    if parser.next() != "{":
        raise UnsupportedLatex("no { where one is needed")
    return parser.parse_until("}")


PARSERS = {
    "genfrac": parse_genfrac,
    "sideset": parse_sideset,
    "prescript": parse_prescript,
    **dict.fromkeys(("SI", "qty"), parse_quantity),
    **dict.fromkeys(("si", "unit"), parse_unit),
    "num": parse_number,
    "ang": parse_angle,
    **dict.fromkeys(("dv", "derivative"), lambda parser: parse_derivative(parser, "d")),
    **dict.fromkeys(("pdv", "pderivative"), lambda parser: parse_derivative(parser, "∂")),
    "enclose": parse_enclosed,
    **dict.fromkeys(("raisebox", "parbox"), parse_shifted),
    "makebox": parse_box,
    "href": parse_link,
    "fcolorbox": parse_framed_colour,
    "mathchoice": parse_choice,
    **dict.fromkeys(("overunderset", "underoverset"), parse_over_under),
    **dict.fromkeys(("textcircled", "circled"), parse_circled),
}
"""The parser of each command."""
