"""Tests of scripts/prep/rendering/html.py, and of tables with spans, as the markup parser uses them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.rendering import html, markup


def _blocks(text: str) -> list[list]:
    return [block for block, _ in markup.parse(text)]


def test_simple_html_is_typeset() -> None:
    text = "H<sub>2</sub>O &lt; x<sup>n</sup>&nbsp;&amp; <b>b</b><br>\n<u>u</u> $x &lt; 3$"
    (block,) = _blocks(text)
    parts = ["H", ["sub", "2"], "O < x", ["sup", "n"], "\u00a0& ", ["b", "b"], "\n", ["u", "u"], " "]
    assert block[2][:-1] == parts
    assert block[2][-1][0] == "m"
    assert block[2][-1][1] is not None
    assert [block[2] for block in _blocks("<p>one</p><p>two</p>")] == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Read: <u>师者</u>。", ["u", "师者"]),
        ("The <b>main</b> idea", ["b", "main"]),
        ("The <STRONG>main</STRONG> idea", ["b", "main"]),
        ("The <i>Origin</i> of", ["i", "Origin"]),
        ("so <em>more</em>.", ["i", "more"]),
        ("call <code>a &lt; b</code> now", ["tt", "a < b"]),
    ],
)
def test_emphasis_alone_is_typeset(text: str, part: list) -> None:
    assert part in _blocks(text)[0][2]


@pytest.mark.parametrize(
    "text",
    [
        "What does <br> do in HTML?",
        "<div>a<br>b</div>",
        "<!-- no --> a<br>b",
        "网页标签 <sub> 的作用",
        "List<b> and <i> of </b>",
        "vector<int> v; a<b && c>d",
        "R&D; AT&T and &nosuchname; &#0; &#xd800;",
        "<p>&nbsp;<br>",
        "`x`",
    ],
)
def test_a_question_about_html_stays_as_written(text: str) -> None:
    shown = "".join(part if isinstance(part, str) else part[-1] for part in _blocks(text)[0][2])
    assert shown == text.replace("`", "")
    assert not html.is_simple(text)


def test_entities_in_code_stay_as_written() -> None:
    assert ["tt", "&lt;"] in _blocks("a<br>`&lt;`")[0][2]
    assert _blocks("a &amp; b\n```\n&lt;\n```")[1] == ["code", "", "&lt;"]


def test_a_table_of_html() -> None:
    rows = '<tr><th>A</th><th colspan="2">B<br>C</th></tr><tr><td rowspan=2>a</td><td>$x$</td><td>1</td></tr>'
    before, table, after = _blocks(f"See <table border=1>{rows}<tr><td>b</td></tr></table> here")
    assert (before[2], after[2]) == (["See"], ["here"])
    assert table[0] == "table"
    assert table[2] == [
        [["A"], [["span", 2, 1, "center"], "B\nC"], [["covered"]]],
        [[["span", 1, 2, "center"], "a"], [["m", ["row", [["s", "x"]]], "$x$"]], ["1"]],
        [[["covered"]], ["b"], []],
    ]
    assert table[3] is True


@pytest.mark.parametrize("source", [
    "<table><tr><td>1<tr>2</table>", "<table>x<tr><td>1</td></tr></table>", "<table></table>",
    "<table><tr><td W = 2 <br>1</td></tr></table>", "<table><tr><td>1</td W></tr></table>",
])  # fmt: skip
def test_what_is_no_simple_table_is_text(source: str) -> None:
    assert _blocks(source)[0][0] == "p"


def test_spans_in_a_table_of_latex() -> None:
    text = (
        "So \\begin{tabular}[t]{|p{3cm}|*{2}{c|}}\\hline\n"
        "\\multirow{2}{*}{N} & \\multicolumn{2}{r|}{Of $x_{1}$} \\\\ \\cline{2-3}\n"
        " & a & b \\\\[2pt]\n c \\\\* d & e\n\\end{tabular} end"
    )
    before, table, after = _blocks(text)
    assert (before[2], after[2]) == (["So"], ["end"])
    assert table[1] == ["left", "center", "center"]
    first, second, third, fourth = table[2]
    assert first[0] == [["span", 1, 2, "center"], "N"]
    assert first[1][:2] == [["span", 2, 1, "right"], "Of "]
    assert [first[2], *second] == [[["covered"]], [["covered"]], ["a"], ["b"]]
    assert [third, fourth] == [[["c"], [], []], [["d"], ["e"], []]]


def test_an_array_of_text_in_a_cell_is_text() -> None:
    lines = "\\mathrm{A} \\text { 向盛有溶液 } \\\\\n\\text { 后静置 }, \\text { 加 KSCN }"
    cell = f"$\\begin{{array}}{{l}}{lines}\\end{{array}}$"
    (table,) = _blocks(f"\\begin{{tabular}}{{c}}\n{cell} \\\\\n\\end{{tabular}}")
    formula, text = table[2][0][0]
    assert (formula[0], text) == ("m", " 向盛有溶液后静置 , 加 KSCN")


def test_a_table_whose_cells_do_not_fit_its_columns_is_text() -> None:
    assert _blocks("\\begin{tabular}{c}\n\\multicolumn{2}{c}{x} \\\\\n\\end{tabular}")[0][0] == "p"


PIECES = [
    *("<table>", "</table>", "<tr>", "</tr>", "<td>", "<td colspan=2>", "<td rowspan=3>", "</td>", "<th>"),
    *("<br>", "<sub>", "</sub>", "<p>", "<b>", "&nbsp;", "&#13;", "\\begin{tabular}{cc}", "\\end{tabular}"),
    *("\\multicolumn{2}{c}{a}", "\\multirow{2}*{b}", "\\\\", "&", "$x$", "a", "\n", "\n\n", "|", "|---|"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_any_tables_are_read(pieces: list[str]) -> None:
    text = "".join(pieces)
    if text.strip():
        assert all(block for block, _ in markup.parse(text))
