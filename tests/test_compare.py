"""The rules that compare an answer with its reference, one kind of text after another."""

import pytest

from prep.comparison.compare import MAX_FORMULA, Formulas, compare, compare_texts, read_reference
from prep.comparison.final_answer import SHORT
from prep.comparison.outcome import Outcome

AGREES, DISAGREES, CANNOT_TELL = Outcome.AGREES, Outcome.DISAGREES, Outcome.CANNOT_TELL
NUMBERS = "Which?\nA. 5\nB. 6\nC. 7"
EQUAL = "Which?\nA. 5\nB. 5.0\nC. 7"
WORDS = "Which?\nA. Paris\nB. London\nC. Rome"
CASES = [
    # question, reference, answer, outcome
    (EQUAL, "A", "5.00", CANNOT_TELL),
    ("", "B. 6", "B. 5", CANNOT_TELL),
    ("", "B. 6", "B. 6.0", AGREES),
    ("", "B. Paris", "B. London", CANNOT_TELL),
    ("", "B. Paris", "B) PARIS", AGREES),
    ("", "B. Paris", "B", AGREES),
    ("", "B. 6", "5", CANNOT_TELL),
    ("", "B. 6", "6", AGREES),
    ("", "May 1999", "1999", CANNOT_TELL),
    ("", "1999", "May 1999", AGREES),
    ("", "1998", "May 1999", DISAGREES),
    ("", "May 1999", "1998", DISAGREES),
    ("", "May 1999", "1998 apples", CANNOT_TELL),
    ("", "May 1999", "99", CANNOT_TELL),
    ("", "1999", "1999", AGREES),
    ("", "2200", "May 2200", AGREES),
    ("", "2201", "May 2201", CANNOT_TELL),
    ("", "2201", "May 2202", CANNOT_TELL),
    ("", "2200", "May 2202", DISAGREES),
    ("", "May 5, 1999", "5 May 1999", AGREES),
    ("", "May 5, 1999", "6 May 1999", DISAGREES),
    ("", "3:30 pm", "15:30", AGREES),
    ("", "3:30 pm", "3:30 am", DISAGREES),
    ("", "3:30 pm", "3:30", CANNOT_TELL),
    (NUMBERS, "A", "5", AGREES),
    (NUMBERS, "A", "6", DISAGREES),
    (NUMBERS, "5", "A", AGREES),
    (NUMBERS, "5", "B", DISAGREES),
    (NUMBERS, "A", "8", CANNOT_TELL),
    (NUMBERS, "A", "not 5", CANNOT_TELL),
    (NUMBERS, "B", "B. not 6", CANNOT_TELL),
    (NUMBERS, "B", "B. 6", AGREES),
    (NUMBERS, "B", "B. 5", CANNOT_TELL),
    (NUMBERS, "B", "A. 6", CANNOT_TELL),
    (NUMBERS, "B", "A. 5", DISAGREES),
    (NUMBERS, "B", "A", DISAGREES),
    (NUMBERS, "B", "B", AGREES),
    (NUMBERS, "B. 6", "B", AGREES),
    (NUMBERS, "B. 6", "6", AGREES),
    (NUMBERS, "6", "6", AGREES),
    (NUMBERS, "6", "5", DISAGREES),
    (NUMBERS, "6", "8", DISAGREES),
    (NUMBERS, "8", "A", CANNOT_TELL),
    (NUMBERS, "A, B", "A and B", AGREES),
    (NUMBERS, "A, B", "A, C", DISAGREES),
    (NUMBERS, "A, B", "5 and 6", CANNOT_TELL),
    (NUMBERS, "B", "D", DISAGREES),
    (EQUAL, "A", "5", AGREES),
    (EQUAL, "C", "5", DISAGREES),
    (EQUAL, "C", "7", AGREES),
    (EQUAL, "A", "5.0", DISAGREES),
    (WORDS, "B", "B. Paris", CANNOT_TELL),
    (WORDS, "B", "A. London", CANNOT_TELL),
    (WORDS, "B", "London", AGREES),
    (WORDS, "B", "Paris", DISAGREES),
    (WORDS, "London", "B", AGREES),
    (WORDS, "London", "A", DISAGREES),
    (WORDS, "B", "Madrid", CANNOT_TELL),
    (WORDS, "B", "C. Madrid", DISAGREES),
    (WORDS, "B", "C. not London", CANNOT_TELL),
    (WORDS, "B", "C. not Rome", CANNOT_TELL),
    ("", "B", "B", AGREES),
    ("", "B", "C", DISAGREES),
    ("", "B", "b", AGREES),
    ("Which one?", "B", "B", AGREES),
    ("Which one?", "B", "C", DISAGREES),
    ("", "B", "Paris", CANNOT_TELL),
    ("", "B. Paris", "Paris", AGREES),
    ("", "B. Paris", "London", CANNOT_TELL),
    ("", "B. Paris", "B", AGREES),
    ("", "B. Paris", "C", DISAGREES),
    ("", "B. Paris", "C. Paris", CANNOT_TELL),
    ("", "Paris", "B. Paris", CANNOT_TELL),
    ("", "Paris", "B", CANNOT_TELL),
    ("", "36", "12 × 3 = 36", AGREES),
    ("", "37", "12 × 3 = 36", DISAGREES),
    ("", "x = 36", "12 × 3 = 36", Formulas("x = 36", "12 × 3 = 36", False)),
    ("", "36", "1, 2 = 36", Formulas("36", "1, 2 = 36", False)),
    ("", "36", "12 × y = 36", Formulas("36", "12 × y = 36", False)),
    ("", "36", "4 × 9 = 6 × 6 = 36", AGREES),
    ("", "36 km", "12 km × 3 = 36 km", Formulas("36 km", "12 km × 3 = 36 km", False)),
    ("", "36", "36 = 12 × 3", Formulas("36", "36 = 12 × 3", False)),
    ("Simplify 2/4.", "1/2", "2/4", CANNOT_TELL),
    ("Simplify 2/4.", "1/2", "1/2", AGREES),
    ("Simplify 2/4.", "1/2", "3/4", DISAGREES),
    ("Simplify 2/4.", "1/2", "0.5", CANNOT_TELL),
    ("Factor it.", "x^2", "x*x", Formulas("x^2", "x*x", True)),
    ("", "x^2", "x*x", Formulas("x^2", "x*x", False)),
    ("", "x^2", "y", CANNOT_TELL),
    ("", "1:2", "2:4", CANNOT_TELL),
    ("", "1:2", "2:3", DISAGREES),
    ("", "(1, 2)", "(1, 2)", AGREES),
    ("", "(1, 2)", "(1, 3)", DISAGREES),
    ("", "[1, 2)", "[1, 2)", AGREES),
    ("", "[1, 2)", "[1, 2]", DISAGREES),
    ("", "3-5", "3 to 5", AGREES),
    ("", "3-5", "3 to 6", DISAGREES),
    ("", "3-5", "3 to 5.04", CANNOT_TELL),
    ("", "1, 2, 3", "3, 2, 1", CANNOT_TELL),
    ("", "1, 2, 3", "1, 2, 4", DISAGREES),
    ("", "1, 2, 3", "1, 2", DISAGREES),
    ("", "apples, pears", "pears, apples", CANNOT_TELL),
    ("", "yes", "no", DISAGREES),
    ("", "yes", "yes, it is", AGREES),
    ("", "true", "True.", AGREES),
    ("", "red", "blue", DISAGREES),
    ("", "red", "Red", AGREES),
    ("", "Monday", "Tuesday", DISAGREES),
    ("", "the cat", "cat", AGREES),
    ("", "Co", "CO", CANNOT_TELL),
    ("", "Co", "co", CANNOT_TELL),
    ("", "m", "M", CANNOT_TELL),
    ("", "Is", "is", AGREES),
    ("", "PARIS", "Paris", AGREES),
    ("", "pArIs", "Paris", CANNOT_TELL),
    ("", "USA", "usa", AGREES),
    ("", "maybe", "maybe", AGREES),
    ("", "about 5 or 6", "about 5 or 6", AGREES),
    ("", "unknown", "unknown", AGREES),
    ("How many apples are left?", "7", "There are 7 apples left.", AGREES),
    ("How many apples are left?", "7", "There are 8 apples left.", DISAGREES),
    ("There were 8 apples. How many are left?", "7", "There are 8 apples left.", CANNOT_TELL),
    ("", "7", "The answer is 7.", AGREES),
    ("", "7", "**7** or **8**", CANNOT_TELL),
    ("", "7", "So x = 7. Thus the answer is 8.", DISAGREES),
    ("", "", "7", CANNOT_TELL),
    ("", "  ", "7", CANNOT_TELL),
    ("", "7", " ", CANNOT_TELL),
    ("", None, "7", CANNOT_TELL),
    ("", "7", "7", AGREES),
    ("", "Because it is a long explanation of things that are not definite.", "7", CANNOT_TELL),
]


@pytest.mark.parametrize(("question", "reference", "answer", "outcome"), CASES)
def test_an_answer_is_compared_with_its_reference(question, reference, answer, outcome):
    assert compare(question, reference, answer) == outcome


def test_a_formula_is_compared_up_to_a_length():
    longest = "x+" * (MAX_FORMULA // 2 - 1) + "xy"
    assert compare_texts(longest, "x^2") == Formulas(longest, "x^2", False)
    assert compare_texts("x^2", longest) == Formulas("x^2", longest, False)
    assert compare_texts(longest + "z", "x^2") is CANNOT_TELL
    assert compare_texts("x^2", longest + "z") is CANNOT_TELL


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("7", "7"),
        ("The answer is 7.", "7"),
        ("7 or 8", "7 or 8"),
        ("", None),
        ("x" * SHORT, "x" * SHORT),
        ("x" * (SHORT + 1), None),
    ],
)
def test_a_reference_is_one_definite_text_or_none(text, read):
    assert read_reference(text) == read
