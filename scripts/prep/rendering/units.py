"""siunitx translator: numbers and units (`\\SI{10}{\\metre\\per\\second}`) as LaTeX mathematics.

The manual of siunitx (https://ctan.org/pkg/siunitx) lists the macros of units.
"""

import re

from prep.rendering.latex_symbols import read_pairs

_PREFIXES = read_pairs("""
    quecto q ronto r yocto y zepto z atto a femto f pico p nano n micro µ milli m centi c deci d deca da
    deka da hecto h kilo k mega M giga G tera T peta P exa E zetta Z yotta Y kibi Ki mebi Mi gibi Gi
""")
_UNITS = read_pairs("""
    metre m meter m gram g kilogram kg second s ampere A kelvin K mole mol candela cd hertz Hz newton N
    pascal Pa joule J watt W coulomb C volt V farad F ohm Ω siemens S weber Wb tesla T henry H
    degreeCelsius °C celsius °C lumen lm lux lx becquerel Bq gray Gy sievert Sv katal kat radian rad
    steradian sr minute min hour h day d degree ° arcminute ′ arcsecond ″ litre L liter L tonne t
    hectare ha electronvolt eV dalton Da astronomicalunit au bel B decibel dB neper Np percent \\% bar
    bar angstrom Å barn b atomicmassunit u byte B bit bit calorie cal molar M year yr parsec pc
    lightyear ly clight c knot kn mile mi inch in mmHg mmHg
""")
_POWERS = {"square": "2", "cubic": "3", "squared": "2", "cubed": "3"}
_TOKEN = re.compile(
    r"\\(?P<power>square|cubic)(?![A-Za-z])|\\(?P<after>squared|cubed)(?![A-Za-z])|\\(?P<per>per)(?![A-Za-z])"
    r"|\\(?:tothe|raiseto)\s*\{(?P<to>[^{}]*)\}|\\of\{(?P<of>[^{}]*)\}|\\(?P<name>[A-Za-z]+)|(?P<dot>[.~])|(?P<space>\s+)|(?P<text>.)"
)
_NUMBER = re.compile(
    r"\s*([-+]?)([\d.,\s]*)(?:\s*[eEdD]\s*\{?([-+]?\d+)\}?)?(\s*(?:\+-|\\pm|±)\s*[\d.,]+)?\s*\Z"
)


def format_quantity(number: str, unit: str) -> str:
    """Format a number and its unit."""
    return format_number(number) + (r"\," if unit.strip() else "") + format_unit(unit)


def format_number(number: str) -> str:
    """Format a number; `e` stands before a power of ten. What is no number stays as it is."""
    match = _NUMBER.match(number)
    if not match:
        return number
    sign, digits, power, error = match.groups(default="")
    shown = sign + digits.strip() + error.replace("+-", r"\pm")
    if not power:
        return shown
    return (shown + r"\times " if digits.strip() else shown) + f"10^{{{power.removeprefix('+')}}}"


def format_angle(angle: str) -> str:
    """Format degrees, minutes and seconds, which semicolons separate."""
    signs = ("°", "′", "″")
    parts = [part.strip() for part in angle.split(";")]
    return "".join(part + sign for part, sign in zip(parts, signs, strict=False) if part)


def format_unit(unit: str) -> str:
    """Format a unit given by macros, such as `\\kilo\\metre\\per\\hour`, or by its letters."""
    parts: list[str] = []
    prefix = power = ""
    is_below = is_after_unit = False
    for match in _TOKEN.finditer(unit):
        kind, text = match.lastgroup, match[match.lastgroup or 0]
        if kind == "power":
            power = _POWERS[text]
        elif kind in ("after", "to"):
            power = _POWERS.get(text, text)
            is_last_below = bool(parts) and parts[-1].endswith("^{-1}")
            base = parts.pop().removesuffix("^{-1}") if parts else ""
            parts.append(f"{base}^{{{'-' if is_last_below else ''}{power}}}")
            power = ""
        elif kind == "per":
            is_below = True
        elif kind == "name" and text in _PREFIXES:
            prefix = _PREFIXES[text]
        elif kind == "name":
            if is_after_unit:
                parts.append(r"\,")
            is_symbol = text in _UNITS or len(text) < 4  # \\kPa stands for itself
            name = _UNITS.get(text, re.sub("^u(?=.)", "µ", text))
            letters = f"\\mathrm{{{prefix}{name}}}" if is_symbol else f"{prefix}\\{text} "
            exponent = f"-{power or 1}" if is_below else power
            parts.append(letters + (f"^{{{exponent}}}" if exponent else ""))
            prefix = power = ""
            is_below = False
            is_after_unit = True
        elif kind == "dot":
            parts.append(r"\,")
            is_after_unit = False
        elif kind == "of":
            parts.append(f"_{{\\mathrm{{{text}}}}}")
        elif kind == "space":
            continue
        else:
            parts.append(f"\\mathrm{{{text}}}" if text.isalpha() else text)
    return "".join(parts)
