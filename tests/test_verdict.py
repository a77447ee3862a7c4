"""Verdicts: how they are asked for and read, and what is kept for them."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.reason import Reason
from prep.request import Response
from prep.verdict import RESPONSE_FORMAT, outcomes, parse, prompt, verdict_row

PASS = {"verdict": "pass", "score": 4, "reason": "right"}


def test_what_is_filled_into_the_prompt_is_never_read_as_a_template():
    template = "Q {question} R {reference} A {answer} {other}"
    assert prompt(template, "{answer}", None, r"\1 {question}") == r"Q {answer} R  A \1 {question} {other}"


def test_the_schema_that_servers_are_given_is_one_and_admits_a_verdict():
    schema = RESPONSE_FORMAT["json_schema"]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(PASS, schema)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PASS),
        f"<think>\nmaybe {{'verdict': 'fail'}}\n</think>\n\n{json.dumps(PASS)}",
        f'First {{"verdict": "fail", "score": 1}}, no: {json.dumps(PASS)} as I said.',
        f"```json\n{json.dumps(PASS, indent=2)}\n```",
        f"{{ broken {json.dumps(PASS)}",
    ],
)
def test_the_last_object_after_the_thoughts_is_the_verdict(text):
    assert parse(text) == PASS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pass",
        "The verdict is pass with a score of 5.",
        f"<think>{json.dumps(PASS)}</think> I cannot say.",
        f'{json.dumps(PASS)} or rather {{"verdict": "unsure", "score": 3}}',
        '{"verdict": "pass"}',
        '{"verdict": "pass", "score": 0}',
        '{"verdict": "pass", "score": 6}',
        '{"verdict": "pass", "score": 4.5}',
        '{"verdict": "pass", "score": true}',
        '{"verdict": "pass", "score": "4"}',
        '{"verdict": "PASS", "score": 4}',
        '{"verdict": ["pass"], "score": 4}',
        '["pass", 4]',
        '{"a":' * 100_000,
    ],
)
def test_what_is_unclear_is_no_verdict(text):
    assert parse(text) is None


def test_a_reason_may_hold_what_json_wants_escaped():
    found = parse('{"verdict": "pass", "score": 4, "reason": "a\ttab, \x19"}')
    assert found == PASS | {"reason": "a\ttab, \x19"}


@given(st.text())
def test_any_text_is_a_verdict_or_none(text):
    found = parse(text)
    assert found is None or found["verdict"] in ("pass", "fail")


@pytest.mark.parametrize(
    "response",
    [
        Response("", None, None, Reason.TIMEOUT, "no answer"),
        Response(json.dumps(PASS), None, "length"),
        Response("perhaps", None, "stop"),
    ],
)
def test_a_judge_that_is_not_understood_is_unclear(response):
    row = verdict_row("a", response)
    assert (row["verdict"], row["score"], row["reason"]) == (None, None, Reason.JUDGE_UNCLEAR)
    assert row["detail"]


def test_a_verdict_keeps_the_judges_reason_as_detail():
    row = verdict_row("a", Response(json.dumps(PASS), "thoughts in a field", "stop"))
    assert row == {"id": "a", "verdict": "pass", "score": 4, "reason": None, "detail": "right"}


def test_a_reason_that_cannot_be_stored_is_mended():
    row = verdict_row("a", Response(r'{"verdict": "fail", "score": 1, "reason": "\ud800"}', None, "stop"))
    assert row["detail"] == "?"


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
    return {"id": f"q#{mode}.{sample}", "verdict": said, "score": score, "reason": reason, "detail": "d"}


def reasons(answers: list[dict], verdicts: list[dict]) -> list[str | None]:
    found = outcomes(answers, verdicts, 3)
    return [defect and str(defect[0]) for _, defect in (found[answer["id"]] for answer in answers)]


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
