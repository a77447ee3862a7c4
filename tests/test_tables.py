"""Tests of scripts/prep/rendering/tables.py, as the parser of markup uses it."""

import pytest

from prep.rendering import markup

TABULAR = r"\begin{tabular}{|l|l|} \hline$a$ & $b$ \\ \hline \end{tabular}"


def _parse(text: str) -> list[list]:
    return [block for block, _ in markup.parse(text)]


def _cells(text: str) -> list[list[list]]:
    (table,) = (block for block in _parse(text) if block[0] == "table")
    return table[2]


@pytest.mark.parametrize("around", [
    "With @ $$ x . $$ So.", "With @ and $x$.", "$$a$$ @", "$$a$$@$$b$$", "@ $x$",
    "$x$@", "So\n@ $$x$$", "@\n\n$$x$$",
])  # fmt: skip
def test_a_tabular_beside_formulas_is_a_table(around: str) -> None:
    assert "table" in [block[0] for block in _parse(around.replace("@", TABULAR))]
    assert len(_cells(around.replace("@", TABULAR))[0]) == 2


def test_a_tabular_within_a_tabular_is_lines_of_its_cell() -> None:
    inner = r"\begin{tabular}[c]{@{}l@{}}one\\ two\end{tabular}"
    assert _cells(rf"\begin{{tabular}}{{ll}}{inner} & b\\c & d\end{{tabular}}")[0] == [["one\ntwo"], ["b"]]
    assert _cells(r"\begin{tabular}{l}\makecell[l]{a\\b}\\c\end{tabular}") == [[["a\nb"]], [["c"]]]


def test_a_bar_in_code_or_a_formula_ends_no_cell() -> None:
    rows = _cells("| a | b |\n|---|---|\n| `x|y` | $|z|$ |\n| $5 | `` |")
    assert rows[1] == [[["tt", "x|y"]], [["m", ["row", [["s", "|"], ["s", "z"], ["s", "|"]]], "$|z|$"]]]
    assert rows[2] == [["$5"], ["``"]]
