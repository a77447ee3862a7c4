"""Queries of a formula's tree, whose nodes prep.rendering.latex describes."""

from collections.abc import Iterator

from prep.rendering import fonts

_INVISIBLE = ("sp", "hide")
_INKED = ("frac", "root", "accent", "stretch", "big", "mid", "raw", "binom", "blank", "line")
"""Kinds of nodes that draw something whatever is within them."""


def holds_fraction(node: object) -> bool:
    """Whether a tree holds a fraction."""
    return isinstance(node, list) and (node[:1] == ["frac"] or any(map(holds_fraction, node)))


def is_blank(node: list) -> bool:
    """Whether a node leaves no ink."""
    return node[0] in _INVISIBLE or (node[0] == "row" and all(map(is_blank, node[1])))


def leaves_ink(node: object) -> bool:
    """Whether anything of a tree can be seen."""
    if not isinstance(node, list) or not node:
        return False
    kind = node[0]
    if kind in ("s", "t", "op"):
        return any(map(fonts.is_visible, node[1]))
    if node[-1] == "hide":
        return False
    edges = {"fence": (1, 3), "grid": (1, 2, 5, 6)}.get(kind, ()) if isinstance(kind, str) else ()
    return kind in _INKED or any(node[edge] for edge in edges) or any(map(leaves_ink, node))


def measure_blank(node: list) -> float:
    """The width of a blank node in em."""
    return node[1] if node[0] == "sp" else sum(map(measure_blank, node[1])) if node[0] == "row" else 1.0


def join_text(node: list) -> str | None:
    """The text of a row of symbols, or None if there is more in it."""
    if node[0] in ("s", "t"):
        return {"−": "-", "∗": "*"}.get(node[1], node[1])
    if node[0] == "sp":
        return " " if node[1] > 0 else ""
    texts = list(map(join_text, node[1])) if node[0] == "row" else [None]
    return None if None in texts else "".join(texts)


def find_raw(node: object) -> Iterator[str]:
    """The unsupported commands that are literal text within a formula."""
    if isinstance(node, list):
        if node[:1] == ["raw"]:
            yield node[1]
        else:
            for part in node:
                yield from find_raw(part)
