"""Tests of scripts/prep/rendering/preformatted.py, as the markup parser uses it."""

import pytest

from prep.rendering import markup, preformatted

CODE = "def f(a):\n    s = 0\n\n    for x in a:\n        s += x\n\n    return s"


def _blocks(text: str) -> list[list]:
    return [block for block, _ in markup.parse(text)]


@pytest.mark.parametrize(
    "text",
    [
        "##########\n#S  #    #\n# # # ## #\n##########",
        "+----+-----+\n| a  | age |\n+----+-----+\n| 李 | 12  |\n+----+-----+",
        "┌──┬──┐\n│ a│ b│\n└──┴──┘",
        "├── src\n│   └── main.py\n└── README.md",
        "5 3 . | . 7 .\n6 . . | 1 9 5\n------+------\n8 . . | . 6 .",
        "0 1 1 0 1\n1 0 0 1 0",
        " X | O | X\n---+---+---\n O |   | X",
        "8 . . k\n7 . . .\n6 K . .\n  a b c",
        ".....\n..#..\n.....",
        "   1\n  1 1\n 1 2 1\n1 3 3 1",
        "  1   2   3\n 10  20  30\n100 200 300",
        " /\\_/\\\n( o.o )\n > ^ <",
        "project/\n├── src\n└── README.md",
        "QCATX\nWERTY\nASDFG",
        "*\n**\n***",
        "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n def f(x):\n\n-    return x\n+    return x + 1",
        "名称      数量  价格\n苹果       3    5",
        "Name     Qty\n--------------\nApple      3\nBanana    12",
        "a\tb\nlong\tc",
        "  123\n+ 456\n-----\n  ???",
        "int f() {\n x = 1;\n return x;\n}",
        CODE,
        "import os\n\n" + CODE,
        'class Foo:\n    """Do **this** now."""\n    x = 1',
    ],
)
@pytest.mark.parametrize("after", ["", "\nIs there a path to it?", "\n\nIs there a path?", "\n输出是什么？"])
def test_lines_whose_columns_mean_something_are_monospace(text: str, after: str) -> None:
    first, *rest = _blocks("Look at this figure here:\n" + text + after)[1:]
    assert first == ["mono", text.expandtabs(8)]
    assert [block[0] for block in rest] == (["p"] if after else [])


@pytest.mark.parametrize(
    "text",
    [
        "x+y=3\nx-y=1\n2x=4",
        "-3\n-2\n-1",
        "x + y = 3\nx - y = 1\n2x + z = 7",
        "A\nB\nC",
        "(1) ______\n(2) ______\n(3) ______",
        "A. one    B. two\nC. six    D. ten",
        "　　首行\n    缩进",
        "设 $x_1$     为根\n则 $x_2$     也是",
        "Choose one\n  A) f(x)\n  B) g(x)",
        "One sentence.  Another.\nAnd one more.  The last.",
        "Poem:\n  Roses are red,\n    Violets are blue,\n  $x$ is **sweet**",
        "Poem:\n  Roses are red;\n  Violets are **blue**;",
        "Items:\n- one\n- two\n  continued here\n  - nested",
        'She said:\n"Hello,\n    my friend."\nWho is it?',
        "Data:\n<table>\n  <tr>\n    <td width=9>A</td>\n  </tr>\n</table>\nWhy?",
    ],
)
def test_prose_exercises_and_formulas_are_not(text: str) -> None:
    assert "mono" not in [block[0] for block in _blocks(text)]


@pytest.mark.parametrize("before", ["Given the following:", "Code:", "Fix this code"])
def test_code_begins_after_the_prose_above_it_and_ends_before_a_formula(before: str) -> None:
    first, code, last = _blocks(f"{before}\n  x = 1\n  y = 2\nFind $x+y$.")
    assert (first, code) == (["p", False, [before]], ["mono", "  x = 1\n  y = 2"])
    assert last[2][0] == "Find "


def test_wide_letters_take_two_columns() -> None:
    assert preformatted.count_columns("李 a，") == 6
    assert preformatted.count_columns("e\u0301") == 1
