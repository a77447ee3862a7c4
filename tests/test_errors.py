"""Names of faults, and what is read from a server's answer."""

import json

import pytest
from hypothesis import given

from completions import ANY_COMPLETION
from prep.inference.errors import (
    MAX_ATTEMPTS,
    Refusal,
    RequestError,
    error_of_body,
    error_of_status,
    message,
    parse_completion,
    parse_json,
    storable,
)
from prep.records.reason import Reason
from prep.runtime.program import UserError


def completion(finish="stop", usage=None, **message) -> str:
    choice = {"message": {"content": "text"} | message, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": usage})


def read_text(text: str) -> dict:
    return parse_completion(parse_json(text.encode()))


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
    ("details", "known"),
    [
        *(({"reasoning_tokens": 1}, 1), ({"reasoning_tokens": 4}, 4)),
        *(({"reasoning_tokens": 0}, None), ({"reasoning_tokens": 5}, None)),
        *(({}, None), (None, None), ("3", None)),
    ],
)
def test_tokens_of_the_thinking_are_kept_where_a_server_tells_them(details, known):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": details}
    assert read_text(completion(usage=usage)).get("reasoning_tokens") == known


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
        (completion(reasoning=["thought"]), "malformed"),
        (completion(content=5), "malformed"),
        (completion(content=[{"text": 5}]), "malformed"),
        (completion(None), "server_error"),
        (completion(""), "server_error"),
        (completion("abort"), "server_error"),
        (completion("error"), "server_error"),
        (completion("Cancelled"), "server_error"),
        (completion("null"), "server_error"),
        (completion("insufficient_system_resource"), "server_error"),
        ('{"error": {"message": "x", "code": 500}}', "server_error"),
        ('{"error": {"message": "x", "code": "429"}, "choices": []}', "rate_limited"),
    ],
)
def test_what_is_no_finished_completion_is_a_fault_of_the_server(text, reason):
    with pytest.raises(RequestError) as fault:
        read_text(text)
    assert fault.value.reason == reason
    assert not fault.value.is_row_fault


@pytest.mark.parametrize(
    ("told", "read_as"),
    [
        *(
            (name, "stop")
            for name in ("stop", "STOP", "eos", "EOS", "eos_token", "stop_sequence", "end_turn")
        ),
        *((name, "length") for name in ("length", "LENGTH", "MAX_TOKENS", "max_length")),
        *((name, "content_filter") for name in ("content_filter", "CONTENT_FILTER", "SAFETY")),
        ({"type": "stop", "matched": 1}, "stop"),
        ("tool_calls", "tool_calls"),
        ("Of its own", "Of its own"),
        (7, "7"),
        ("x" * 150, "x" * 100),
    ],
)
def test_a_finish_reason_has_one_name_whatever_a_server_calls_it(told, read_as):
    assert read_text(completion(told))["finish_reason"] == read_as


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": "3", "completion_tokens": "12 tokens"}, [3, 12]),
        ({"prompt_tokens": "about 1,234", "completion_tokens": 4.0}, [1234, 4]),
        ({"prompt_tokens": "many", "completion_tokens": [4]}, [0, 0]),
        ({"prompt_tokens": float("inf"), "completion_tokens": -4}, [0, 0]),
        ({"prompt_tokens": float("nan"), "completion_tokens": True}, [0, 0]),
        ({"prompt_tokens": -1, "completion_tokens": 1e18}, [0, 0]),
        ({"prompt_tokens": {"total": 3}, "completion_tokens": 4}, [0, 4]),
        ("12 tokens", [0, 0]),
        ([3, 4], [0, 0]),
        (None, [0, 0]),
    ],
)
def test_of_a_usage_in_words_what_can_be_read_is_read(usage, tokens):
    assert read_text(completion(usage=usage))["tokens"] == tokens


@pytest.mark.parametrize(
    ("message", "content", "reasoning"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", None),
        ({"content": [{"text": "a"}]}, "a", None),
        ({"content": [{"type": "refusal", "refusal": "no"}, {"type": "text", "text": "b"}]}, "b", None),
        ({"content": []}, "", None),
        ({"content": {"type": "text", "text": "a"}}, "a", None),
        ({"reasoning": {"content": "r"}}, "text", "r"),
        ({"reasoning": {"text": "r"}}, "text", "r"),
        ({"reasoning_content": [{"type": "text", "text": "r"}]}, "text", "r"),
        ({"reasoning": {"type": "summary"}, "reasoning_content": "r"}, "text", "r"),
        (
            {"content": [{"type": "thinking", "thinking": [{"text": "r"}]}, {"type": "text", "text": "a"}]},
            "a",
            "r",
        ),
    ],
)
def test_texts_are_read_however_a_server_wraps_them(message, content, reasoning):
    found = read_text(completion(**message))
    assert (found["content"], found["reasoning"]) == (content, reasoning)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"error": {"message": "m", "type": "BadRequestError", "param": None, "code": 400}}, 400),  # vLLM
        ({"object": "error", "message": "m", "type": "BadRequest", "code": 400}, 400),  # SGLang, older vLLM
        ({"error": {"message": "m", "type": "invalid_request_error", "code": None}}, 400),  # OpenAI
        ({"error": {"message": "m", "type": "requests", "code": "rate_limit_exceeded"}}, 429),
        ({"error": {"message": "m", "type": "server_error"}}, 500),
        ({"error": {"code": 502, "message": "m", "metadata": {}}}, 502),  # OpenRouter
        ({"error": {"code": "503", "message": "m"}}, 503),  # Azure
        ({"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}, 400),  # Google
        ([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}], 429),
        ({"error": {"message": "m", "status": "UNAVAILABLE"}}, 503),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, 503),  # Anthropic
        ({"error": "m", "error_type": "x", "status_code": 422.0}, 422),
        ({"error": "Internal Server Error", "message": "m"}, 500),
        ({"error": {"message": "m", "code": 20015, "type": "InternalServerError"}}, 500),
        ({"statusCode": 408, "message": "m"}, 408),
        ({"error": {"error": {"message": "m", "code": 400}}}, 400),
        ({"error": {"message": "m"}}, None),
        ({"error": {"message": "m", "code": 200}}, None),
        ({"error": {"message": "m", "code": "of_its_own"}}, None),
        ({"message": "m"}, None),
        ("m", None),
        (None, None),
    ],
)
def test_an_error_object_in_an_answer_is_read_like_a_status(error, status):
    fault = error_of_body(error, "url")
    if status is None:
        assert fault is None
    else:
        assert fault.reason is error_of_status(status, {}, b"", "url").reason
        assert fault.detail.startswith(f"HTTP 200 with error {status}: ")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"message": "m", "code": 400}, "bad_request"),
        ({"message": "maximum context length is 8192", "code": 400}, "length"),
        ({"message": "m", "code": "context_length_exceeded"}, "length"),
        ({"message": "m", "code": 500}, "server_error"),
    ],
)
def test_of_an_answer_with_an_error_object_the_code_decides_and_is_shown(error, reason):
    choice = {"message": {"content": "half"}, "finish_reason": "error"}
    for body in (
        {"error": error},
        {"choices": [choice], "error": error},
        {"choices": [choice | {"error": error}]},
    ):
        with pytest.raises(RequestError, match=r"HTTP 200 with error [45]00: m") as fault:
            parse_completion(body)
        assert fault.value.reason == reason


@given(ANY_COMPLETION)
def test_whatever_comes_is_a_completion_or_a_fault(body):
    try:
        found = read_text(json.dumps(body))
    except RequestError as fault:
        found = {"content": "", "reasoning": None, "finish_reason": fault.detail, "tokens": [0, 0]}
    assert isinstance(found["content"], str)
    assert isinstance(found["reasoning"], str | None)
    assert found["finish_reason"] == storable(found["finish_reason"])
    assert [type(count) for count in found["tokens"]] == [int, int]


def test_an_error_may_nest_as_deep_as_it_likes():
    for depth in (10, *range(900, 1100), 100_000):
        assert (
            error_of_status(500, {}, b"[" * depth + b"1" + b"]" * depth, "url").reason is Reason.SERVER_ERROR
        )


def test_the_detail_is_one_short_line():
    fault = RequestError(Reason.SERVER_ERROR, "a\nb  c" + "x" * 1000)
    assert fault.detail.startswith("a b cxxx")
    assert len(fault.detail) == 300
    assert RequestError(Reason.SERVER_ERROR, "half of \ud83d").detail == "half of ?"


def test_only_refused_requests_are_the_row_s_own_and_they_are_never_repeated():
    own = [reason for reason in MAX_ATTEMPTS if RequestError(reason, "").is_row_fault]
    assert own == [Reason.BAD_REQUEST, Reason.LENGTH]
    assert [MAX_ATTEMPTS[reason] for reason in own] == [1, 1]


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
        *((status, "", "bad_request") for status in (400, 406, 413, 422, 451, 499)),
        *((status, "", "server_error") for status in (409, 425, 500, 599)),
        *((status, "", "rate_limited") for status in (429, 503, 529)),
    ],
)
def test_what_an_error_status_means(status, said, reason):
    fault = error_of_status(status, {}, json.dumps({"error": {"message": said}}).encode(), "url")
    assert fault.reason == reason
    assert said in fault.detail


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (401, "http://u/v1 refuses the key (HTTP 401: no); see api_key_env"),
        (402, "http://u/v1 wants to be paid (HTTP 402: no); see the account of the key"),
        (403, "http://u/v1 refuses the key or the prompt (HTTP 403: no); see api_key_env"),
        (404, "http://u/v1 does not serve the model (HTTP 404: no); see model and base_urls"),
        (410, "http://u/v1 does not serve the model (HTTP 410: no); see model and base_urls"),
        (405, "http://u/v1 does not serve the model (HTTP 405: no); see model and base_urls"),
    ],
)
def test_a_refusal_is_of_one_row_or_of_the_run(status, line):
    for refuse in (
        lambda: error_of_status(status, {}, b'{"message": "no"}', "http://u/v1"),
        lambda: parse_completion({"error": {"message": "no", "code": status}}, "http://u/v1"),
    ):
        with pytest.raises(Refusal) as refusal:
            refuse()
        assert isinstance(refusal.value, UserError)
        assert (refusal.value.reason, refusal.value.is_row_fault) == (Reason.BAD_REQUEST, True)
        assert str(refusal.value).replace("HTTP 200 with error", "HTTP") == line


@pytest.mark.parametrize("status", [300, 307, 399])
def test_a_redirect_is_the_user_s_to_mend(status):
    with pytest.raises(UserError, match="sends us on to https://there; mend base_urls"):
        error_of_status(status, {"Location": "https://there"}, b"", "url")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *(
            (name, 400)
            for name in ("invalid_request", "InvalidArgument", "invalid_prompt", "validation_error")
        ),
        *((name, 400) for name in ("context_length_exceeded", "content_filter", "content-policy-violation")),
        *((name, 401) for name in ("authentication_error", "invalid_api_key", "UNAUTHENTICATED")),
        *((name, 402) for name in ("insufficient_credits", "billing_error", "Payment Required")),
        *((name, 403) for name in ("permission_error", "PERMISSION_DENIED", "Forbidden")),
        *((name, 404) for name in ("model_not_found", "DeploymentNotFound", "not_found_error")),
        *((name, 408) for name in ("timeout_error", "DEADLINE_EXCEEDED", "Request Timeout")),
        ("request_too_large", 413),
        *((name, 429) for name in ("rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED")),
        *((name, 429) for name in ("insufficient_quota", "Too Many Requests")),
        *((name, 500) for name in ("server_error", "INTERNAL", "api_error")),
        *((name, 503) for name in ("overloaded_error", "engine_overloaded", "UNAVAILABLE")),
    ],
)
def test_an_error_s_name_stands_for_a_status(name, status):
    body = {"error": {"message": "m", "type": name}}
    if status in (401, 402, 403, 404):
        with pytest.raises(Refusal, match=f"HTTP 200 with error {status}: m"):
            error_of_body(body, "url")
    else:
        assert error_of_body(body, "url").detail.endswith(f"HTTP 200 with error {status}: m")


@pytest.mark.parametrize(("code", "status"), [(399, None), (400, 400), (599, 599), (600, None)])
def test_a_code_is_a_status_between_400_and_599(code, status):
    fault = error_of_body({"error": {"message": "m", "code": code}}, "url")
    assert (fault and fault.detail) == (status and f"HTTP 200 with error {status}: m")


def test_a_server_that_asks_to_be_left_alone_is():
    for status in (408, 429, 500, 503):
        assert error_of_status(status, {"Retry-After": "7"}, b"", "url").retry_after == 7.0
    assert error_of_status(400, {"Retry-After": "7"}, b"", "url").retry_after is None


def test_an_error_without_a_text_says_so():
    assert error_of_status(500, {}, b"", "url").detail == "HTTP 500: nothing more"
    assert error_of_status(500, {}, b"down", "url").detail == "HTTP 500: down"
    assert error_of_body({"code": 500}, "url").detail == 'HTTP 200 with error 500: {"code": 500}'
