"""Names of faults, and what is read from a server's answer."""

import email.utils
import json
import time

import pytest

from prep.fault import RETRY_AFTER, TRIES, Fault, _message, _retry_after, read
from prep.reason import Reason


def completion(finish="stop", usage=None, **message) -> str:
    choice = {"message": {"content": "text", **message}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": usage})


def test_what_is_read_of_a_completion():
    text = completion(usage={"prompt_tokens": 3, "completion_tokens": 4}, reasoning="thought")
    assert read(text) == {
        "content": "text",
        "reasoning": "thought",
        "finish_reason": "stop",
        "tokens": [3, 4],
    }
    assert read(completion(content=None))["content"] == ""
    assert read(completion())["tokens"] == [0, 0]
    assert read(completion(usage={"prompt_tokens": None}))["tokens"] == [0, 0]
    assert read(completion("length"))["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "cut_json"),
        (completion()[:-1], "cut_json"),
        ("<html>", "cut_json"),
        ("null", "malformed"),
        ("[]", "malformed"),
        ('{"choices": null}', "malformed"),
        ('{"choices": []}', "malformed"),
        ('{"choices": [{"message": null, "finish_reason": "stop"}]}', "malformed"),
        ('{"choices": [{"message": {"content": ["text"]}, "finish_reason": "stop"}]}', "malformed"),
        ('{"error": {"message": "engine dead"}}', "malformed"),
        (completion(reasoning={"a": 1}), "malformed"),
        (completion(usage={"completion_tokens": "many"}), "malformed"),
        (completion(None), "unfinished"),
        (completion("abort"), "unfinished"),
        (completion("error"), "unfinished"),
    ],
)
def test_what_is_no_finished_completion_is_a_fault_of_the_server(text, name):
    with pytest.raises(Fault) as fault:
        read(text)
    assert (fault.value.reason, fault.value.name) == (Reason.SERVER_ERROR, name)
    assert not fault.value.row


def test_the_detail_is_one_short_line():
    fault = Fault(Reason.SERVER_ERROR, "server_error", "a\nb  c" + "x" * 1000)
    assert fault.detail.startswith("a b cxxx")
    assert len(fault.detail) == 300


def test_only_refused_requests_are_the_row_s_own_and_they_are_never_repeated():
    own = [reason for reason in TRIES if Fault(reason, "", "").row]
    assert own == [Reason.BAD_REQUEST]
    assert TRIES[Reason.BAD_REQUEST] == 1


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
    assert _message(body) == said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("99999999", RETRY_AFTER),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds(text, seconds):
    assert _retry_after({} if text is None else {"retry-after": text}) == seconds


def test_retry_after_as_a_date():
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 97 < _retry_after({"retry-after": date}) <= 100
    assert _retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
