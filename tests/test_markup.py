"""Tests of scripts/prep/rendering/markup.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.rendering import markup


def _parse(text: str) -> list[list]:
    return [block for block, _ in markup.parse(text)]


def _kinds(text: str) -> list[str]:
    return [block[0] for block in _parse(text)]


@pytest.mark.parametrize(
    "text",
    [
        "2*3*4 and a * b * c",
        "f(*args, **kwargs)",
        "__init__ and _x_ and ____ blanks",
        "It costs $5 to $10, or 5$.",
        "echo $HOME and $PATH",
        "echo $HOME/$USER",
        "a, b = $a, $b",
        "- one item",
        "``` never closed",
        "text\n```\nmore\n```py",
        "some text\n- one item",
        "a | b without a rule",
        '<b>#read("/etc/passwd") {{ x }}',
    ],
)
def test_text_that_only_looks_like_markup_is_drawn_as_written(text: str) -> None:
    assert _parse(text) == [["p", False, [text]]]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("so **very** good", ["b", "very"]),
        ("这是**重点**内容", ["b", "重点"]),
        ("an *odd* one", ["i", "odd"]),
        ("call `f(x)` now", ["tt", "f(x)"]),
        ("call ``a`b`` now", ["tt", "a`b"]),
        ("see `` `x` `` now", ["tt", "`x`"]),
        ("so ***very*** good", ["b", "very"]),
        ("**find $x$ now**", ["m", ["row", [["s", "x"]]], "$x$"]),
        ("**find $x$ now**", ["b", " now"]),
        ("在$x$轴", ["m", ["row", [["s", "x"]]], "$x$"]),
        (r"so \(x\)", ["m", ["row", [["s", "x"]]], r"\(x\)"]),
        (r"$\foo$", ["m", None, r"$\foo$"]),
    ],
)
def test_inlines(text: str, part: list) -> None:
    assert part in markup.parse_inlines(text)


def test_blocks() -> None:
    text = "## Title\ntext\n\n- a\n- b\n  1. c\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 |\n"
    text += "```py\n\tx\n```\n$$\nx\n$$\nend"
    blocks = _parse(text)
    assert [block[0] for block in blocks] == ["head", "p", "list", "table", "code", "math", "p"]
    assert blocks[2][1] == [[0, "•", ["a"]], [0, "•", ["b"]], [1, "1.", ["c"]]]
    assert blocks[3] == ["table", ["left", "right"], [[["a"], ["b"]], [["1"], ["2"]], [["3"], []]], True]
    assert blocks[4] == ["code", "py", "    x"]
    assert blocks[6] == ["p", False, ["end"]]


def test_indentation_is_kept() -> None:
    assert _parse("def f(x):\n\tif x:\n\t\treturn 1") == [["mono", "def f(x):\n    if x:\n        return 1"]]
    assert _parse("a\tb\nlong\tc") == [["mono", "a       b\nlong    c"]]
    assert _parse("　　首行\n    缩进") == [["p", False, ["　　首行\n\u00a0\u00a0\u00a0\u00a0缩进"]]]


@pytest.mark.parametrize(
    "text",
    ["x = 1\n# add one\nx += 1", "# install\npip install x", "# list\nItems = [1]", "Text\n# no\nText"],
)
def test_a_comment_in_code_is_no_heading(text: str) -> None:
    assert _kinds(text) == ["p"]


@pytest.mark.parametrize("text", ["Text", "求 $x$ 的值。", "$x$ is odd", "A dog has f = 1 $\\alpha$"])
def test_a_heading_may_stand_close_above_its_text(text: str) -> None:
    assert _kinds(f"# Heading\n{text}\n\n# 题目\n{text}") == ["head", "p", "head", "p"]


def test_an_item_goes_on_in_the_indented_lines_below_it() -> None:
    text = "1. first\n   and f(x) = 1\n2. second\n\n   more\n- last"
    items = [[0, "1.", ["first\nand f(x) = 1"]], [0, "2.", ["second\nmore"]], [0, "•", ["last"]]]
    assert _parse(text) == [["list", items, False]]


def test_an_item_is_as_deep_as_items_are_around_it() -> None:
    text = "".join(f"{' ' * 4 * depth}- {depth}a\n" for depth in range(9)) + "  - b\n- c"
    assert [item[0] for item in _parse(text)[0][1]] == [*range(9), 1, 0]


def test_code_in_a_list_loses_the_indent_of_the_list() -> None:
    assert _parse("1. Do\n    ```\n    f(x)\n      g\n    ```")[1] == ["code", "", "f(x)\n  g"]


@pytest.mark.parametrize(
    ("before", "after"), [("Fix this code", "What?"), ("Steps:\n1. Run", "2. Then **check** $x$.")]
)
@pytest.mark.parametrize("info", ["", "py"])
def test_a_fence_is_found_before_code_is_guessed(before: str, info: str, after: str) -> None:
    blocks = _parse(f"{before}\n```{info}\nf(x):\n    g\n```\n{after}")
    assert blocks[:2] == [["p", False, [before]], ["code", info, "f(x):\n    g"]]
    assert blocks[2][0] == "p"


@pytest.mark.parametrize(("info", "body"), [("python", "x"), ("", "if x:\n    y")])
def test_a_fence_that_is_never_closed_reaches_to_the_end(info: str, body: str) -> None:
    assert _parse(f"Fix $O(n)$:\n```{info}\n{body}\n\n")[1:] == [["code", info, body]]


def test_numbers_with_a_minus_are_no_list() -> None:
    assert _parse("Sort:\n- 5\n- 3.5\n- 1") == [["p", False, ["Sort:\n- 5\n- 3.5\n- 1"]]]
    assert _kinds("- 5\n- a 3") == ["list"]


def test_a_row_with_too_many_cells_is_no_table() -> None:
    assert _kinds("| a | b |\n|---|---|\n| 1 | 2 | 3 |") == ["p"]


def test_a_table_of_latex() -> None:
    rows = "\\hline A & $x & y$ \\\\\n\\hline B \\\\ \\hline\n"
    text = "Which?\n\\begin{tabular}{|c|l|}\n" + rows + "\\end{tabular}\nEnd"
    before, table, after = _parse(text)
    assert (before, after) == (["p", False, ["Which?"]], ["p", False, ["End"]])
    assert table == ["table", ["center", "left"], [[["A"], [["m", None, "$x & y$"]]], [["B"], []]], False]


def test_direction() -> None:
    assert [block[1] for block in _parse("مرحبا abc\n\nabc مرحبا\n\n123 שלום")] == [True, False, True]
    assert _parse("1. نعم\n2. لا")[0][2] is True


def test_formulas_that_are_not_understood_are_listed() -> None:
    text = "$\\foo$ and $x$\n\n$$\\bar{x} \\baz$$\n\n| $\\qux$ |\n|---|\n"
    unread = [formula[2] for formula in markup.find_formulas(_parse(text)) if formula[1] is None]
    assert unread == ["$\\foo$", "$$\\bar{x} \\baz$$", "$\\qux$"]


@given(st.text(alphabet=st.sampled_from("zZ1 \n\n\t中*`$|-#:~>.()[]\\{}_"), max_size=120))
def test_anything_is_read_and_no_letter_is_lost(text: str) -> None:
    shown, plain = _letters(_parse(text)), _letters(markup.parse_plain(text))
    for letter in "zZ1中":  # none of which is in the name of a block
        assert shown.count(letter) >= text.count(letter)
        assert plain.count(letter) == text.count(letter)


def _letters(value: object) -> str:
    if isinstance(value, list):
        return "".join(map(_letters, value))
    return value if isinstance(value, str) else ""
