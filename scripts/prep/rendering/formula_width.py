"""Size estimation for formulas: the width of a tree of prep.rendering.latex in em, and whether it is flat.

The mathematical face is typst's own, whose advance widths are not to be had, so that its letters have classes
of width. An estimate is rather too wide: a page that is wider than its text by a letter looks well.
"""

from collections.abc import Callable, Iterator

_RELATIONS = set("=≠<>≤≥≡≈∼≃≅∝∈∉∋⊂⊃⊆⊇⊄→←↔⇒⇐⇔⟶⟵⟹⟺⟸↦∥⊥∣≪≫≺≻⊢⊨:")
_SIGNS = set("+−±∓×·÷∗∘⊕⊗⊙∪∩∧∨∖⋅★")
_WIDTHS = {
    **dict.fromkeys("ijlrst.,;:!'’′|/()[]{}⟨⟩⌊⌋⌈⌉∣", 0.42),
    **dict.fromkeys("wABCDEFGLOPQRTUVXYZΩ∂∇", 0.8), **dict.fromkeys("JS", 0.7),
    **dict.fromkeys("HKN", 0.9), **dict.fromkeys("mMW%", 1.0),
    **dict.fromkeys("∑⨁", 1.45), "∏": 1.3, "⋃": 1.1, "⋂": 1.1, "∫": 1.0, "∮": 1.0, "∬": 1.2, "∭": 1.6,
    **dict.fromkeys("→←↔⇒⇐⇔∞", 1.0), **dict.fromkeys("⟶⟵⟹⟺⟸", 1.7), **dict.fromkeys("…⋯⋱", 1.1),
    **dict.fromkeys("△∠□○◯⊙", 0.95), "、": 1.0,
}  # fmt: skip
_LETTER, _SCRIPT, _FENCE = 0.56, 0.72, 0.5
"""In em: a usual letter; how large scripts are; a bracket."""

_FLAT = {"row", "s", "t", "sp", "attach", "op", "style", "class", "fence", "mid"}
_TALL = {*"∑∏∫∮∬∭⋃⋂⨁⨂∐⋁⋀"}

_Measure = Callable[[str], float]


def estimate_width(node: list | None, measure: _Measure) -> float:
    """The width in em of a node; `measure` gives that of text."""
    if node is None:
        return 0.0
    kind, *parts = node
    find = _KINDS.get(kind)
    if find:
        return find(parts, measure)
    return sum(estimate_width(part, measure) for part in parts if _is_node(part))


def split_row(tree: list) -> Iterator[list]:
    """The parts of a formula between which typst breaks lines: at relations and signs."""
    nodes: list[list] = []
    for node in tree[1]:
        nodes.append(node)
        if node[0] == "s" and node[1] in _RELATIONS | _SIGNS:
            yield ["row", nodes]
            nodes = []
    yield ["row", nodes]


def is_flat(node: object) -> bool:
    """Whether a formula stands within its line: it is letters with scripts, and nothing that is tall."""
    if not isinstance(node, list) or not node:
        return True
    if isinstance(node[0], list):
        return all(map(is_flat, node))
    return (
        node[0] in _FLAT and not (node[0] in ("s", "t") and node[1] in _TALL) and all(map(is_flat, node[1:]))
    )


def _is_node(part: object) -> bool:
    return isinstance(part, list) and bool(part) and isinstance(part[0], str)


def _measure_row(parts: list, measure: _Measure) -> float:
    """The nodes, with gaps around relations, around signs that have a left operand, and after commas."""
    width, has_operand = 0.0, False
    for node in parts[0]:
        mark = node[1] if node[0] in ("s", "t") else node[2] if node[0] == "op" else ""
        width += estimate_width(node, measure)
        if node[0] == "op":
            width += 0.33
        elif mark in _RELATIONS or node[0] == "stretch":
            width += 0.56
        elif mark in _SIGNS and has_operand:
            width += 0.45
        elif mark in (",", ";"):
            width += 0.17
        has_operand = mark not in _RELATIONS and mark not in _SIGNS and mark not in ("(", ",")
    return width


def _measure_text(parts: list, measure: _Measure) -> float:
    return sum(_measure_letter(c, measure) for c in parts[0])


def _measure_letter(letter: str, measure: _Measure) -> float:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    if letter in _RELATIONS or letter in _SIGNS:
        return 0.78
    return _LETTER if letter < "\u0370" else max(_LETTER, measure(letter))


def _measure_widest(parts: list, measure: _Measure) -> float:
    return max(estimate_width(part, measure) for part in parts if part is None or _is_node(part))


def _measure_attached(parts: list, measure: _Measure) -> float:
    base, *scripts = parts
    wide = max(_SCRIPT * estimate_width(script, measure) for script in scripts)
    width = estimate_width(base, measure)
    return max(width, wide) if _has_limits(base) else width + wide


def _has_limits(base: list | None) -> bool:
    return base is not None and (
        (base[0] == "op" and base[2]) or (base[0] in ("s", "t") and base[1] in "∑∏⋃⋂⨁") or base[0] == "limits"
    )


def _measure_stacked(parts: list, measure: _Measure) -> float:
    base, *notes = parts
    return max(estimate_width(base, measure), *(_SCRIPT * estimate_width(note, measure) for note in notes))


def _measure_grid(parts: list, measure: _Measure) -> float:
    opening, closing, rows = parts[:3]
    sides = 1.6 * _FENCE * ((opening != "") + (closing != ""))
    return sides + _measure_cells(rows, measure, gap=0.5)


def _measure_cells(rows: list, measure: _Measure, gap: float) -> float:
    widths = [[estimate_width(cell, measure) for cell in row] for row in rows]
    columns = max(map(len, widths))
    wide = (max((row[at] for row in widths if at < len(row)), default=0.0) for at in range(columns))
    return sum(wide) + gap * (columns - 1)


_KINDS: dict[str, Callable[[list, _Measure], float]] = {
    "row": _measure_row,
    "s": _measure_text,
    "t": _measure_text,
    "raw": _measure_text,
    "op": _measure_text,
    "mid": _measure_text,
    "big": lambda parts, _: 0.3 + 0.2 * parts[1],
    "sp": lambda parts, _: parts[0],
    "blank": lambda parts, _: parts[0],
    "frac": lambda parts, measure: _measure_widest(parts, measure) + 0.3,
    "binom": lambda parts, measure: _measure_widest(parts, measure) + 1.2,
    "root": lambda parts, measure: estimate_width(parts[0], measure) + 0.9,
    "attach": _measure_attached,
    "line": lambda parts, measure: estimate_width(parts[0], measure) + 0.5 * (parts[1] in ("box", "circle")),
    "over": _measure_stacked,
    "under": _measure_stacked,
    "stretch": lambda parts, measure: 1.0 + _SCRIPT * max(1.0, _measure_widest(parts[1:], measure)),
    "fence": lambda parts, measure: (
        _FENCE * ((parts[0] != "") + (parts[2] != "")) + estimate_width(parts[1], measure)
    ),
    "style": lambda parts, measure: 1.15 * estimate_width(parts[1], measure),
    "class": lambda parts, measure: 0.56 + estimate_width(parts[1], measure),
    "stack": lambda parts, measure: _measure_widest(parts, measure),
    "grid": _measure_grid,
    "lines": lambda parts, measure: _measure_cells(parts[0], measure, gap=0.2),
}
