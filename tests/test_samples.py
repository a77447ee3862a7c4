"""What is kept of a question's samples, by verdict, rule and pass rate."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.reasoning.samples import PassRate, Policy, measure_pass_rates, select_answers
from prep.records.reason import Reason


def answer(sample: int, mode: str = "thinking", reason: str | None = None) -> dict:
    return {
        "id": f"q#{mode}.{sample}",
        "question_id": "q",
        "mode": mode,
        "sample": sample,
        "text": None if reason else "x",
        "reason": reason,
        "detail": reason and "why",
    }


def verdict(sample: int, said: str | None = "pass", score: int | None = 4, mode: str = "thinking") -> dict:
    reason = None if said else Reason.JUDGE_UNCLEAR
    judged = {"verdict": said, "score": score, "reason": reason, "detail": "d", "votes": int(said == "pass")}
    return {"id": f"q#{mode}.{sample}"} | judged


def reasons(answers: list[dict], verdicts: list[dict], **policy: object) -> list[str | None]:
    """Why each answer is rejected; None where it is kept."""
    found = select_answers(answers, verdicts, Policy(3, **policy))
    rejections = [found[answer["id"]].rejection for answer in answers]
    return [rejection and str(rejection[0]) for rejection in rejections]


@pytest.mark.parametrize(
    ("given", "verdicts", "reason"),
    [
        (answer(0), [verdict(0)], None),
        (answer(0), [verdict(0, score=3)], None),
        (answer(0), [verdict(0, score=2)], "low_score"),
        (answer(0), [verdict(0, "fail", 5)], "judge_fail"),
        (answer(0), [verdict(0, None, None)], "judge_unclear"),
        (answer(0), [], "judge_unclear"),
        (answer(0, reason="length"), [], "length"),
    ],
)
def test_an_answer_is_kept_only_for_a_pass_of_enough(given, verdicts, reason):
    assert reasons([given], verdicts) == [reason]


@pytest.mark.parametrize(
    ("rule", "said", "score", "asking", "rejecting"),
    [
        ("agrees", None, None, None, None),
        ("agrees", "pass", 4, None, None),
        ("agrees", "fail", 2, "judge_fail", "judge_fail"),
        ("cannot_tell", "fail", 2, "judge_fail", "judge_fail"),
        ("disagrees", "pass", 5, None, "answer_disagrees"),
        ("disagrees", "pass", 2, "low_score", "answer_disagrees"),
        ("disagrees", "fail", 1, "answer_disagrees", "answer_disagrees"),
    ],
)
def test_a_rule_spares_the_judge_or_counts_beside_it(rule, said, score, asking, rejecting):
    judged = verdict(0, said, score) | {"reason": None, "rule": rule}
    for disagree, reason in (("ask", asking), ("reject", rejecting)):
        found = select_answers([answer(0)], [judged], Policy(3, disagree))["q#thinking.0"]
        assert (found.score, found.rejection and found.rejection[0]) == (score, reason)


def test_a_sample_that_a_rule_passed_is_kept_before_one_with_a_score():
    spared = verdict(1, None, None) | {"reason": None, "rule": "agrees"}
    judged = verdict(0, "pass", 5) | {"rule": "cannot_tell"}
    answers = [answer(0), answer(1), answer(2)]
    assert reasons(answers, [judged, spared, spared | {"id": "q#thinking.2"}]) == [
        "not_best",
        None,
        "not_best",
    ]


def test_a_rejection_tells_what_it_is_for():
    spared = verdict(0, None, None) | {"reason": None, "rule": "agrees"}
    answers = [*(answer(number) for number in range(6)), answer(6, reason="length")]
    verdicts = [spared, verdict(1, score=5), verdict(2, score=1), verdict(3, "fail", 2), verdict(4, None)]
    verdicts.append(spared | {"id": "q#thinking.5"})
    found = [decision.rejection for decision in select_answers(answers, verdicts, Policy(3)).values()]
    assert found == [
        None,
        (Reason.NOT_BEST, "score 5"),
        (Reason.LOW_SCORE, "score 1: d"),
        (Reason.JUDGE_FAIL, "score 2: d"),
        (Reason.JUDGE_UNCLEAR, "d"),
        (Reason.NOT_BEST, "passed by rule"),
        (Reason.LENGTH, "why"),
    ]
    unheard = select_answers([answer(0)], [], Policy(3))["q#thinking.0"]
    assert unheard.rejection == (Reason.JUDGE_UNCLEAR, "the judge was not heard")
    by_rule = select_answers([answer(0)], [verdict(0) | {"rule": "disagrees"}], Policy(3, "reject"))
    assert by_rule["q#thinking.0"].rejection == (Reason.ANSWER_DISAGREES, "by rule")
    assert by_rule["q#thinking.0"].has_passed is False


def test_of_failed_samples_the_lowest_score_is_kept_before_an_unclear_verdict():
    verdicts = [verdict(0, None, None), verdict(1, "fail", 1)]
    assert reasons(FOUR[:2], verdicts, keep_failed=True) == ["judge_unclear", None]


def test_verdicts_are_joined_by_id_whatever_their_order():
    answers = [answer(0), answer(0, "no_thinking")]
    verdicts = [verdict(0, "fail", 1, "no_thinking"), verdict(0)]
    assert reasons(answers, verdicts) == [None, "judge_fail"]


def test_the_best_sample_is_kept_and_among_equals_the_first():
    answers = [answer(number) for number in range(4)]
    verdicts = [verdict(0, score=3), verdict(1, score=5), verdict(2, score=5), verdict(3, "fail", 5)]
    assert reasons(answers, verdicts) == ["not_best", None, "not_best", "judge_fail"]


def test_modes_do_not_compete():
    answers = [answer(0), answer(0, "no_thinking")]
    assert reasons(answers, [verdict(0, score=5), verdict(0, score=3, mode="no_thinking")]) == [None, None]


FOUR = [answer(number) for number in range(4)]
MIXED = [verdict(0, "fail", 2), verdict(1, score=3), verdict(2, score=5), verdict(3, score=2)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, ["judge_fail", "not_best", None, "low_score"]),
        ({"keep": "first"}, ["judge_fail", None, "not_best", "low_score"]),
        ({"keep": "all"}, ["judge_fail", None, None, "low_score"]),
        ({"keep": "all", "keep_failed": True}, [None, None, None, None]),
        ({"keep_failed": True}, ["judge_fail", "not_best", None, "low_score"]),
        ({"keep": "all", "pass_rate": (0.75, 1)}, ["judge_fail", None, None, "low_score"]),
        ({"keep": "all", "pass_rate": (0, 0.7)}, ["judge_fail", "pass_rate", "pass_rate", "low_score"]),
        ({"keep": "all", "keep_failed": True, "pass_rate": (0.8, 1)}, ["pass_rate"] * 4),
    ],
)
def test_samples_are_kept_as_the_policy_says(policy, expected):
    assert reasons(FOUR, MIXED, **policy) == expected
    assert {each.pass_rate for each in select_answers(FOUR, MIXED, Policy(3, **policy)).values()} == {0.75}


def test_the_pass_rate_of_another_server_stands_in_place_of_the_samples_own():
    plain = [answer(number, "no_thinking") for number in range(2)]
    said = [verdict(0, mode="no_thinking"), verdict(1, "fail", 2, mode="no_thinking")]
    rates = measure_pass_rates(FOUR + plain, MIXED + said, Policy(3))
    assert rates == {("q", "thinking"): PassRate(0.75, 4), ("q", "no_thinking"): PassRate(0.5, 2)}
    answers, verdicts = [answer(0), plain[0]], [verdict(0), said[0]]
    found = select_answers(answers, verdicts, Policy(3, pass_rate=(0.0, 0.6)), rates)
    assert found["q#thinking.0"].rejection == (Reason.PASS_RATE, "0.75 of 4 samples")
    assert found["q#no_thinking.0"].rejection is None
    assert [each.pass_rate for each in found.values()] == [0.75, 0.5]


@pytest.mark.parametrize("keep", ["best", "first"])
def test_where_none_passed_one_failed_sample_is_kept_if_any_is(keep):
    verdicts = [verdict(0, "fail", 1), verdict(1, "fail", 2)]
    answers = [answer(2, reason="length"), *FOUR[:2]]
    expected = {"best": ["length", "judge_fail", None], "first": ["length", None, "judge_fail"]}
    assert reasons(answers, verdicts, keep=keep, keep_failed=True) == expected[keep]


def test_a_rule_that_rejects_stands_whatever_failed_answers_are_kept():
    judged = verdict(0) | {"rule": "disagrees"}
    assert reasons(FOUR[:1], [judged], keep_failed=True, disagree="reject") == ["answer_disagrees"]
    assert reasons(FOUR[:1], [judged | {"verdict": "fail"}], keep_failed=True) == [None]


SAMPLES = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from([None, "length", "empty"]),
    st.sampled_from([("pass", 5), ("pass", 3), ("pass", 1), ("fail", 2), (None, None)]),
    st.sampled_from(["agrees", "disagrees", "cannot_tell", None]),
)


@given(
    st.lists(SAMPLES, max_size=12),
    st.sampled_from(["best", "first", "all"]),
    st.booleans(),
    st.sampled_from([(0.0, 1.0), (0.3, 1.0), (0.0, 0.6)]),
    st.randoms(),
)
def test_what_is_kept_depends_on_no_order_and_failed_answers_come_last(
    samples, keep, keep_failed, pass_rate, random
):
    answers, verdicts = [], []
    for number, (question, reason, (said, score), rule) in enumerate(samples):
        id_ = f"{question}#thinking.{number}"
        answers.append(answer(number, reason=reason) | {"id": id_, "question_id": question})
        if reason is None:
            verdicts.append(verdict(number, said, score) | {"id": id_, "rule": rule})
    policy = Policy(3, "ask", keep, keep_failed, pass_rate)
    found = select_answers(answers, verdicts, policy)
    shuffled = random.sample(answers, len(answers))
    assert select_answers(shuffled, random.sample(verdicts, len(verdicts)), policy) == found
    assert found.keys() == {each["id"] for each in answers}
    kept = defaultdict(list)
    for each in answers:
        if found[each["id"]].rejection is None:
            kept[each["question_id"]].append(each["id"])
            assert each["reason"] is None
            assert pass_rate[0] <= found[each["id"]].pass_rate <= pass_rate[1]
    strict = select_answers(answers, verdicts, policy._replace(keep_failed=False))
    for question, ids in kept.items():
        assert keep == "all" or len(ids) == 1
        passed = [id_ for id_ in strict if id_.startswith(question) and strict[id_].rejection is None]
        assert not passed or keep == "all" or ids == passed
