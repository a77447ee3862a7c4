"""Verdicts: how they are asked for and read."""

import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.grammar import build_schema_form
from prep.inference.request import Response
from prep.reasoning.verdict import (
    LAST_LINE,
    build_prompt,
    build_response_format,
    build_spared_row,
    build_verdict_row,
    count_votes,
    is_unanswered,
    parse_verdict,
)
from prep.records.reason import Reason

PASS = {"verdict": "pass", "score": 4, "reason": "right"}


def read_row(said: dict) -> dict:
    """The row of VERDICTS of a judge's answer."""
    return build_verdict_row("a", Response(json.dumps(said), None, "stop"))


def test_what_is_filled_into_the_prompt_is_never_read_as_a_template():
    built = build_prompt(
        "Q {question} R {reference} A {answer} {other}\n", "{answer}", None, r"\1 {question}"
    )
    filled = re.sub("-[0-9a-f]{12}", "-MARK", built)
    assert filled.splitlines() == [
        "Q <question-MARK>",
        "{answer}",
        "</question-MARK> R <reference-MARK>",
        "",
        "</reference-MARK> A <answer-MARK>",
        r"\1 {question}",
        "</answer-MARK> {other}",
        "",
        LAST_LINE.format(mark=re.search("-([0-9a-f]{12})>", built)[1]),
    ]


def test_the_schema_that_servers_are_given_is_one_and_admits_a_verdict():
    schema = build_response_format(with_picture=False)["json_schema"]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(PASS, schema)


@pytest.mark.parametrize(
    "grounded", [{}, {"grounded": {"type": ["boolean", "null"], "enum": [True, False, None]}}]
)
def test_the_schema_asks_for_every_field_and_no_other(grounded):
    properties = {
        "verdict": {"type": "string", "enum": ["pass", "fail"]},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "reason": {"type": "string", "maxLength": 600},
        **grounded,
    }
    form = build_response_format(with_picture=bool(grounded))
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "verdict"
    assert form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"] == {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize("with_picture", [False, True])
def test_a_server_that_takes_one_type_alone_can_be_given_the_schema(with_picture):
    schema = build_response_format(with_picture)["json_schema"]["schema"]
    assert ("grounded" in build_schema_form(schema).grammar) is with_picture


@pytest.mark.parametrize("grounded", [True, False, None])
def test_a_verdict_about_a_picture_tells_whether_the_answer_follows_from_it(grounded):
    schema = build_response_format(with_picture=True)["json_schema"]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    said = PASS | {"grounded": grounded}
    jsonschema.validate(said, schema)
    assert read_row(said)["grounded"] is grounded


@pytest.mark.parametrize(
    ("grounded", "expected"),
    [("True", True), (" false ", False), ("yes", None), (1, None), ([], None), ({"a": 1}, None)],
)
def test_a_claim_about_the_picture_that_is_no_boolean_leaves_the_verdict_as_it_is(grounded, expected):
    assert read_row(PASS | {"grounded": grounded}) == read_row(PASS) | {"grounded": expected}


def test_a_verdict_that_says_nothing_of_the_picture_counts_all_the_same():
    row = read_row(PASS)
    assert (row["verdict"], row["score"], row["grounded"]) == ("pass", 4, None)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PASS),
        f"<think>\nmaybe {{'verdict': 'fail'}}\n</think>\n\n{json.dumps(PASS)}",
        f'First {{"verdict": "fail", "score": 1}}, no: {json.dumps(PASS)} as I said.',
        f"```json\n{json.dumps(PASS, indent=2)}\n```",
        f"{{ broken {json.dumps(PASS)}",
        f"{json.dumps(PASS)} {{}}",
        f'{json.dumps(PASS)}\n\n{{"note": "done"}}',
        f"[{json.dumps(PASS)}]",
        '{"verdict": "pass", "score": "4", "reason": "right"}',
        '{"verdict": "pass", "score": 4.0, "reason": "right"}',
        '{"verdict": "pass", "score": "4.0", "reason": "right"}',
        '{"verdict": " PASS ", "score": " 4 ", "reason": "right"}',
        '{"Verdict": "Pass", "Score": 4, "Reason": "right"}',
        '{"verdict": "pass", "score": 4, "reason": "right",}',
        '```json\n{\n  "verdict": "pass",\n  "score": 4,\n  "reason": "right",\n}\n```',
        f'As in {{"a": {{"b": f(x)}}}}: {json.dumps(PASS)}',
        f'The form is {{"verdict": "pass" or "fail", "score": 1 to 5}}, so: {json.dumps(PASS)}',
    ],
)
def test_the_last_verdict_after_the_thoughts_counts(text):
    assert parse_verdict(text) == PASS


@pytest.mark.parametrize("verdict", ["pass", "fail"])
@pytest.mark.parametrize("score", range(1, 6))
def test_every_score_is_read_as_a_number_or_a_string(verdict, score):
    for written in (score, float(score), str(score), f"{score}.0"):
        found = parse_verdict(json.dumps({"verdict": verdict, "score": written}))
        assert found == {"verdict": verdict, "score": score}
        assert type(found["score"]) is int


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        (r"so \(x\) is right", r"so \(x\) is right"),
        (r"\sqrt{2} \approx 1.41", r"\sqrt{2} \approx 1.41"),
        (r"the set \{1, 2\}", r"the set \{1, 2\}"),
        (r"\underline{x} \u00e9", r"\underline{x} é"),
        (r"an escaped \\(x\\)", r"an escaped \(x\)"),
        (r"\( and \"quoted, }\"", r'\( and "quoted, }"'),
        (r"\( ends in a backslash \\", "\\( ends in a backslash \\"),
    ],
)
@pytest.mark.parametrize("end", ["}", ", }", "\n}\n{}"])
def test_a_backslash_that_begins_no_escape_stands_for_itself(reason, read, end):
    assert parse_verdict(f'{{"verdict": "pass", "score": 4, "reason": "{reason}"{end}') == PASS | {
        "reason": read
    }


EXAMPLE = json.dumps({"verdict": "fail", "score": 1, "reason": "an example"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("\n", "\n{}"),
        (f"<think>say {EXAMPLE}</think>\n", ""),
        (f"<think>say {EXAMPLE} </think> or </think>", " I said."),
        ('<think>I begin: {"verdict": "fail", </think>', ""),
        ('<think>I begin: {"verdict": "fail", "reason": "</think>', ""),
        ("<think>{{{ \\frac{1}{2} </think>", ""),
    ],
)
@pytest.mark.parametrize("reason", ["</think>", "a </think> {} b", f"</think> {EXAMPLE}", "<think>{</think>"])
def test_a_reason_may_quote_the_end_of_thoughts(before, after, reason):
    expected = PASS | {"reason": reason}
    assert parse_verdict(f"{before}{json.dumps(expected)}{after}") == expected


@given(st.text(), st.text())
def test_any_reason_is_read_after_any_thoughts(thoughts, reason):
    expected = PASS | {"reason": reason + "</think>" + thoughts}
    for escaped in (True, False):
        verdict = json.dumps(expected, ensure_ascii=escaped)
        assert parse_verdict(verdict) == expected
        assert parse_verdict(f"<think>{thoughts}</think>{verdict}") == expected


def test_thoughts_in_a_field_of_their_own_leave_the_verdict_alone():
    reason = "it ends in </think>, as it should"
    response = Response(json.dumps(PASS | {"reason": reason}), f"perhaps {EXAMPLE}", "stop")
    assert build_verdict_row("a", response)["detail"] == reason


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
        '{"verdict": "pass", "score": "4.5"}',
        '{"verdict": "pass", "score": "4/5"}',
        '{"verdict": "pass", "score": "four"}',
        '{"verdict": "pass", "score": NaN}',
        '{"verdict": "pass", "score": 1e400}',
        '{"verdict": "passed", "score": 4}',
        '{"verdict": "pass, fail", "score": 4}',
        f'{json.dumps(PASS)} no, {{"score": 9}}',
        f'{{"result": {json.dumps(PASS)}}}',
        f'{{"verdict": "fail", "score": 1, "reason": "it says {json.dumps(PASS)}"}}',
        f'{{"verdict": "fail", "score": 1, "reason": "it says {json.dumps(PASS)}',
        '{"verdict": "fail", "score": 1, "reason": "it says ", "verdict": "pass", "score": 5, "x": ""}',
        '{"verdict": "fail", "score": 1, "reason": "it says ", "Verdict": "pass", "SCORE": 5, "x": "",}',
        f'{{"why": "it says "pass": {json.dumps(PASS)}", "verdict": "fail", "score": 1}}',
        '{"verdict": ["pass"], "score": 4}',
        '["pass", 4]',
        '{"a":' * 100_000,
    ],
)
def test_what_is_unclear_is_no_verdict(text):
    assert parse_verdict(text) is None


@pytest.mark.parametrize(
    "piece",
    ["{", '{"', '{"a":', '{"verdict":', '{"verdict": "pass", ', '{"a": x', '{"a": "\\(', "{}", "</think>{"],
)
def test_a_text_full_of_braces_is_read_a_few_times_at_most(piece, monkeypatch):
    """Time would be no proof: what the decoder is handed is counted instead."""
    tried = []

    class Counting(json.JSONDecoder):
        def raw_decode(self, text, start=0):
            tried.append(start)
            return super().raw_decode(text, start)

    monkeypatch.setattr("prep.reasoning.verdict._DECODER", Counting(strict=False))
    text = piece * (100_000 // len(piece))
    assert parse_verdict(text) is None
    assert len(tried) <= len(text) // len(piece)


def test_a_reason_may_hold_what_json_wants_escaped():
    found = parse_verdict('{"verdict": "pass", "score": 4, "reason": "a\ttab, \x19"}')
    assert found == PASS | {"reason": "a\ttab, \x19"}


@given(st.text())
def test_any_text_is_a_verdict_or_none(text):
    found = parse_verdict(text)
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
    row = build_verdict_row("a", response)
    assert (row["verdict"], row["score"], row["reason"]) == (None, None, Reason.JUDGE_UNCLEAR)
    assert row["detail"]


def test_a_verdict_keeps_the_judges_reason_as_detail():
    row = build_verdict_row("a", Response(json.dumps(PASS), "thoughts in a field", "stop"))
    said = {"id": "a", "verdict": "pass", "score": 4, "reason": None, "detail": "right"}
    assert row == said | {"rule": None, "votes": 1, "grounded": None}


VOTE = st.one_of(
    st.just(Response("perhaps", None, "stop")),
    st.builds(
        lambda verdict, score: Response(
            json.dumps({"verdict": verdict, "score": score, "reason": f"{verdict} {score}"}), None, "stop"
        ),
        st.sampled_from(["pass", "fail"]),
        st.integers(1, 5),
    ),
)


@given(st.lists(VOTE, min_size=1, max_size=9).filter(lambda votes: len(votes) % 2 == 1))
def test_the_majority_of_all_votes_decides_with_the_median_of_its_scores(votes):
    rows = [build_verdict_row("a", vote, "agrees") for vote in votes]
    found = count_votes(rows)
    scores = {
        said: sorted(row["score"] for row in rows if row["verdict"] == said) for said in ("pass", "fail")
    }
    assert found["votes"] == len(scores["pass"])
    assert (found["id"], found["rule"]) == ("a", "agrees")
    winner = next((said for said, given in scores.items() if 2 * len(given) > len(votes)), None)
    assert found["verdict"] == winner
    if winner is None:
        assert (found["score"], found["reason"]) == (None, Reason.JUDGE_UNCLEAR)
    else:
        given = scores[winner]
        assert found["score"] == given[(len(given) - 1) // 2]
        assert (found["reason"], found["detail"]) == (None, f"{winner} {found['score']}")


def test_votes_without_a_majority_are_told_with_the_first_unclear_one():
    said = [json.dumps(PASS), "perhaps", json.dumps(PASS | {"verdict": "fail"})]
    found = count_votes([build_verdict_row("a", Response(text, None, "stop")) for text in said])
    assert found["detail"] == ("1 of 3 votes pass, 1 fail; the first unclear one: no verdict in: perhaps")


SILENCE = Response("", None, None, failure=Reason.TIMEOUT, detail="after 3 attempts")


@pytest.mark.parametrize("votes", [1, 3])
@pytest.mark.parametrize(("first", "expected"), [(SILENCE, True), (Response("hm", None, "stop"), False)])
def test_no_verdict_for_the_servers_reasons_is_told_from_an_unclear_one(votes, first, expected):
    said = [first, *[Response("timeout: I saw none", None, "stop"), Response(json.dumps(PASS), None, "stop")]]
    assert is_unanswered(count_votes([build_verdict_row("a", each) for each in said[:votes]])) is expected


def test_a_reason_that_cannot_be_stored_is_mended():
    row = build_verdict_row(
        "a", Response(r'{"verdict": "fail", "score": 1, "reason": "\ud800"}', None, "stop")
    )
    assert row["detail"] == "?"


def test_a_row_counts_a_pass_and_no_fail():
    failed = read_row(PASS | {"verdict": "fail"})
    assert (read_row(PASS)["votes"], failed["votes"], failed["reason"]) == (1, 0, None)


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        (SILENCE, "timeout: after 3 attempts"),
        (Response("", None, None, failure=Reason.TIMEOUT), "timeout: "),
        (Response(json.dumps(PASS), None, "length"), "the judge's finish_reason is length"),
        (Response("<think>x</think>" + "y" * 300, None, "stop"), f"no verdict in: {'y' * 200}"),
        (Response('{"verdict": "pass", "score": 4}', None, "stop"), ""),
    ],
)
def test_the_detail_says_what_the_judge_said(response, detail):
    assert build_verdict_row("a", response)["detail"] == detail


def test_unclear_votes_are_neither_passed_nor_failed():
    said = ["perhaps", json.dumps(PASS), "hm", *[json.dumps(PASS | {"verdict": "fail"})] * 2]
    rows = [build_verdict_row("a", Response(text, None, "stop")) for text in said]
    assert count_votes(rows) == rows[0] | {
        "detail": "1 of 5 votes pass, 2 fail; the first unclear one: no verdict in: perhaps",
        "votes": 1,
    }
    assert count_votes(rows[:1]) == rows[0]


def test_an_answer_that_a_rule_decided_has_a_row_without_a_verdict():
    row = build_spared_row("a", "agrees")
    assert row.keys() == build_verdict_row("a", SILENCE).keys()
    assert {name: value for name, value in row.items() if value is not None} == {"id": "a", "rule": "agrees"}
