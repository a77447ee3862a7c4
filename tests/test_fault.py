"""Names of faults, and what is read from a server's answer."""

import email.utils
import json
import time

import pytest
from completions import ANY_COMPLETION
from hypothesis import given

from prep.fault import RETRY_AFTER, TRIES, Fault, _retry_after, message, of_status, parsed, read, storable
from prep.program import Failure
from prep.reason import Reason


def completion(finish="stop", usage=None, **message) -> str:
    choice = {"message": {"content": "text", **message}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": usage})


def read_text(text: str) -> dict:
    return read(parsed(text.encode()))


def test_what_is_read_of_a_completion():
    text = completion(usage={"prompt_tokens": 3, "completion_tokens": 4}, reasoning="thought")
    assert read_text(text) == {
        "content": "text",
        "reasoning": "thought",
        "finish_reason": "stop",
        "tokens": [3, 4],
    }
    assert read_text(completion(content=None))["content"] == ""
    assert read_text(completion())["tokens"] == [0, 0]
    assert read_text(completion(usage={"prompt_tokens": None}))["tokens"] == [0, 0]
    assert read_text(completion("length"))["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cut_json"),
        (completion()[:-1], "cut_json"),
        ("<html>", "cut_json"),
        ("[" * 100_000, "cut_json"),
        ("null", "malformed"),
        ("[]", "malformed"),
        ('{"choices": null}', "malformed"),
        ('{"choices": []}', "malformed"),
        ('{"choices": [{"message": null, "finish_reason": "stop"}]}', "malformed"),
        ('{"choices": [{"message": {"content": ["text"]}, "finish_reason": "stop"}]}', "malformed"),
        ('{"error": {"message": "engine dead"}}', "malformed"),
        (completion(reasoning={"a": 1}), "malformed"),
        (completion(usage={"completion_tokens": "many"}), "malformed"),
        (completion(usage={"completion_tokens": float("inf")}), "malformed"),
        (completion(None), "server_error"),
        (completion(""), "server_error"),
        (completion("abort"), "server_error"),
        (completion("error"), "server_error"),
    ],
)
def test_what_is_no_finished_completion_is_a_fault_of_the_server(text, reason):
    with pytest.raises(Fault) as fault:
        read_text(text)
    assert fault.value.reason == reason
    assert not fault.value.row


@given(ANY_COMPLETION)
def test_whatever_comes_is_a_completion_or_a_fault(body):
    try:
        found = read_text(json.dumps(body))
    except Fault as fault:
        found = {"content": "", "reasoning": None, "finish_reason": fault.detail, "tokens": [0, 0]}
    assert isinstance(found["content"], str)
    assert isinstance(found["reasoning"], str | None)
    assert found["finish_reason"] == storable(found["finish_reason"])
    assert [type(count) for count in found["tokens"]] == [int, int]


def test_an_error_may_nest_as_deep_as_it_likes():
    for depth in (10, *range(900, 1100), 100_000):
        assert of_status(500, {}, b"[" * depth + b"1" + b"]" * depth, "url").reason is Reason.SERVER_ERROR


def test_the_detail_is_one_short_line():
    fault = Fault(Reason.SERVER_ERROR, "a\nb  c" + "x" * 1000)
    assert fault.detail.startswith("a b cxxx")
    assert len(fault.detail) == 300
    assert Fault(Reason.SERVER_ERROR, "half of \ud83d").detail == "half of ?"


def test_only_refused_requests_are_the_row_s_own_and_they_are_never_repeated():
    own = [reason for reason in TRIES if Fault(reason, "").row]
    assert own == [Reason.BAD_REQUEST, Reason.LENGTH]
    assert [TRIES[reason] for reason in own] == [1, 1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "too long", "code": 400}}, "too long"),
        ({"object": "error", "message": "too long"}, "too long"),
        ({"error": "too long"}, "too long"),
        ({"message": "too long"}, "too long"),
        ({"detail": [{"loc": 1}]}, '[{"loc": 1}]'),
        ("bad gateway", "bad gateway"),
        ({}, None),
        (None, None),
    ],
)
def test_what_a_server_says_of_an_error(body, said):
    assert message(body) == said


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000", "length"),
        (400, "'max_tokens' is too large: 8000. This model's maximum context length is 8192", "length"),
        (400, "max_tokens must be at least 1, got -90.", "length"),
        (400, "The decoder prompt (length 9000) is longer than the maximum model length of 8192.", "length"),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 8192", "length"),
        (400, "the request exceeds the available context size", "length"),
        (400, "top_k must be -1 or at least 1", "bad_request"),
        (500, "context lost", "server_error"),
        (408, "", "timeout"),
        (409, "", "server_error"),
        (429, "", "rate_limited"),
    ],
)
def test_what_an_error_status_means(status, said, reason):
    fault = of_status(status, {}, json.dumps({"error": {"message": said}}).encode(), "url")
    assert fault.reason == reason
    assert said in fault.detail


def test_a_redirect_is_the_user_s_to_mend():
    with pytest.raises(Failure, match="sends us on to https://there; mend base_urls"):
        of_status(307, {"Location": "https://there"}, b"", "url")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("99999999", RETRY_AFTER),
        ("soon", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds(text, seconds):
    assert _retry_after({} if text is None else {"Retry-After": text}) == seconds


def test_retry_after_as_a_date():
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 97 < _retry_after({"Retry-After": date}) <= 100
    assert _retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
