"""Sanitizing: no spelling of a secret stays in a text, and nothing in it moves a terminal's cursor."""

import base64
import html
import json
import logging
import random
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.inference.errors import DETAIL, RequestError, error_of_status
from prep.records.reason import Reason
from prep.runtime import sanitize as module
from prep.runtime.program import UserError
from prep.runtime.sanitize import (
    MASK,
    SanitizingFormatter,
    register_environment_secrets,
    register_secret,
    register_url_password,
    sanitize,
)

KEY = 'sk-live/4f+Zq"9\\K&7==_x~Tr'
PLAIN = "sk-live-0123456789abcdefghij"


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(module, "_forms", ())
    monkeypatch.setattr(module, "_short", ())


SPELLINGS = {
    "as it is": lambda key: key,
    "bearer": lambda key: f"Authorization: Bearer {key}",
    "JSON": json.dumps,
    "JSON in JSON": lambda key: json.dumps(json.dumps({"authorization": f"Bearer {key}"})),
    "JSON with escaped slashes": lambda key: json.dumps(key).replace("/", "\\/"),
    "repr": repr,
    "repr of bytes": lambda key: repr(key.encode()),
    "URL": quote,
    "URL, all of it": lambda key: quote(key, safe=""),
    "form": quote_plus,
    "URL in lower case": lambda key: re.sub("%..", lambda code: code[0].lower(), quote(key, safe="")),
    "HTML": html.escape,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(f"x:{key}".encode()).decode(),
    "basic": lambda key: "Basic " + base64.b64encode(f"user:{key}".encode()).decode(),
    "basic, without a user": lambda key: "Basic " + base64.b64encode(f":{key}".encode()).decode(),
    "basic, a token": lambda key: "Basic " + base64.b64encode(f"ab:{key}:x".encode()).decode(),
    "coloured": lambda key: f"\x1b[31m{key[:9]}\x1b[0m\x1b[1m{key[9:]}\x1b[0m",
    "cut at its end": lambda key: f"Bearer {key[:-3]}",
    "cut at its beginning": lambda key: f"{key[3:]} is wrong",
}


@pytest.mark.parametrize("key", [KEY, PLAIN])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_secret_stays(spelling, key):
    written = SPELLINGS[spelling](key)
    assert sanitize(written) == (re.sub("\x1b.*?m", "", written))  # nobody has said that it is one
    register_secret(key)
    for text in (written, f"before {written} between {written} after"):
        found = sanitize(text)
        assert MASK in found
        # Four characters of base64 hold three of the key's; those at its ends hang on their neighbours.
        known = {key[at : at + 6] for at in range(len(key) - 5)} | {written[8:14]}
        decoded = found + "".join(_decoded(found))
        assert not [
            part for part in known - {"Author", "zation", "author"} if part in decoded and part in key
        ]
    assert "before " in found
    assert " after" in found


@pytest.mark.parametrize("key", [KEY, PLAIN, 'schlüssel/"a\\b"/中文'])
@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda key: repr(key)[1:-1],
        html.escape,
        lambda key: json.dumps(key)[1:-1],
        lambda key: json.dumps(key, ensure_ascii=False)[1:-1],
        lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
        lambda key: json.dumps(json.dumps(key)[1:-1])[1:-1],
        quote,
        lambda key: quote(key, safe=""),
        lambda key: re.sub("%..", lambda code: code[0].lower(), quote(key, safe="")),
    ],
)
def test_a_spelling_is_masked_to_its_last_character(write, key):
    register_secret(key)
    assert sanitize(f"<{write(key)}>") == f"<{MASK}>"
    assert sanitize(f"{write(key)}{write(key)}") == MASK + MASK


def test_secrets_from_eight_characters_are_masked_everywhere():
    for secret, shown in (("1234567", "a1234567b"), ("12345678", f"a{MASK}b")):
        register_secret(secret)
        assert sanitize(f"a{secret}b") == shown


def test_a_beginning_or_an_end_of_twelve_characters_is_masked():
    register_secret(PLAIN)
    assert sanitize(f"<{PLAIN[:11]}>") == f"<{PLAIN[:11]}>"
    assert sanitize(f"<{PLAIN[:12]}>") == f"<{MASK}>"
    assert sanitize(f"<{PLAIN[-11:]}>") == f"<{PLAIN[-11:]}>"
    assert sanitize(f"<{PLAIN[-12:]}>") == f"<{MASK}>"
    assert sanitize(f"<{PLAIN[:15]}>, <{PLAIN[:-1]}>") == f"<{MASK}>, <{MASK}>"
    assert sanitize(PLAIN[:15]) == sanitize(PLAIN[-15:]) == MASK


def test_of_several_secrets_each_is_masked_as_far_as_it_goes():
    longer = f"{PLAIN}-and-more"
    for secret in (PLAIN, longer, PLAIN, None, ""):
        register_secret(secret)
    assert sanitize(f"<{PLAIN}> <{longer}>") == f"<{MASK}> <{MASK}>"


def _decoded(text: str) -> list[str]:
    """What base64 in a text says, wherever it begins."""
    runs = [run[start:] for run in re.findall(r"[\w+/-]{8,}", text, re.ASCII) for start in range(4)]
    runs = [run[: len(run) // 4 * 4].replace("-", "+").replace("_", "/") for run in runs]
    return [base64.b64decode(run).decode("latin-1") for run in runs]


def test_words_around_a_secret_stay():
    register_secret(PLAIN)
    assert sanitize(f'{{"error": "the key {PLAIN} is wrong"}}') == f'{{"error": "the key {MASK} is wrong"}}'
    assert sanitize("sk-live is how live keys begin") == "sk-live is how live keys begin"


@pytest.mark.parametrize("key", ["EMPTY", "x", "none", "test123"])
def test_a_short_key_masks_no_word(key):
    register_secret(key)
    text = f"{key} {key}s, the {key}, no {key}: 'bearer of {key}'"
    assert sanitize(text) == text
    assert sanitize(f'"authorization": "Bearer {key}"') == f'"authorization": "Bearer {MASK}"'
    assert sanitize(f"Bearer {key}y") == f"Bearer {key}y"


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60), st.text(), st.text()
)
def test_any_secret_is_masked_in_any_text(key, before, after):
    module._forms = ()
    register_secret(key)
    for written in (key, json.dumps(key), quote(key, safe="")):
        found = sanitize(f"{before}{written}{after}")
        assert key not in found.replace(MASK, "\n")
        # An escape sequence that is open before it may take the whole of it out.
        assert MASK in found or not before.isprintable()


def test_what_the_environment_holds_is_masked(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_averysecrettoken\n")
    monkeypatch.setenv("VLLM_API_KEY", "generated-key-of-a-server")
    monkeypatch.setenv("https_proxy", "http://user:pass%2Fw0rd-long@proxy:3128")
    register_environment_secrets()
    register_url_password("https://me:another-password@hub.example.org")
    register_url_password("https://[broken")
    register_secret("half of a character \udcff in it")
    basic = base64.b64encode(b"user:pass/w0rd-long").decode()
    for text in ("hf_averysecrettoken", "generated-key-of-a-server", "pass%2Fw0rd-long", "pass/w0rd-long"):
        assert sanitize(f"say {text}.") == f"say {MASK}."
    assert sanitize("me:another-password@") == f"me:{MASK}@"
    assert MASK in sanitize(f"Proxy-Authorization: Basic {basic}")


def test_passwords_are_those_of_proxies_and_of_the_hub_alone(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://me:password-of-the-hub@hub.example.org")
    monkeypatch.setenv("HTTP_PROXY", "http://me:password-of-the-proxy@proxy")
    monkeypatch.setenv("A_URL", "http://me:unmasked-first@example.org")
    monkeypatch.setenv("Z_URL", "http://me:never-registered@example.org")
    register_environment_secrets()
    assert sanitize("password-of-the-hub, password-of-the-proxy") == f"{MASK}, {MASK}"
    assert sanitize("unmasked-first, never-registered") == "unmasked-first, never-registered"


@pytest.mark.parametrize("key", [PLAIN, PLAIN[:-1], PLAIN[:-2]])
@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b"user:"])
def test_base64_is_masked_but_for_what_its_neighbours_decide(key, before):
    register_secret(key)
    text = base64.b64encode(before + key.encode() + b"\xff\xff\xff").decode()
    begin, end = -(-len(before) * 8 // 6), (len(before) + len(key)) * 8 // 6
    assert sanitize(text) == text[:begin] + MASK + text[end:]


def test_a_secret_at_the_cut_of_a_detail_is_masked_before_it_is_cut():
    register_secret(PLAIN)
    for before in range(DETAIL - len(PLAIN) - 2, DETAIL + 1):
        fault = RequestError(Reason.BAD_REQUEST, "x" * before + PLAIN + " and more")
        assert PLAIN[:4] not in fault.detail
        assert len(fault.detail) <= DETAIL


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 408, 429, 500])
@pytest.mark.parametrize("body", [{"error": {"message": f"Bearer {PLAIN}"}}, [{"headers": PLAIN}], PLAIN])
def test_no_error_of_a_server_repeats_a_secret(status, body):
    register_secret(PLAIN)
    said = body if isinstance(body, str) else json.dumps(body)
    try:
        fault = error_of_status(status, {"Location": f"https://x/?key={PLAIN}"}, said.encode(), "url")
        told = fault.detail
    except UserError as failure:
        told = str(failure)
    assert PLAIN not in told
    assert MASK in told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b[38;2;1;2;3mtrue colour\x1b[m", "true colour"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;cm0gLXJm\x07", ""),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9ctext", "text"),
        ("\x1bcreset", "reset"),
        ("\x1b(0lines", "lines"),
        ("\x1b\x1b[31m[31mnested", "\\x1b[31mnested"),
        ("an end \x1b", "an end \\x1b"),
        ("an end \x1b[31", "an end \\x1b[31"),
        ("an end \x1b]0;title", "an end \\x1b]0;title"),
        ("over\rwritten", "over\\rwritten"),
        ("a\r\nb\tc\n", "a\nb\tc\n"),
        ("bell\x07 back\x08 nul\x00 del\x7f", "bell\\x07 back\\x08 nul\\x00 del\\x7f"),
        ("\u202etxt.exe\u202c \u2066x\u2069", "\\u202etxt.exe\\u202c \\u2066x\\u2069"),
        ("one\u2028error: two\x85three", "one\\u2028error: two\\x85three"),
        ("Größe 中文 عربي 👍🏽 a\u200db", "Größe 中文 عربي 👍🏽 a\u200db"),
        ("half of \ud83d", "half of ?"),
    ],
)
def test_no_text_moves_the_cursor(text, shown):
    assert sanitize(text) == shown


@given(st.text(st.sampled_from("\x1b\x9b\x9d\x90[]P;0m\\\x07\x9cab \n\r")))
def test_any_text_is_sanitized_at_once(text):
    found = sanitize(text)
    assert sanitize(found) == found
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", found)


def test_records_and_their_tracebacks_are_sanitized():
    register_secret(PLAIN)
    try:
        raise ValueError(f"\x1b[31m{PLAIN}")
    except ValueError as error:
        record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (PLAIN,), (ValueError, error, None))
    text = SanitizingFormatter("%(message)s").format(record)
    assert text == f"{MASK}\nValueError: {MASK}"


def test_a_long_text_of_openings_is_looked_at_once():
    """Each opening's string ends where the next may begin, so none is read to the text's end."""
    for opening in ("\x1b]", "\x9d", "\x90", "\x1b[", "\x1bP0"):
        text = opening * 100_000
        reads = sum(len(found[0]) for found in module._SEQUENCE.finditer(text))
        assert reads <= len(text)
        assert not re.search("[\x1b\x80-\x9f]", sanitize(text))
    register_secret(PLAIN)
    text = "".join(random.Random(1).choices([PLAIN[:11], PLAIN[1:], "x"], k=10_000))
    assert PLAIN not in sanitize(text)
