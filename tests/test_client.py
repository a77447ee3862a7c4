"""The request client, against a server that delays, fails and counts: nothing is lost or paid for twice."""

import asyncio
import base64
import hashlib
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from asked import CONFIG, PROGRAM, SAMPLING, Endpoints, journaled_prompts, request
from fault_server import Ask, FaultServer, Reply, answer_to
from prep.inference import client as client_module
from prep.inference import endpoint_pool
from prep.inference import progress as progress_module
from prep.inference.answer_policy import Answers
from prep.inference.client import Client, cut_waves, guess_length
from prep.inference.errors import MAX_ATTEMPTS
from prep.inference.journal import Journal
from prep.inference.request import Request, Response
from prep.records.reason import Reason
from prep.runtime.process_group import identify_process
from prep.runtime.program import UserError
from prep.serving.endpoint import Endpoint
from prep.serving.server import Server
from running import python_environment

JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 500


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Short waits between tries: what is tested is their order and number."""
    monkeypatch.setattr(client_module, "FIRST_BACKOFF_S", 0.005)
    monkeypatch.setattr(client_module, "LONGEST_BACKOFF_S", 0.05)
    monkeypatch.setattr(endpoint_pool, "FIRST_COOLDOWN_S", 0.02)
    monkeypatch.setattr(endpoint_pool, "LONGEST_COOLDOWN_S", 0.1)
    monkeypatch.setattr(endpoint_pool, "GIVE_UP_AFTER_S", 5.0)


@pytest.fixture
def ask(tmp_path):
    """Asks requests through a client with a journal under tmp_path; gives the list of what came."""

    def ask(
        requests,
        *servers,
        endpoints=None,
        share=0.0,
        journal="journal",
        longer_budget=None,
        window=None,
        **changes,
    ):
        endpoints, config = endpoints or Endpoints(*servers), replace(CONFIG, **changes)
        with Journal(tmp_path / journal) as opened:
            answers = Answers(opened, "model", config.max_model_len, longer_budget, window)
            client = Client(config, endpoints, answers, tmp_path / "stats" / "000.json")
            return list(client.ask(lambda with_pictures: iter(requests), share))

    return ask


def progress(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "stats" / "000.json").read_text())


def by_first_tries(*replies: Reply):
    """A plan: a prompt's n-th attempt gets the n-th reply, those after the last an answer."""
    return lambda ask: replies[ask.attempt - 1] if ask.attempt <= len(replies) else Reply()


# What is sent


def test_the_key_depends_on_all_that_decides_the_answer_and_on_nothing_else():
    base = request(1)
    others = [
        replace(base, messages=[{"role": "user", "content": "question 2"}]),
        replace(base, messages=[{"role": "system", "content": ""}, *base.messages]),
        replace(base, sampling={**SAMPLING, "temperature": 0.7}),
        replace(base, sampling={**SAMPLING, "max_tokens": 5}),
        replace(base, seed=1),
        replace(base, sample=1),
        replace(base, image=JPEG),
        replace(base, image=JPEG + b"1"),
        replace(base, response_format={"type": "json_object"}),
    ]
    keys = {each.key("model") for each in [base, *others]} | {base.key("other")}
    assert len(keys) == len(others) + 2
    same = replace(base, id="another row", sampling=dict(reversed(SAMPLING.items())))
    assert same.key("model") == base.key("model")
    assert len(base.key("model")) == 64


def test_the_key_is_the_one_that_old_journals_know():
    text = (
        f'{{"image":"{hashlib.sha256(JPEG).hexdigest()}","messages":[{{"content":"\\u4e2d","role":"user"}}],'
        '"model":"model","response_format":null,"sample":2,"sampling":{"min_p":0,"temperature":0.6},"seed":7}'
    )
    sampling = {"temperature": 0.6, "min_p": 0}
    asked = Request("row", "thinking", [{"role": "user", "content": "中"}], sampling, 7, sample=2, image=JPEG)
    assert asked.key("model") == hashlib.sha256(text.encode()).hexdigest()


def test_long_work_is_sent_first_and_what_is_given_stays_in_order(ask):
    short = [replace(request(number), mode="no_thinking") for number in range(4)]
    usual = [request(number) for number in range(4, 12)]
    texts = [f"a long question {number} " * 50 for number in range(4)]
    long = [replace(request(20), id=text, messages=[{"role": "user", "content": text}]) for text in texts]
    requests = [*short, *usual, *long]
    sent = []
    with FaultServer(lambda seen: sent.append(seen.prompt) or Reply()) as server:
        given = ask(requests, server, concurrency=1)
    assert [id_ for id_, _ in given] == [each.id for each in requests]
    assert sent == [each.messages[0]["content"] for each in [*long, *usual, *short]]


def test_pictures_are_read_once_and_sent_in_order():
    pictured = replace(request(1), image=JPEG), replace(request(2), image_sha256="0", mode="judge")
    assert [guess_length(each) for each in pictured] == [0, 0]
    assert cut_waves(bytearray([1] * 8), bytearray(8)) == [bytearray([1] * 8)]


def test_jobs_of_a_run_share_a_fixed_number_of_requests_in_flight(ask, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    monkeypatch.setenv("VLM_DATA_PREP_RUN", f"{identify_process(os.getpid())} {run}")
    hold_six = (
        "import sys; from prep.inference.slots import *; slots = Slots(Path(sys.argv[1]), 8);"
        " print(slots.hold(6), flush=True); input()"
    )
    command = [sys.executable, "-c", hold_six, str(run / "slots-teacher")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen(command, env=python_environment(), **pipes) as other,
        FaultServer(lambda seen: Reply(delay=0.02)) as server,
    ):
        assert other.stdout.readline() == b"True\n"
        ask([request(number) for number in range(20)], server)
        assert server.most_at_once == 2
        other.kill()


def test_a_text_request_as_the_server_sees_it(ask):
    asks = []
    shape = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": {}}}
    with FaultServer(lambda seen: asks.append(seen) or Reply()) as server:
        ask([request(1, response_format=shape)], server)
    assert asks[0].body == {
        "model": "model",
        "messages": [{"role": "user", "content": "question 1"}],
        **SAMPLING,
        "seed": 1001,
        "response_format": shape,
    }


@pytest.mark.parametrize(
    ("image", "media_type"),
    [
        (JPEG, "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"II*\0...", "image/tiff"),
        (b"MM\0*...", "image/tiff"),
        (b"BM......", "image/bmp"),
    ],
)
def test_a_picture_goes_before_the_text_of_the_last_user_message(ask, image, media_type):
    asks = []
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "last"},
    ]
    with FaultServer(lambda seen: asks.append(seen) or Reply()) as server:
        ask([Request("row", "thinking", messages, SAMPLING, 1, image=image)], server)
    *before, last = asks[0].body["messages"]
    assert before == messages[:3]
    url, text = last["content"]
    assert text == {"type": "text", "text": "last"}
    head, data = url["image_url"]["url"].split(",")
    assert head == f"data:{media_type};base64"
    assert base64.b64decode(data) == image


def test_a_picture_of_no_known_format_is_the_row_s_own_fault(ask):
    with FaultServer() as server:
        (one, two) = ask([request(1, image=b"SVG"), request(2)], server)
        assert server.attempts == {"question 2": 1}
    assert one[1].failure is Reason.BAD_REQUEST
    assert two[1].failure is None


def test_text_that_cannot_be_encoded_is_the_row_s_own_fault(ask):
    odd = Request("row", "thinking", [{"role": "user", "content": "\ud800"}], SAMPLING, 1)
    with FaultServer() as server:
        (one, two) = ask([odd, request(2)], server)
    assert one[1].failure is Reason.BAD_REQUEST
    assert two[1].failure is None


# What comes back


def test_responses_come_in_the_order_of_requests_whatever_the_order_of_answers(ask):
    requests = [request(n) for n in range(100)]
    delays = random.Random(1)

    def full() -> bool:
        return server.most_at_once == 8

    with FaultServer(lambda seen: Reply(delay=delays.random() / 50, hold=full)) as server:
        came = ask(requests, server)
        assert set(server.attempts.values()) == {1}
        assert server.most_at_once == 8
    assert [id_ for id_, _ in came] == [each.id for each in requests]
    for each, (_, response) in zip(requests, came, strict=True):
        assert response == Response(answer_to(each.body("model")), None, "stop")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(content="<think>\na\n</think>\n\nb"), Response("<think>\na\n</think>\n\nb", None, "stop")),
        (Reply(content="b", message={"reasoning": "a"}), Response("b", "a", "stop")),
        (Reply(content="b", message={"reasoning_content": "a"}), Response("b", "a", "stop")),
        (Reply(content="", message={"content": None, "reasoning": "a"}), Response("", "a", "stop")),
        (Reply(content="", finish_reason="content_filter"), Response("", None, "content_filter")),
        (Reply(content="中文 \n", chunked=True), Response("中文 \n", None, "stop")),
        (Reply(content="b", headers={"Connection": "close"}), Response("b", None, "stop")),
    ],
)
def test_an_answer_is_read_as_servers_write_it(ask, reply, expected):
    with FaultServer(lambda seen: reply) as server:
        assert [response for _, response in ask([request(1), request(2)], server)] == [expected] * 2
        assert set(server.attempts.values()) == {1}


# Faults

FAULTS = [
    Reply(status=500),
    Reply(status=503),
    Reply(status=502, body={"message": "bad gateway"}),
    Reply(status=429, headers={"Retry-After": "0.01"}),
    Reply(status=429),
    Reply(status=408),
    Reply(kind="reset"),
    Reply(kind="reset", delay=0.01),
    Reply(kind="cut"),
    Reply(kind="cut_json"),
    Reply(kind="garbage"),
    Reply(kind="hang"),
    Reply(body={"choices": []}),
    Reply(body={"error": {"message": "overloaded"}}),
    Reply(content="cut by a shutdown", finish_reason="abort"),
    Reply(content="no end", finish_reason=None, edit=lambda events: events[:-1]),
]


@pytest.mark.parametrize(
    "reply", FAULTS, ids=lambda reply: f"{reply.kind}-{reply.status}-{reply.finish_reason}"
)
def test_each_fault_of_a_first_attempt_costs_one_more_attempt_and_no_more(ask, reply):
    with FaultServer(by_first_tries(reply)) as server:
        came = ask([request(n) for n in range(4)], server, request_timeout=1 if reply.kind == "hang" else 60)
        assert set(server.attempts.values()) == {2}
    assert [response.content for _, response in came] == [
        answer_to(request(n).body("model")) for n in range(len(came))
    ]


def test_a_fifth_of_first_attempts_fails_in_every_way_and_the_outcome_is_that_of_a_quiet_run(ask):
    requests = [request(n) for n in range(400)]

    def plan(seen: Ask) -> Reply:
        number = int(seen.prompt.split()[1])
        if seen.attempt == 1 and number % 5 == 0:
            return FAULTS[number // 5 % len(FAULTS)]
        return Reply(delay=0.002)

    with FaultServer(plan) as server:
        came = ask(requests, server, request_timeout=0.5, concurrency=16)
        assert Counter(server.attempts.values()) == {1: 320, 2: 80}
    with FaultServer() as server:
        assert came == ask(requests, server, journal="quiet")


@pytest.mark.parametrize(
    ("reply", "reason", "detail"),
    [
        (Reply(status=500), Reason.SERVER_ERROR, "HTTP 500: as planned"),
        (Reply(status=429), Reason.RATE_LIMITED, "HTTP 429: as planned"),
        (Reply(kind="reset"), Reason.TRANSPORT, "no connection, or one that ended early"),
        (Reply(kind="hang"), Reason.TIMEOUT, "no answer in 0.3 s"),
        (Reply(kind="cut_json"), Reason.CUT_JSON, "not JSON"),
        (Reply(body={"choices": []}), Reason.MALFORMED, "not a chat completion"),
        (Reply(status=400), Reason.BAD_REQUEST, "HTTP 400: as planned"),
        (Reply(status=422), Reason.BAD_REQUEST, "HTTP 422: as planned"),
    ],
)
def test_a_request_that_always_fails_is_sent_as_often_as_its_reason_deserves(
    ask, reply, reason, detail, tmp_path
):
    def plan(seen: Ask) -> Reply:
        return reply if seen.prompt == "question 3" else Reply()

    with FaultServer(plan) as server:
        came = ask([request(n) for n in range(10)], server, share=0.1, request_timeout=0.3)
        assert server.attempts.pop("question 3") == MAX_ATTEMPTS[reason]
        assert set(server.attempts.values()) == {1}
    failed = came.pop(3)[1]
    assert failed.failure is reason
    assert failed.detail.startswith(detail)
    assert all(response.failure is None for _, response in came)
    assert progress(tmp_path)["failed"] == {reason: 1}
    assert sum(progress(tmp_path)["retries"].values()) == MAX_ATTEMPTS[reason] - 1


def test_a_failed_request_is_asked_again_by_the_next_run_and_no_other_is(ask):
    with FaultServer(lambda seen: Reply(status=400 if seen.prompt == "question 1" else 200)) as server:
        assert ask([request(n) for n in range(3)], server)[1][1].failure is Reason.BAD_REQUEST
        server.plan = lambda seen: Reply()
        assert ask([request(n) for n in range(3)], server)[1][1].failure is None
        assert server.attempts == {"question 0": 1, "question 1": 2, "question 2": 1}


def test_too_many_failures_fail_the_batch_and_keep_what_was_answered(ask):
    requests = [request(n) for n in range(40)]

    def plan(seen: Ask) -> Reply:
        return Reply(status=429) if int(seen.prompt.split()[1]) % 10 == 0 else Reply()

    with FaultServer(plan) as server:
        with pytest.raises(UserError, match="of 40 requests failed, more than max_failed_share") as failure:
            ask(requests, server, share=0.05)
        assert "rate_limited 3 (such as: HTTP 429: as planned)" in str(failure.value)
        assert "only what is missing is asked" in str(failure.value)
        server.plan = lambda seen: Reply()
        answered = {prompt for prompt, count in server.finished.items() if count}
        assert len(ask(requests, server)) == 40
        assert all(server.attempts[prompt] == 1 for prompt in answered)


def test_failures_of_the_rows_own_do_not_count_as_failed_share(ask):
    with FaultServer(lambda seen: Reply(status=400)) as server:
        came = ask([request(n) for n in range(20)], server)
        assert set(server.attempts.values()) == {1}
    assert {response.failure for _, response in came} == {Reason.BAD_REQUEST}


@pytest.mark.parametrize(("status", "word"), [(401, "api_key_env"), (403, "api_key_env"), (404, "see model")])
def test_a_wrong_key_or_model_fails_the_run_at_once(ask, status, word):
    with FaultServer(lambda seen: Reply(status=status, delay=0.01)) as server:
        with pytest.raises(UserError, match=word):
            ask([request(n) for n in range(100)], server)
        assert server.attempts.total() <= 8


def test_the_key_is_shown(ask):
    with FaultServer(key="secret") as server:
        assert ask([request(1)], endpoints=Endpoints(server, key="secret"))[0][1].failure is None
        with pytest.raises(UserError, match="refuses the key"):
            ask([request(2)], endpoints=Endpoints(server, key="other"))


def test_retry_after_rests_the_whole_endpoint(ask):
    def plan(seen: Ask) -> Reply:
        if seen.prompt == "question 4" and seen.attempt == 1:
            return Reply(status=429, headers={"Retry-After": "0.6"})
        return Reply(delay=0.01)

    with FaultServer(plan) as server:
        ask([request(n) for n in range(30)], server, concurrency=4)
        assert server.attempts["question 4"] == 2
        gaps = [after - before for before, after in zip(server.arrivals, server.arrivals[1:], strict=False)]
    assert max(gaps) > 0.55


def test_a_server_that_refuses_everything_is_not_stormed_and_given_up(ask, monkeypatch):
    monkeypatch.setattr(endpoint_pool, "GIVE_UP_AFTER_S", 0.5)
    monkeypatch.setattr(endpoint_pool, "FIRST_COOLDOWN_S", 0.1)
    monkeypatch.setattr(endpoint_pool, "LONGEST_COOLDOWN_S", 0.2)
    with FaultServer(lambda seen: Reply(status=503)) as server:
        with pytest.raises(UserError, match=r"no request has succeeded for .* \(HTTP 503: as planned"):
            ask([request(n) for n in range(1000)], server, concurrency=64)
        # 64, then 32, 16, … at once, with rests between: not each of 64 every few milliseconds.
        assert server.attempts.total() < 64 * 2 + 20


def test_after_a_time_of_refusal_all_slots_are_used_again(ask, monkeypatch):
    monkeypatch.setattr(endpoint_pool, "GIVE_UP_AFTER_S", 600.0)

    def plan(seen: Ask) -> Reply:
        if len(server.arrivals) <= 50:
            return Reply(status=503)
        if len(server.arrivals) == 700:
            server.most_at_once = 0
        late = len(server.arrivals) >= 700
        return Reply(hold=lambda: server.most_at_once == 32) if late else Reply()

    with FaultServer(plan) as server:
        came = ask([request(n) for n in range(800)], server, concurrency=32, request_timeout=60)
    assert all(response.failure is None for _, response in came)


def test_workers_that_were_stood_in_for_and_end_at_once_leave_as_many_as_there_are_slots(ask):
    """Four wait to be sent again, four others go in their place; then all of them are there, and 32 end."""

    def plan(seen: Ask) -> Reply:
        if number(seen) < 4 and seen.attempt == 1:
            return Reply(status=503)
        if server.attempts.total() <= 36:
            return Reply(delay=0.2, hold=lambda: server.attempts.total() >= 36)
        server.all_in = server.all_in or server.inside == 32
        return Reply(hold=lambda: server.all_in)

    with FaultServer(plan) as server:
        server.all_in = False
        came = ask([request(n) for n in range(120)], server, concurrency=32, request_timeout=10)
    assert all(response.failure is None for _, response in came)


# What a failure leaves: all that was sent is let finish, and journaled

REFUSALS = [
    Reply(status=401),
    Reply(status=402),
    Reply(status=403),
    Reply(status=404),
    Reply(status=405),
    Reply(status=302, headers={"Location": "https://127.0.0.1/blocked"}),
    Reply(body={"error": {"message": "flagged", "code": 403}}),
]
LINES = r"refuses the key|wants to be paid|does not serve the model|sends us on to"


def number(seen: Ask) -> int:
    return int(seen.prompt.split()[1])


def is_plain(seen: Ask) -> bool:
    """Whether a request is the plain question that shows whether a server answers anything."""
    return seen.prompt == client_module.HEALTH_CHECK.messages[0]["content"]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda reply: reply.status)
def test_a_refusal_before_any_answer_waits_for_those_on_their_way(ask, tmp_path, refusal):
    """A gateway refuses a flagged prompt before the model has answered any other: it is that row's."""
    requests = [request(n) for n in range(40)]
    with FaultServer(lambda seen: refusal if number(seen) == 0 else Reply(delay=0.2)) as server:
        came = ask(requests, server)
        assert [n for n, (_, response) in enumerate(came) if response.failure] == [0]
        assert came[0][1].failure is Reason.BAD_REQUEST
        assert {server.attempts[f"question {n}"] for n in range(40)} == {1}


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda reply: reply.status)
def test_a_refusal_of_all_that_is_on_its_way_ends_the_run(ask, tmp_path, refusal):
    slow = replace(refusal, delay=0.2)
    with FaultServer(lambda seen: refusal if number(seen) == 0 else slow) as server:
        with pytest.raises(UserError, match=LINES):
            ask([request(n) for n in range(40)], server)
        assert server.attempts == {f"question {n}": 1 for n in range(8)}
        assert server.unfinished == 0
        # The next run, with the right key, asks all of them and rejects none.
        server.plan = lambda seen: Reply()
        assert not any(response.failure for _, response in ask([request(n) for n in range(40)], server))


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda reply: reply.status)
@pytest.mark.parametrize("flagged", [{30}, {20, 30, 31, 32}, {39}, {28, *range(30, 40)}])
def test_a_refusal_once_requests_are_answered_is_that_of_the_row(ask, refusal, flagged):
    plain = []

    def plan(seen: Ask) -> Reply:
        if is_plain(seen):
            plain.append(number(seen))
            return Reply()
        return refusal if number(seen) in flagged else Reply()

    with FaultServer(plan) as server:
        came = ask([request(n) for n in range(40)], server, concurrency=1)
    assert {n for n, (_, response) in enumerate(came) if response.failure} == flagged
    assert {response.failure for _, response in came} == {None, Reason.BAD_REQUEST}
    # Only where no answer follows the last refusal it might be the key.
    assert len(plain) == (39 in flagged)
    assert server.attempts.total() == 40 + len(plain)


def test_more_refused_rows_than_a_wrong_key_explains_are_the_rows(ask, tmp_path):
    flagged = range(10, 190)

    def plan(seen: Ask) -> Reply:
        return Reply(status=403 if number(seen) in flagged else 200)

    with FaultServer(plan) as server:
        for _ in range(2):
            came = ask([request(n) for n in range(200)], server)
            assert [n for n, (_, response) in enumerate(came) if response.failure] == list(flagged)
        # A probe for each fifty, the first of the second run, and at each end.
        assert server.attempts.total() <= 20 + 2 * (180 + 180 // 50 + 2)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda reply: reply.status)
@pytest.mark.parametrize("rows", [25, 400])
def test_a_key_revoked_midway_ends_the_run_and_rejects_nothing(ask, tmp_path, refusal, rows):
    requests = [request(n) for n in range(rows)]
    with FaultServer(lambda seen: Reply() if len(server.arrivals) <= 20 else refusal) as server:
        with pytest.raises(UserError, match=LINES):
            ask(requests, server, concurrency=4)
        assert server.attempts.total() <= 20 + client_module.MAX_REFUSALS + 2 * 4
        assert len(journaled_prompts(tmp_path / "journal")) == 20
        server.plan = lambda seen: Reply()
        assert all(response.failure is None for _, response in ask(requests, server))


def test_one_endpoint_that_refuses_what_the_other_answers_ends_the_run(ask, tmp_path):
    with (
        FaultServer(lambda seen: Reply(delay=0.02)) as good,
        FaultServer(lambda seen: Reply(status=404, delay=0.1)) as bad,
    ):
        with pytest.raises(UserError, match=f"{bad.base_url}/chat/completions does not serve the model"):
            ask([request(n) for n in range(400)], good, bad)
        assert good.unfinished == 0
        assert journaled_prompts(tmp_path / "journal") == set(good.finished)
        assert bad.attempts.total() <= 4 + 4


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(kind="cut_json")])
def test_too_many_failures_let_finish_what_is_on_its_way(ask, tmp_path, reply):
    """And nothing is sent after it, be it another try or a larger budget."""

    def plan(seen: Ask) -> Reply:
        return {0: reply, 1: Reply(status=500, delay=1.0)}.get(number(seen), Reply(delay=1.0))

    requests = [replace(request(n), sampling={**SAMPLING, "max_tokens": 3}) for n in range(6)]
    with FaultServer(plan) as server:
        with pytest.raises(UserError, match=r"1 of 6 requests failed, more than max_failed_share"):
            ask(requests, server, longer_budget=2)
        assert server.attempts == {f"question {n}": 1 if n else 4 for n in range(6)}
        assert server.unfinished == 0
        assert journaled_prompts(tmp_path / "journal") == {f"question {n}" for n in range(2, 6)}
    assert progress(tmp_path)["state"] == "failed"


def test_after_a_failure_no_new_request_is_sent(ask, tmp_path):
    def plan(seen: Ask) -> Reply:
        return Reply(status=429) if number(seen) == 0 else Reply(delay=0.05)

    with FaultServer(plan) as server:
        with pytest.raises(UserError, match=r"1 of 300 requests failed, more than max_failed_share"):
            ask([request(n) for n in range(300)], server, concurrency=4)
        assert server.attempts["question 0"] == MAX_ATTEMPTS[Reason.RATE_LIMITED]
        assert server.attempts.total() < 200
        assert server.unfinished == 0
        assert journaled_prompts(tmp_path / "journal") == set(server.attempts) - {"question 0"}


def test_refusing_everything_lets_finish_what_is_on_its_way(ask, tmp_path, caplog):
    def plan(seen: Ask) -> Reply:
        return Reply(hold=lambda: "let finish" in caplog.text) if number(seen) < 3 else Reply(status=400)

    with FaultServer(plan) as server:
        with pytest.raises(UserError, match="refused the first 50 requests"):
            ask([request(n) for n in range(200)], server)
        assert server.unfinished == 0
        assert journaled_prompts(tmp_path / "journal") == {f"question {n}" for n in range(3)}
        # Now something was answered: the rows are at fault.
        came = ask([request(n) for n in range(200)], server)
        assert sum(response.failure is Reason.BAD_REQUEST for _, response in came) == 197


def test_a_server_that_is_lost_lets_finish_what_the_others_do(ask, tmp_path):
    class Lost(Endpoints):
        async def ensure_endpoints(self):
            if self.calls:
                raise UserError("teacher: it died too often")
            return await super().ensure_endpoints()

    def plan(seen: Ask) -> Reply:
        return Reply(kind="reset", delay=0.01) if number(seen) == 0 else Reply(delay=0.2)

    with FaultServer(plan) as server:
        with pytest.raises(UserError, match="it died too often"):
            ask([request(n) for n in range(100)], endpoints=Lost(server), concurrency=4)
        assert server.unfinished == 0
        assert journaled_prompts(tmp_path / "journal") == {f"question {n}" for n in (1, 2, 3)}


# Whose fault it is

ALWAYS = [
    Reply(status=500),
    Reply(kind="reset"),
    Reply(kind="cut_json"),
    Reply(body={"choices": []}),
    Reply(body={"error": {"message": "no", "code": 500}}),
    Reply(content="", finish_reason="error"),
]


@pytest.mark.parametrize("reply", ALWAYS, ids=lambda reply: f"{reply.kind}-{reply.status}-{reply.body}")
def test_rows_that_fail_while_others_are_answered_are_rejected_and_not_held_against_the_server(
    ask, tmp_path, reply
):
    bad, reply = {3, 4, 5}, replace(reply, delay=0.1)
    requests = [request(n) for n in range(800 if reply.kind == "reset" else 400)]  # as long as they are tried
    with FaultServer(lambda seen: reply if number(seen) in bad else Reply(delay=0.03)) as server:
        came = ask(requests, server, share=0.0)
        assert {n for n, (_, response) in enumerate(came) if response.failure} == bad
        (reason,) = {came[n][1].failure for n in bad}
        assert all(server.attempts[f"question {n}"] == MAX_ATTEMPTS[reason] for n in bad)
    assert progress(tmp_path)["failed"] == {reason: 3}


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("headers", [{"Retry-After": "0.05"}, {}], ids=["when", "bare"])
def test_rows_that_an_overloaded_server_puts_off_are_not_rejected_as_their_own_fault(ask, status, headers):
    busy = Reply(status=status, headers=headers, delay=0.02)
    with FaultServer(lambda seen: busy if number(seen) in {3, 4, 5} else Reply(delay=0.03)) as server:
        with pytest.raises(UserError, match=r"1 of 400 requests failed, .*rate_limited 1 .*Run again"):
            ask([request(n) for n in range(400)], server, share=0.0)
        assert max(server.attempts.values()) == MAX_ATTEMPTS[Reason.RATE_LIMITED]


@pytest.mark.parametrize("stall", [None, 5])
def test_an_error_of_code_400_in_an_answer_is_the_row_s_own(ask, stall):
    error = {"error": {"message": "no such image", "type": "BadRequestError", "code": 400}}
    streamed = [b"data: %b\n\n" % json.dumps(error).encode(), b"data: [DONE]\n\n"]
    bad = Reply(edit=lambda events: streamed) if stall else Reply(body=error)
    with FaultServer(lambda seen: bad if number(seen) == 3 else Reply()) as server:
        came = ask([request(n) for n in range(9)], server, stall_timeout=stall)
        assert set(server.attempts.values()) == {1}
    assert came[3][1] == Response(
        "", None, None, Reason.BAD_REQUEST, "HTTP 200 with error 400: no such image"
    )


@pytest.mark.parametrize("reply", [Reply(kind="hang"), Reply(status=429, headers={"Retry-After": "0.001"})])
def test_time_and_rate_limits_are_held_against_the_server_whoever_meets_them(ask, reply):
    with (
        FaultServer(lambda seen: reply if number(seen) == 3 else Reply(delay=0.01)) as server,
        pytest.raises(UserError, match=r"1 of 300 requests failed, more than max_failed_share"),
    ):
        ask([request(n) for n in range(300)], server, request_timeout=0.05)


@pytest.mark.parametrize(("bad", "share"), [(1, 0.0), (60, 0.0), (60, 0.1)])
def test_a_rerun_in_which_only_failing_rows_are_left_says_so_at_once(ask, monkeypatch, bad, share):
    """With what it asks for, they are rejected."""
    monkeypatch.setattr(endpoint_pool, "GIVE_UP_AFTER_S", 600.0)
    monkeypatch.setattr(endpoint_pool, "SUSPECT_AFTER_S", 0.2)
    requests = [request(n) for n in range(200)]
    with FaultServer(lambda seen: Reply(status=500 if number(seen) < bad else 200)) as server:
        ask(requests[bad:], server)
        with pytest.raises(
            UserError, match=r"The server answers others.*with max_failed_share [\d.]+"
        ) as failure:
            ask(requests, server, share=share)
        enough = float(re.search(r"share ([\d.]+) they are rejected", str(failure.value))[1])
        assert enough == bad / 200
        came = ask(requests, server, share=enough)
    assert [n for n, (_, response) in enumerate(came) if response.failure] == list(range(bad))


def test_before_a_run_with_failing_rows_alone_is_given_up_the_server_may_show_that_it_lives(ask, monkeypatch):
    monkeypatch.setattr(endpoint_pool, "GIVE_UP_AFTER_S", 0.5)
    requests = [request(n) for n in range(200)]
    with FaultServer(lambda seen: Reply(status=500 if number(seen) < 60 else 200)) as server:
        ask(requests[60:], server)
        with pytest.raises(UserError, match=r"more than max_failed_share"):
            ask(requests, server, share=0.1)


def test_a_server_that_fails_all_it_answered_before_is_not_cleared_of_it(ask, monkeypatch):
    monkeypatch.setattr(endpoint_pool, "GIVE_UP_AFTER_S", 0.5)
    with FaultServer() as server:
        ask([request(n) for n in range(20)], server)
        server.plan = lambda seen: Reply(status=500)
        with pytest.raises(UserError, match=r"no request has succeeded for .*mend the server"):
            ask([request(n) for n in range(100)], server, share=0.3)


def test_a_request_that_timed_out_is_tried_at_another_endpoint_first(ask):
    with FaultServer(lambda seen: Reply(kind="hang")) as hanging, FaultServer() as good:
        came = ask([request(n) for n in range(8)], hanging, good, request_timeout=0.2)
        assert all(response.failure is None for _, response in came)
        assert set(hanging.attempts.values()) == {1}
        assert set(good.attempts.values()) == {1}


# Flow


def test_requests_are_drawn_as_they_are_sent_and_never_more_are_on_their_way_than_allowed(tmp_path):
    drawn = Counter()
    most_ahead = 0

    def requests(with_pictures):
        nonlocal most_ahead
        drawn["passes"] += 1
        for n in range(200):
            if drawn["passes"] == 2:
                drawn["asked"] += 1
                most_ahead = max(most_ahead, drawn["asked"] - server.finished.total())
            yield request(n)

    def plan(seen: Ask) -> Reply:
        return Reply(delay=0.003, hold=lambda: server.most_at_once == 8)

    with FaultServer(plan) as server, Journal(tmp_path) as journal:
        client = Client(CONFIG, Endpoints(server), Answers(journal, "model", 8192), tmp_path / "p.json")
        assert sum(1 for _ in client.ask(requests, 0.0)) == 200
        assert server.most_at_once == 8
        assert server.connections == 8
    assert most_ahead <= 8 + 1


def test_pictures_are_read_once_and_not_at_all_where_nothing_is_missing(tmp_path):
    passes = []

    def requests(with_pictures):
        passes.append(with_pictures)
        picture = b"\xff\xd8\xff picture"
        digest = hashlib.sha256(picture).hexdigest()
        yield replace(request(1), image=picture if with_pictures else None, image_sha256=digest)

    with FaultServer() as server, Journal(tmp_path / "journal") as journal:
        client = Client(CONFIG, Endpoints(server), Answers(journal, "model", 8192), tmp_path / "p.json")
        first = list(client.ask(requests, 0.0))
        assert passes == [False, True, False]
        assert list(client.ask(requests, 0.0)) == first
        assert passes == [False, True, False, False, False]


def test_endpoints_share_the_load_and_one_limit(ask):
    def plan(seen: Ask) -> Reply:
        return Reply(delay=0.01, hold=lambda: one.most_at_once == two.most_at_once == 5)

    with FaultServer(plan) as one, FaultServer(plan) as two:
        ask([request(n) for n in range(200)], one, two, concurrency=10)
        assert one.most_at_once == two.most_at_once == 5
        # Neither is much faster, but on a loaded machine one may be served some more.
        assert min(one.attempts.total(), two.attempts.total()) >= 60
        assert one.attempts.total() + two.attempts.total() == 200


def test_a_dead_endpoint_s_share_goes_to_the_living(ask):
    with FaultServer() as dead:
        gone = Endpoint(dead.base_url)
    with FaultServer(lambda seen: Reply(delay=0.002)) as living:
        endpoints = Endpoints(living)
        endpoints.given.append(gone)
        came = ask([request(n) for n in range(300)], endpoints=endpoints)
        assert all(response.failure is None for _, response in came)
        assert set(living.attempts.values()) == {1}


def test_a_server_that_dies_is_renewed_and_what_was_on_its_way_is_asked_again(ask):
    class Restarting(Endpoints):
        async def ensure_endpoints(self):
            if self.calls:
                await asyncio.sleep(0.1)  # while it starts, nothing is sent
                self.given = [Endpoint(second.base_url)]
            return await super().ensure_endpoints()

    def dies(seen: Ask) -> Reply:
        return Reply(kind="reset") if len(first.arrivals) > 20 else Reply(delay=0.003)

    with FaultServer(dies) as first, FaultServer(lambda seen: Reply(delay=0.003)) as second:
        endpoints = Restarting(first)
        requests = [request(n) for n in range(100)]
        came = ask(requests, endpoints=endpoints)
        assert all(response.failure is None for _, response in came)
        assert endpoints.calls == 2
        assert first.finished.total() + second.finished.total() == 100
        assert len(first.arrivals) <= 20 + 8


def test_the_failure_of_the_server_is_that_of_the_run(ask):
    class Broken:
        async def ensure_endpoints(self):
            raise UserError("teacher: it never got ready")

    with pytest.raises(UserError, match="teacher: it never got ready"):
        ask([request(1)], endpoints=Broken())


def test_with_a_real_server_context_of_external_servers(ask, tmp_path):
    with FaultServer(lambda seen: Reply(delay=0.002)) as one, FaultServer() as gone, FaultServer() as two:
        urls = [one.base_url, gone.base_url, two.base_url]
        gone.stop()
        with Server(replace(CONFIG, base_urls=urls), tmp_path) as server:
            came = ask([request(n) for n in range(50)], endpoints=server)
        assert all(response.failure is None for _, response in came)
        assert set((one.attempts + two.attempts).values()) == {1}


def test_time_in_our_own_queue_is_not_held_against_a_request(ask):
    with FaultServer(lambda seen: Reply(delay=0.1)) as server:
        came = ask([request(n) for n in range(6)], server, concurrency=1, request_timeout=0.3)
        assert set(server.attempts.values()) == {1}
    assert all(response.failure is None for _, response in came)


@pytest.mark.parametrize("first", [0, 60, 188])
def test_rows_that_a_server_never_answers_do_not_pass_for_a_dead_server(ask, monkeypatch, first):
    """More in a row than there are slots, at the begin, in between and at the end; then alone."""
    monkeypatch.setattr(endpoint_pool, "GIVE_UP_AFTER_S", 1.0)
    never = range(first, first + 12)

    def plan(seen: Ask) -> Reply:
        return Reply(status=500) if int(seen.prompt.split()[1]) in never else Reply()

    requests = [request(n) for n in range(200)]
    with FaultServer(plan) as server:
        for times in (1, 2):
            came = ask(requests, server, share=0.06, concurrency=8)
            assert [n for n, (_, response) in enumerate(came) if response.failure] == list(never)
            tries = {n: 4 * times if n in never else 1 for n in range(200)}
            assert server.attempts == {f"question {n}": count for n, count in tries.items()}


def test_while_requests_wait_for_their_next_try_all_others_are_sent(ask, monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_BACKOFF_S", 4.0)
    monkeypatch.setattr(client_module, "LONGEST_BACKOFF_S", 4.0)
    seen = []

    def plan(asked: Ask) -> Reply:
        seen.append((asked.prompt, asked.attempt))
        return Reply(status=500) if asked.attempt == 1 and asked.prompt in first else Reply()

    first = {f"question {n}" for n in range(5)}
    with FaultServer(plan) as server:
        ask([request(n) for n in range(100)], server, concurrency=5)
    assert {prompt for prompt, _ in seen} == {f"question {n}" for n in range(100)}
    assert [attempt for _, attempt in seen] == [1] * 100 + [2] * 5


def test_a_request_that_timed_out_is_taken_back_from_the_server(ask):
    with FaultServer(by_first_tries(Reply(kind="hang")), slots=1) as server:
        assert ask([request(1)], server, request_timeout=0.1)[0][1].failure is None
        assert server.unfinished == 1


def test_a_slot_that_gets_free_is_taken_whatever_the_others_do(ask):
    """No request leaves the server before all slots are taken again; make bench measures how soon that is."""

    def full() -> bool:
        return server.inside == 32 or server.attempts.total() == 32 * 12

    with FaultServer(lambda seen: Reply(hold=full)) as server:
        came = ask([request(n) for n in range(32 * 12)], server, concurrency=32, request_timeout=60)
        assert set(server.attempts.values()) == {1}
    assert all(response.failure is None for _, response in came)


# The journal


def test_a_finish_reason_of_another_name_is_read_from_a_journal_too(ask, tmp_path):
    with Journal(tmp_path / "journal") as journal:
        answer = {"content": "a", "reasoning": None, "finish_reason": "STOP", "tokens": [1, 1]}
        Answers(journal, "model", 8192).store(request(1), answer)
    assert ask([request(1)])[0][1] == Response("a", None, "stop")


def test_what_the_journal_holds_is_not_asked_and_no_server_is_started(ask, tmp_path):
    requests = [request(n) for n in range(20)]
    with FaultServer() as server:
        endpoints = Endpoints(server)
        first = ask(requests[:10], endpoints=endpoints)
        assert progress(tmp_path)["from_journal"] == 0
        every = ask(requests, endpoints=endpoints)
        assert set(server.attempts.values()) == {1}
        assert progress(tmp_path)["from_journal"] == 10
    endpoints.calls = 0
    assert ask(requests, endpoints=endpoints) == every
    assert ask(list(reversed(requests)), endpoints=endpoints) == every[::-1]
    assert every[:10] == first
    assert endpoints.calls == 0
    assert ask([], endpoints=endpoints) == []


def test_the_same_request_of_two_rows_is_asked_once(ask):
    requests = [request(1), replace(request(1), id="another"), request(2)] * 5
    with FaultServer(lambda seen: Reply(delay=0.01)) as server:
        came = ask(requests, server)
        assert set(server.attempts.values()) == {1}
    assert [id_ for id_, _ in came] == [each.id for each in requests]
    assert len({response.content for _, response in came}) == 2


def test_an_answer_cut_by_the_context_is_asked_again_only_in_a_longer_one(ask):
    def plan(seen: Ask) -> Reply:
        return Reply(content="cut here", finish_reason="length" if seen.attempt == 1 else "stop")

    with FaultServer(plan) as server:
        for length, finish, attempts in [
            (4096, "length", 1),
            (4096, "length", 1),
            (2048, "length", 1),
            (8192, "stop", 2),
            (16384, "stop", 2),
            (4096, "stop", 2),
        ]:
            ((_, response),) = ask([request(1)], server, max_model_len=length)
            assert (response.finish_reason, server.attempts["question 1"]) == (finish, attempts)


def test_an_answer_cut_again_counts_for_the_longer_context(ask):
    with FaultServer(lambda seen: Reply(finish_reason="length")) as server:
        for length, attempts in [(2048, 1), (4096, 2), (4096, 2), (2048, 2)]:
            ((_, response),) = ask([request(1)], server, max_model_len=length)
            assert (response.finish_reason, server.attempts["question 1"]) == ("length", attempts)


def test_an_answer_cut_by_its_own_budget_is_final(ask):
    short = replace(request(1), sampling={**SAMPLING, "max_tokens": 2})
    with FaultServer(lambda seen: Reply(content="two words", finish_reason="length")) as server:
        for length in (4096, 8192):
            ((_, response),) = ask([short], server, max_model_len=length)
            assert response.finish_reason == "length"
        assert server.attempts == {"question 1": 1}


def test_a_budget_that_the_context_has_no_room_for_gets_what_there_is(ask, tmp_path):
    words = "one two three four five six seven eight nine ten"
    wide = replace(request(1), sampling={**SAMPLING, "max_tokens": 50})
    with FaultServer(lambda seen: Reply(content=words), context=40) as server:
        assert ask([wide], server, max_model_len=40)[0][1] == Response(words, None, "stop")
        assert server.attempts == {"question 1": 2}
        assert progress(tmp_path)["retries"] == {"length": 1}
    with FaultServer(lambda seen: Reply(content=words), context=7) as server:
        ((_, response),) = ask([wide], server, max_model_len=7, journal="short")
        assert (response.content, response.finish_reason) == ("one two three four five ", "length")
        # Cut by the context: a longer one is asked again.
        server.context = 100
        assert ask([wide], server, max_model_len=100, journal="short")[0][1].finish_reason == "stop"


@pytest.mark.parametrize("budget", [None, 5])
def test_a_prompt_that_fills_the_context_is_the_row_s_own_and_named_length(ask, budget):
    long = Request("row", "thinking", [{"role": "user", "content": "word " * 20}], SAMPLING, 1)
    long = long.with_budget(budget) if budget else long
    with FaultServer(context=10) as server:
        ((_, long_one), (_, other)) = ask([long, request(2)], server)
        assert server.attempts[long.messages[0]["content"]] == (2 if budget else 1)
    assert (long_one.failure, other.failure) == (Reason.LENGTH, None)
    assert "maximum context length is 10 tokens" in long_one.detail


def test_an_answer_cut_by_its_budget_is_asked_once_more_with_a_larger_one(ask, tmp_path):
    budgets = []

    def plan(seen: Ask) -> Reply:
        budgets.append(seen.body["max_tokens"])
        return Reply(content="one two three four five")

    short = replace(request(1), sampling={**SAMPLING, "max_tokens": 3})
    asked = [short, short, replace(short, id="another")]
    with FaultServer(plan) as server:
        # Where no larger budget is wanted, the cut one counts, before and after.
        for longer, said, finish, sent in [
            (None, "one two three ", "length", [3]),
            (1.5, "one two three four ", "length", [3, 4]),
            (2, "one two three four five", "stop", [3, 4, 6]),
            (2, "one two three four five", "stop", [3, 4, 6]),
            (1.5, "one two three four ", "length", [3, 4, 6]),
            (None, "one two three ", "length", [3, 4, 6]),
        ]:
            came = ask(asked, server, longer_budget=longer)
            assert [response for _, response in came] == [Response(said, None, finish)] * 3
            assert budgets == sent
        fresh = ask(asked, server, longer_budget=2, journal="fresh")
        assert budgets == [3, 4, 6, 3, 6]
        assert fresh == ask(asked, server, longer_budget=2)
        assert progress(tmp_path)["retries"] == {}


def test_a_larger_budget_stays_within_the_context(ask):
    short = replace(request(1), sampling={**SAMPLING, "max_tokens": 3})
    with FaultServer(lambda seen: Reply(content="one two three four five"), context=6) as server:
        assert ask([short], server, longer_budget=4, max_model_len=6)[0][1].content == "one two three four "
        assert ask([short], server, longer_budget=4, max_model_len=5, journal="none")[0][1].content == (
            "one two three "
        )
        assert server.attempts == {"question 1": 3}


# Streams


def test_how_a_request_travels_changes_nothing_but_the_wire(ask):
    requests = [request(n) for n in range(20)]
    streamed = []
    with FaultServer(lambda seen: streamed.append(seen.body.get("stream")) or Reply()) as server:
        came = ask(requests, server, stall_timeout=5, concurrency=3)
        assert came == ask(requests, server, concurrency=16, request_timeout=9, journal="other")
        assert came == ask(requests, server, stall_timeout=1)
    assert streamed == [True] * 20 + [None] * 20


def test_a_fifth_of_first_streams_fails_in_every_way_and_nothing_is_lost(ask):
    faults = [*FAULTS, Reply(kind="broken"), Reply(stall=2)]

    def plan(seen: Ask) -> Reply:
        number = int(seen.prompt.split()[1])
        return faults[number // 5 % len(faults)] if seen.attempt == 1 and number % 5 == 0 else Reply()

    with FaultServer(plan) as server:
        came = ask(
            [request(n) for n in range(200)], server, request_timeout=0.5, stall_timeout=0.2, concurrency=16
        )
        assert Counter(server.attempts.values()) == {1: 160, 2: 40}
    assert [response.content for _, response in came] == [
        answer_to(request(n).body("model")) for n in range(len(came))
    ]


def test_a_stream_without_a_finish_reason_is_asked_for_once_and_never_again(ask):
    with FaultServer(lambda seen: Reply(content="a", finish_reason=None)) as server:
        for _ in range(2):
            assert ask([request(1)], server, stall_timeout=5)[0][1] == Response("a", None, "missing")
        assert server.attempts == {"question 1": 1}


REPEATED = "A thought. " + "Wait, is it? " * 200


def test_repetition_is_stopped_named_and_never_mixed_up_with_whole_answers(ask, tmp_path):
    def plan(seen: Ask) -> Reply:
        if seen.prompt != "question 1":
            return Reply()
        # The first answer never ends: only a client that stops it gets on.
        return Reply(content=REPEATED, stall=100 if seen.attempt == 1 else None)

    requests = [request(n) for n in range(3)]
    stopped = Response("", None, None, Reason.REPETITION, "repeated itself for 128 characters")
    with FaultServer(plan) as server:
        first = ask(requests, server, window=128)
        assert [response.failure for _, response in first] == [None, Reason.REPETITION, None]
        assert first[1][1] == stopped
        assert progress(tmp_path)["finish_reasons"] == {"stop": 2, "repetition": 1}
        # Kept for the next run, but only where the same is looked for.
        assert ask(requests, server, window=128) == first
        assert server.attempts["question 1"] == 1
        assert ask(requests, server)[1][1] == Response(REPEATED, None, "stop")
        assert server.attempts == {"question 0": 1, "question 1": 2, "question 2": 1}
        # A whole answer is held to what is looked for, as if it had been stopped.
        assert ask(requests, server, window=128) == first
        assert ask(requests, server, window=100_000)[1][1].failure is None
        assert server.attempts["question 1"] == 2


def test_told_to_stop_it_stops_in_order(tmp_path):
    with FaultServer(lambda seen: Reply(delay=0.05)) as server:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), server.base_url]
        running = subprocess.Popen(command, env=python_environment(), stderr=subprocess.PIPE, text=True)
        while server.finished.total() < 20:
            time.sleep(0.002)
        running.terminate()
        said = running.communicate(timeout=20)[1]
        assert running.returncode == 128 + signal.SIGTERM
        assert "terminated" in said
        assert "Traceback" not in said
        assert len(journaled_prompts(tmp_path / "journal")) >= 20
        assert server.attempts.total() < 300
    assert json.loads((tmp_path / "progress.json").read_text())["state"] == "failed"


def test_told_to_stop_it_does_not_let_finish_what_is_on_its_way(tmp_path):
    def plan(seen: Ask) -> Reply:
        if number(seen) < 3:
            return Reply(kind="hang")
        return Reply() if number(seen) < 20 else Reply(status=403)

    with FaultServer(plan) as server:
        program = PROGRAM.replace("concurrency=16", "concurrency=16, request_timeout=300")
        command = [sys.executable, "-c", program, str(tmp_path), server.base_url]
        running = subprocess.Popen(command, env=python_environment(), stderr=subprocess.PIPE, text=True)
        said = ""
        while "requests are let finish first" not in said:
            said += (line := running.stderr.readline())
            assert line, said
        running.terminate()
        assert "Traceback" not in running.communicate(timeout=20)[1]
        assert running.returncode == 128 + signal.SIGTERM
        assert {server.attempts[f"question {n}"] for n in range(20)} == {1}


# Progress


def test_progress_says_how_far_it_is_while_it_runs_and_in_the_end(ask, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(progress_module, "WRITE_INTERVAL_S", 0.02)
    monkeypatch.setattr(progress_module, "LOG_INTERVAL_S", 0.05)
    caplog.set_level(logging.INFO)
    seen_running = []

    def plan(seen: Ask) -> Reply:
        if (tmp_path / "stats" / "000.json").exists():
            seen_running.append(progress(tmp_path))
        return Reply(status=500) if seen.attempt == 1 and seen.prompt == "question 5" else Reply(delay=0.02)

    with FaultServer(plan) as server:
        ask([request(n) for n in range(10)], server)
        seen_running.clear()
        ask([request(n) for n in range(100)], server)
    running, done = seen_running[-1], progress(tmp_path)
    assert running["state"] == "running"
    assert 0 < running["answered"] < 90
    assert 0 < running["in_flight"] <= 8
    assert running["asked"] == running["answered"] + running["in_flight"]
    assert running["eta_seconds"] is not None
    assert running["requests_per_second"] > 0
    assert done["state"] == "done"
    assert (done["total"], done["from_journal"], done["answered"], done["in_flight"]) == (100, 10, 90, 0)
    assert done["finish_reasons"] == {"stop": 90}
    assert done["modes"] == {
        "thinking": {
            "answers": 100,
            "prompt_tokens": 200,
            "completion_tokens": 100 * len(answer_to({}).split()),
        }
    }
    assert done["prompt_tokens"] == 180
    assert done["completion_tokens"] == 90 * len(answer_to({}).split())
    assert (done["server"], done["model"]) == ("teacher", "model")
    assert "done: 90 of 100 answered, 10 from the journal; 0 in flight" in caplog.text
    assert "running: " in caplog.text
