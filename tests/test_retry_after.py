"""Retry-After, as all clients that retry read it."""

import email.utils
import time

import pytest

from prep.runtime.retry_after import parse_retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("99999999", 3600.0),
        ("soon", None),
        ("nan", None),
        ("", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 99999999999999999999 Jan 2030 00:00:00 GMT", None),
        ("Mon, 01 Jan 2030 00:00:00 +99999999999999999999", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds(text, seconds):
    assert parse_retry_after({} if text is None else {"Retry-After": text}) == seconds


def test_retry_after_as_a_date():
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 97 < parse_retry_after({"Retry-After": date}) <= 100
    assert parse_retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) is None


@pytest.mark.parametrize(("from_now", "seconds"), [(-1, None), (0, 0.0), (1, 1.0), (7200, 3600.0)])
def test_a_date_asks_for_the_seconds_until_then(monkeypatch, from_now, seconds):
    monkeypatch.setattr(time, "time", lambda: 1_900_000_000.0)
    date = email.utils.formatdate(1_900_000_000 + from_now, usegmt=True)
    assert parse_retry_after({"Retry-After": date}) == seconds
