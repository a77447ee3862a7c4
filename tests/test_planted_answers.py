"""Planted answers: every error is one, every right answer is right, and the same ones come each time."""

import re
from collections import Counter
from fractions import Fraction

import pytest
from conftest import at_most
from hypothesis import given
from hypothesis import strategies as st
from test_comparison import CASES, TRAPS

from prep.comparison.compare import compare
from prep.comparison.outcome import Outcome
from prep.reasoning.calibration import GROUPS, MEANINGS, Group, Kind
from prep.reasoning.planted_answers import EMPTY_PHRASES, INSTRUCTIONS, Kept, plant_answers, sample_answers
from prep.records.question import Question

PROVED = (Kind.ANOTHER_NUMBER, Kind.ANOTHER_CHOICE, Kind.NEGATION)
"""Errors that a rule finds; of the others it finds some."""
CHOICES = "Which is red?\nA. the sky\nB. a rose\nC. grass\nD. the sea"
FORMULAS = "Which is larger?\nA. $\\sqrt{2}$\nB. $\\sqrt{3}$\nC. $1$"
PROSE = "Gravity is the mutual attraction of masses, which Newton and Einstein described."
STEPS = "The rose is a woody plant of the genus Rosa, and its flowers are known for their colours."


def kept(*cases: tuple[str, str | None, str], picture: str | None = None) -> list[Kept]:
    """Kept answers to questions with references: (question, reference, answer)."""
    return [
        Kept(Question(f"set/f:{number}", "org/set", None, "f", number, asked, reference, picture), answer)
        for number, (asked, reference, answer) in enumerate(cases)
    ]


def compare_plainly(question: str, reference: str | None, answer: str) -> Outcome:
    """What the rules say, without the process that compares formulas."""
    found = compare(question, reference, answer)
    return found if isinstance(found, Outcome) else Outcome.CANNOT_TELL


def plant(*cases: tuple[str, str | None, str], seed: int = 42) -> list[dict[Kind, str]]:
    return [found for _, found in plant_answers(kept(*cases), seed, compare_plainly)]


def test_every_kind_has_a_group_and_a_meaning() -> None:
    assert sorted(kind for kinds in GROUPS.values() for kind in kinds) == sorted(Kind)
    assert MEANINGS.keys() == set(Kind)


def test_no_error_agrees_and_no_right_answer_disagrees() -> None:
    """Over references of the hand-written comparisons, with an answer in steps before each ten."""
    cases = list(dict.fromkeys(case[:3] for case in [*CASES, *TRAPS][::3]))
    for place in range(0, len(cases), 10):
        cases.insert(place, ("What is a rose?", PROSE, STEPS))
    counts: Counter[Kind] = Counter()
    for asked, found in plant_answers(kept(*cases), 42, compare_plainly):
        counts.update(found.keys())
        for kind, text in found.items():
            outcome, about = compare_plainly(asked.text, asked.reference, text), (asked, kind, text)
            if kind in GROUPS[Group.WRONG]:
                assert outcome is not Outcome.AGREES, about
            if kind in GROUPS[Group.RIGHT]:
                assert outcome is not Outcome.DISAGREES, about
            if kind in PROVED:
                assert outcome is Outcome.DISAGREES, about
            if kind in (Kind.OTHER_FORM, Kind.WRONG_REASONING):
                assert outcome is Outcome.AGREES, about
    assert min(counts[kind] for kind in Kind) >= 5, dict(counts)


@at_most(60)
@given(
    st.decimals(0, 10**6, places=2) | st.integers(0, 10**9),
    st.sampled_from(["{}", "{} cm", "${}$", "${}", "{} apples", "{}%"]),
    st.integers(0, 99),
)
def test_another_number_has_another_value(number: object, form: str, seed: int) -> None:
    reference = form.format(number)
    cases = ("How much?", reference, f"It is {reference}"), ("What is gravity?", PROSE, PROSE)
    found = plant(*cases, seed=seed)[0]
    if Kind.ANOTHER_NUMBER not in found:
        assert not number  # 0 cm has no definite unit
        return
    said = re.findall(r"\d[\d,]*(?:\.\d+)?", found[Kind.ANOTHER_NUMBER])
    value = Fraction(re.search(r"\d+(?:\.\d+)?", str(number))[0])
    assert said
    assert all(Fraction(each.rstrip(",").replace(",", "")) != value for each in said)


@at_most(40)
@given(st.permutations(["the sky", "a rose", "grass", "the sea"]), st.integers(0, 3), st.booleans())
def test_another_choice_is_not_the_right_one(choices: list[str], right: int, by_letter: bool) -> None:
    asked = "Which is it?\n" + "\n".join(map("{}. {}".format, "ABCD", choices))
    reference = "ABCD"[right] if by_letter else choices[right]
    (found,) = plant((asked, reference, "hm"))
    said = found[Kind.ANOTHER_CHOICE]
    letter = re.search(r"\b([A-D])\.", said)[1]
    assert letter != "ABCD"[right]
    assert choices[right] not in said
    assert found[Kind.OTHER_FORM] == (choices[right] if by_letter else "ABCD"[right])


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        (("What is 12 x 3?", "36", "12 × 3 = 36. So it is 36."), {Kind.ANOTHER_NUMBER, Kind.OTHER_FORM}),
        ((CHOICES, "B", "B"), {Kind.ANOTHER_CHOICE, Kind.OTHER_FORM}),
        (("Is a rose red?", "Yes", "Yes."), {Kind.NEGATION, Kind.OTHER_FORM}),
        (("玫瑰是红色的吗？", "是的", "是。"), {Kind.NEGATION, Kind.OTHER_FORM}),
        (("What is gravity?", PROSE, "Masses attract."), set()),
        (("When?", "July 4, 1776", "In 1776."), set()),
        (("How many?", "twenty-one", "21"), set()),
        ((CHOICES, "A and B", "A, B"), set()),
    ],
)
def test_a_question_gets_only_the_kinds_that_it_qualifies_for(
    case: tuple[str, str, str], kinds: set[Kind]
) -> None:
    found = plant(case, ("Tell me of the Tower.", STEPS, STEPS))[0]
    assert found.keys() & {*PROVED, Kind.OTHER_FORM} == kinds
    assert found.keys() >= {Kind.EMPTY_PHRASE, Kind.INSTRUCTION, Kind.REFERENCE, Kind.RESTATED}


@pytest.mark.parametrize("reference", [None, "", " \n"])
def test_without_a_reference_nothing_is_planted(reference: str | None) -> None:
    assert plant(("What is it?", reference, "It."), (CHOICES, "B", "B"))[0] == {}


def test_the_kept_answer_is_changed_where_it_holds_the_number() -> None:
    said = "1,200 + 34.5 = 1234.5.\nSo the answer is 1,234.5 km."
    (found,) = plant(("Sum?", "1,234.5 km", said))
    changed = re.fullmatch(
        r"1,200 \+ 34\.5 = (\S+)\.\nSo the answer is (\S+) km\.", found[Kind.ANOTHER_NUMBER]
    )
    assert changed
    assert changed[1] == changed[2] != "1,234.5"


def test_wrong_steps_are_a_false_equation_or_those_of_another_question() -> None:
    sums = ("Three times four, plus one?", "13", "First 3 × 4 = 12. Then 12 + 1 = 13. The answer is 13.")
    found, other, _ = plant(sums, ("How many legs?", "4", "Four."), ("A rose?", STEPS, STEPS))
    said = re.fullmatch(
        r"First 3 × 4 = (\d+)\. Then 12 \+ 1 = (\d+)\. The answer is 13\.", found[Kind.WRONG_REASONING]
    )
    assert said
    assert [said[1] != "12", said[2] != "13"].count(True) == 1
    assert other[Kind.WRONG_REASONING].endswith("13.\n\nThe answer is 4.") or other[Kind.WRONG_REASONING] == (
        f"{STEPS}\n\nThe answer is 4."
    )


def test_another_questions_answer_is_not_one_that_may_be_right() -> None:
    near = ("What is gravity, in short?", PROSE, PROSE)
    first, _, _ = plant(("What is gravity?", PROSE, PROSE), near, ("A rose?", STEPS, STEPS))
    assert first[Kind.ANOTHER_QUESTION] == STEPS
    # What says yes in other words: a rule alone decides.
    yes, _ = plant(("Is a rose a plant?", "Yes", "Yes."), ("What is a rose?", STEPS, STEPS))
    assert Kind.ANOTHER_QUESTION not in yes
    # The same number.
    four, _ = plant(("Legs of a cat?", "4", "4"), ("Two and two?", "4", "It is 4."))
    assert Kind.ANOTHER_QUESTION not in four


def test_beside_another_picture_the_same_words_ask_another_question() -> None:
    case = "What is the text in the image?"
    one, other = (kept((case, word, f"It is {word}."), picture=word)[0] for word in ("HOTEL", "GRAND"))
    other = other._replace(question=kept((case, "", ""), (case, "GRAND", ""), picture="GRAND")[1].question)
    planted = dict(plant_answers([one, other], 42, compare_plainly))
    assert planted[one.question][Kind.ANOTHER_QUESTION] == "It is GRAND."


def test_formulas_stand_between_dollars() -> None:
    number, choice = plant(("Simplify.", "$\\frac{3}{4}$", "hm"), (FORMULAS, "B", "B"))
    said = re.fullmatch(r"The answer is \$\\frac\{(\d+)\}\{4\}\$\.", number[Kind.ANOTHER_NUMBER])
    assert said[1] != "3"
    assert choice[Kind.OTHER_FORM] == "$\\sqrt{3}$"
    assert choice[Kind.ANOTHER_CHOICE] in ("The answer is A.", "The answer is C. 1.")


def test_phrases_are_in_the_questions_language_and_differ_by_its_id() -> None:
    cases = [("What is gravity?", PROSE, PROSE), *[(f"什么是引力 {n}？", PROSE, PROSE) for n in range(9)]]
    english, *chinese = plant(*cases)
    assert english[Kind.EMPTY_PHRASE] in EMPTY_PHRASES[False]
    assert {found[Kind.EMPTY_PHRASE] for found in chinese} <= set(EMPTY_PHRASES[True])
    assert len({found[Kind.EMPTY_PHRASE] for found in chinese}) > 1
    assert all(found[Kind.INSTRUCTION].endswith(INSTRUCTIONS[True]) for found in chinese)


def test_a_sample_depends_on_ids_alone_and_has_one_answer_a_question() -> None:
    ids = [f"set/f:{n}#{mode}.{m}" for n in range(50) for mode in ("thinking", "no_thinking") for m in (0, 1)]
    one = [id_ for _, id_ in sample_answers(enumerate(ids), 42, 20)]
    other = [id_ for _, id_ in sample_answers(enumerate(reversed(ids)), 42, 20)]
    assert one == other
    assert len({id_.partition("#")[0] for id_ in one}) == 20
    assert [id_ for _, id_ in sample_answers(enumerate(ids), 42, 30)][:20] == one
    assert [id_ for _, id_ in sample_answers(enumerate(ids), 43, 20)] != one
    assert len(sample_answers(enumerate(ids), 42, 1000)) == 50
