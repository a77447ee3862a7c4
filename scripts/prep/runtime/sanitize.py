"""Sanitizing of texts that come from outside: secrets are masked, control characters are made visible.

A server or a hub may repeat in an error what it was sent, the key too, and what it says may hold sequences
that move a terminal's cursor. The words of errors and of servers' logs pass through `sanitize` where they
come in, and all that a program says passes through it once more (see prep.runtime.program). Answers of models
do not: no request holds a key in its text.

Imports the standard library only.
"""

import base64
import html
import json
import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
SHORTEST = 8
"""Characters of the shortest secret that is masked wherever it stands: a shorter one may be a plain word."""
PART = 12
"""Characters at a secret's beginning or end that are masked too: a text may have been cut within it."""
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "VLLM_API_KEY")

# ECMA-48: strings up to their terminator (titles, links), control sequences (colours, cursor), other escapes.
_SEQUENCE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f\n]*+(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"
    r"|\x1b[ -/]*+[0-Z\\^-~]"
)
# All but tab and line feed; line separators; what turns the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# Put anew when a secret is added, since threads read them: every way in which secrets may be written, the
# longest first, and those that are short.
_forms: tuple[str, ...] = ()
_short: tuple[str, ...] = ()


def keep_secret(secret: str | None) -> None:
    """Have a secret masked from now on, in every usual encoding.

    One of fewer than SHORTEST characters is masked only where it stands as a bearer's token.
    """
    global _forms, _short
    if not secret or secret in _forms + _short:
        return
    if len(secret) < SHORTEST:
        _short = (*_short, secret)
        return
    escaped = [json.dumps(secret, ensure_ascii=ascii_alone)[1:-1] for ascii_alone in (True, False)]
    quoted = quote(secret, safe="", errors="surrogateescape")
    forms = {
        *(secret, repr(secret)[1:-1], html.escape(secret)),
        *(*escaped, escaped[0].replace("/", "\\/"), json.dumps(escaped[0])[1:-1]),  # the last: JSON in JSON
        *(quoted, quoted.replace("%2F", "/"), re.sub("%..", lambda code: code[0].lower(), quoted)),
        *_base64(secret.encode(errors="surrogateescape")),
    }
    _forms = tuple(sorted(forms.union(_forms), key=lambda form: (-len(form), form)))


def keep_url_secret(url: str) -> None:
    """Have the password in an address masked, where there is one."""
    with suppress(ValueError):
        keep_secret(unquote(urlsplit(url).password or ""))


def keep_environment_secrets() -> None:
    """Have the tokens masked that the environment holds, and the passwords of proxies and of the hub."""
    for name, value in os.environ.items():
        if name in VARIABLES:
            keep_secret(value.strip())
        elif name == "HF_ENDPOINT" or name.lower().endswith("_proxy"):
            keep_url_secret(value)


def sanitize(text: str) -> str:
    """The text without terminal sequences and secrets, its other control characters as escapes, as UTF-8.

    Tabs and line feeds stay. Half of a surrogate pair, which JSON may hold, becomes a question mark.
    """
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n"))
    forms = _forms
    for form in forms:
        text = text.replace(form, MASK)
    text = _mask_beginnings(text, forms)
    text = _mask_beginnings(text[::-1], [form[::-1] for form in forms])[::-1]
    for secret in _short:
        text = re.sub(rf"(\bbearer\s+){re.escape(secret)}(?!\w)", rf"\1{MASK}", text, flags=re.IGNORECASE)
    text = _CONTROL.sub(_escaped, text)
    return text.encode(errors="replace").decode()


class Formatter(logging.Formatter):
    """Formats records as logging does, tracebacks too, and sanitizes what comes of it."""

    def format(self, record: logging.LogRecord) -> str:
        return sanitize(super().format(record))


def _mask_beginnings(text: str, forms: Sequence[str]) -> str:
    """The text with each place masked that begins like a form, as far as it goes on like one."""
    for beginning in dict.fromkeys(form[:PART] for form in forms):
        pieces, at = [], 0
        while (start := text.find(beginning, at)) >= 0:
            pieces += [text[at:start], MASK]
            at = start + max(_length_in_common(form, text[start : start + len(form)]) for form in forms)
        text = "".join([*pieces, text[at:]])
    return text


def _length_in_common(one: str, other: str) -> int:
    """How many characters two texts have in common from their beginning."""
    pairs = zip(one, other, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _base64(secret: bytes) -> set[str]:
    """What base64 makes of a secret at any place in a longer text, without what depends on its neighbours."""
    found = set()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret).decode()
        own = whole[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        found |= {own, own.replace("+", "-").replace("/", "_")}
    return found


def _escaped(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode()
