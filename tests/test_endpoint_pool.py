"""How fast an endpoint is asked: slower while most fails, back to full speed when it works again."""

import pytest

from prep.inference import endpoint_pool
from prep.inference.endpoint_pool import GIVE_UP_AFTER_S, PooledEndpoint
from prep.inference.errors import Refusal, RequestError
from prep.records.reason import Reason
from prep.serving.endpoint import Endpoint

BUSY = RequestError(Reason.SERVER_ERROR, "HTTP 503")
ENDPOINT = Endpoint("http://127.0.0.1:1/v1")


@pytest.fixture
def line(monkeypatch):
    monkeypatch.setattr(endpoint_pool.random, "uniform", lambda low, high: 1.0)
    return PooledEndpoint(ENDPOINT, 64, 0.0)


def send(line: PooledEndpoint, count: int) -> None:
    line.in_flight += count


def test_a_line_is_free_up_to_its_limit(line):
    send(line, 63)
    assert line.is_free(0.0)
    send(line, 1)
    assert not line.is_free(0.0)
    line.record_success(1.0)
    assert line.is_free(1.0)


def test_one_incident_halves_once_whatever_was_on_its_way(line):
    send(line, 64)
    for _ in range(64):
        line.record_failure(BUSY, sent=0.0, now=10.0)
    assert (line.concurrency_limit, line.in_flight) == (32, 0)
    assert line.cooldown_until == 11.0
    assert not line.is_free(10.9)
    assert line.is_free(11.0)


def test_each_failure_after_a_rest_rests_twice_as_long(line):
    now, rests = 0.0, []
    for _ in range(10):
        while line.is_free(now):
            send(line, 1)
            line.record_failure(BUSY, sent=now, now=now)
        rests.append(line.cooldown_until - now)
        now = line.cooldown_until
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert line.concurrency_limit == 1


def test_success_ends_the_rests_and_the_limit_climbs_back(line):
    send(line, 6)
    for _ in range(6):
        line.record_failure(BUSY, sent=0.0, now=0.0)
    assert line.concurrency_limit == 32
    for _ in range(8 * 32):
        send(line, 1)
        line.record_success(2.0)
    assert line.concurrency_limit == 64
    send(line, 6)
    for _ in range(6):
        line.record_failure(BUSY, sent=3.0, now=3.0)
    assert line.cooldown_until == 4.0


def test_failures_among_successes_do_not_slow_down(line):
    for step in range(1000):
        send(line, 1)
        if step % 4 == 0:
            line.record_failure(BUSY, sent=step, now=step)
        else:
            line.record_success(step)
    assert (line.concurrency_limit, line.cooldown_until) == (64, 0.0)


def test_a_refused_request_shows_that_the_server_lives(line):
    for step in range(100):
        send(line, 1)
        line.record_failure(RequestError(Reason.BAD_REQUEST, "HTTP 400"), sent=step, now=step)
    assert (line.concurrency_limit, line.in_flight) == (64, 0)
    assert not line.is_dead(10**6)


def test_retry_after_is_honoured_at_once_and_the_longest_counts(line):
    send(line, 2)
    line.record_failure(RequestError(Reason.RATE_LIMITED, "", retry_after=7), sent=0.0, now=1.0)
    line.record_failure(RequestError(Reason.RATE_LIMITED, "", retry_after=2), sent=0.0, now=1.0)
    assert line.cooldown_until == 8.0


def test_retry_after_is_honoured_for_a_row_that_fails_again_while_others_are_answered(line):
    send(line, 2)
    line.record_success(2.0)
    overloaded = RequestError(Reason.SERVER_ERROR, "HTTP 503", retry_after=7)
    line.record_failure(overloaded, sent=2.0, now=3.0, before=1.0)
    assert (line.cooldown_until, line.concurrency_limit) == (10.0, 64)


def test_the_log_tells_once_of_a_server_that_asks_for_a_long_rest(line, caplog):
    send(line, 3)
    for now, asked in ((1.0, 5), (2.0, 3600), (2.5, 3600)):
        line.record_failure(RequestError(Reason.RATE_LIMITED, "HTTP 503", retry_after=asked), 0.0, now)
    (told,) = caplog.messages
    assert told.endswith("asks to be left alone for 3600 s (HTTP 503); nothing is sent to it until then")


def test_there_is_hope_while_something_is_on_its_way(line):
    send(line, 7)
    for _ in range(6):
        line.record_failure(BUSY, sent=0.0, now=0.0)
    late = GIVE_UP_AFTER_S + 1
    assert not line.is_dead(late)
    line.record_failure(BUSY, sent=0.0, now=late)
    assert line.is_dead(late)
    assert not line.is_dead(GIVE_UP_AFTER_S - 1)


def test_a_request_that_fails_while_others_succeed_says_nothing_of_the_server(line):
    send(line, 20)
    line.record_success(2.0)
    for _ in range(19):
        line.record_failure(BUSY, sent=3.0, now=3.0, before=1.0)
    assert (line.concurrency_limit, line.cooldown_until, line.in_flight) == (64, 0.0, 0)
    for fault in (BUSY, RequestError(Reason.TRANSPORT, "gone")):
        send(line, 6)
        for _ in range(6):
            line.record_failure(fault, sent=5.0, now=5.0, before=4.0 if fault is BUSY else 1.0)
        assert line.cooldown_until > 5.0
        line.cooldown_until = 0.0


def test_a_refusal_is_counted_until_something_is_answered(line):
    send(line, 4)
    for _ in range(3):
        line.record_failure(Refusal("HTTP 403", "refuses the key"), sent=0.0, now=1.0)
    assert (line.refusals, line.has_succeeded, line.in_flight, line.concurrency_limit) == (3, False, 1, 64)
    line.record_success(2.0)
    assert (line.refusals, line.has_succeeded, line.in_flight) == (0, True, 0)


def test_a_line_that_was_silent_for_long_is_in_doubt_until_it_answers_a_plain_question(line):
    send(line, 64)
    line.record_success(1.0)
    for _ in range(40):
        line.record_failure(BUSY, sent=2.0, now=2.0)
    assert not line.is_suspect
    late = 2.0 + endpoint_pool.SUSPECT_AFTER_S
    line.record_failure(BUSY, sent=late, now=late)
    assert line.is_suspect
    line.reset(late + 1)
    assert (line.is_suspect, line.concurrency_limit, line.is_free(late + 1)) == (False, 64, True)
    # The question was none of the batch's requests, so rows that fail may still be the server's fault.
    assert line.succeeded_since(0.5)
    assert not line.succeeded_since(1.0)


def test_a_limit_that_finds_itself_begins_where_it_is_told():
    assert PooledEndpoint(ENDPOINT, None, 0.0, 4).concurrency_limit == 4
    assert PooledEndpoint(ENDPOINT, None, 0.0).concurrency_limit == 64
