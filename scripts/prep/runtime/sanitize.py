"""Output sanitizing: mask secrets, remove terminal escape sequences, escape control characters.

An error of a server or a hub may repeat what it was sent, the key too, and may hold terminal escape
sequences. Error texts and server logs are sanitized where they come in. All output of a program is sanitized
once more (see prep.runtime.program). Answers of models are not: no request holds a key in its text.

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
from os.path import commonprefix
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
MIN_SECRET_CHARS = 8
"""A shorter secret may be a plain word, so it is masked only as a bearer token."""
CUT_CHARS = 12
"""So many first or last characters of a secret are masked too: a text may have been cut within it."""
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "VLLM_API_KEY")

# ECMA-48: strings up to their terminator (titles, links), control sequences (colours, cursor), other escapes.
_SEQUENCE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f\n]*+(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"
    r"|\x1b[ -/]*+[0-Z\\^-~]"
)
# All but tab and line feed; line separators; what turns the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# All encodings of the secrets, longest first, and the short ones. Threads read them: replace, never change.
_forms: tuple[str, ...] = ()
_short: tuple[str, ...] = ()


def register_secret(secret: str | None) -> None:
    """Mask a secret from now on, in every usual encoding."""
    global _forms, _short
    if not secret or secret in _forms + _short:
        return
    if len(secret) < MIN_SECRET_CHARS:
        _short = (*_short, secret)
        return
    escaped = [json.dumps(secret, ensure_ascii=ascii_alone)[1:-1] for ascii_alone in (True, False)]
    quoted = quote(secret, safe="", errors="surrogateescape")
    forms = {
        *(secret, repr(secret)[1:-1], html.escape(secret)),
        *(*escaped, escaped[0].replace("/", "\\/"), json.dumps(escaped[0])[1:-1]),  # the last: JSON in JSON
        *(quoted, quoted.replace("%2F", "/"), re.sub("%..", lambda code: code[0].lower(), quoted)),
        *_encode_base64(secret.encode(errors="surrogateescape")),
    }
    _forms = tuple(sorted(forms.union(_forms), key=lambda form: (-len(form), form)))


def register_url_password(url: str) -> None:
    """Mask the password in a URL, if there is one."""
    with suppress(ValueError):
        register_secret(unquote(urlsplit(url).password or ""))


def register_environment_secrets() -> None:
    """Mask the tokens of the environment, and the passwords of proxies and of the hub."""
    for name, value in os.environ.items():
        if name in TOKEN_VARIABLES:
            register_secret(value.strip())
        elif name == "HF_ENDPOINT" or name.lower().endswith("_proxy"):
            register_url_password(value)


def sanitize(text: str) -> str:
    """Return the text without escape sequences and secrets, with other control characters escaped.

    Tabs and line feeds stay. A lone surrogate, which JSON may hold, becomes a question mark.
    """
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n"))
    forms = _forms
    for form in forms:
        text = text.replace(form, MASK)
    text = _mask_beginnings(text, forms)
    text = _mask_beginnings(text[::-1], [form[::-1] for form in forms])[::-1]
    for secret in _short:
        text = re.sub(rf"(\bbearer\s+){re.escape(secret)}(?!\w)", rf"\1{MASK}", text, flags=re.IGNORECASE)
    text = _CONTROL.sub(lambda control: control[0].encode("unicode_escape").decode(), text)
    return text.encode(errors="replace").decode()


class SanitizingFormatter(logging.Formatter):
    """Formats records as logging does, tracebacks too, and sanitizes the result."""

    def format(self, record: logging.LogRecord) -> str:
        return sanitize(super().format(record))


def _mask_beginnings(text: str, forms: Sequence[str]) -> str:
    """Mask each place that begins like a form, as far as it agrees with one."""
    for beginning in dict.fromkeys(form[:CUT_CHARS] for form in forms):
        pieces, at = [], 0
        while (start := text.find(beginning, at)) >= 0:
            pieces += [text[at:start], MASK]
            rest = text[start : start + len(forms[0])]  # the longest form is first
            at = start + max(len(commonprefix([form, rest])) for form in forms)  # noqa: RUF071
        text = "".join([*pieces, text[at:]])
    return text


def _encode_base64(secret: bytes) -> set[str]:
    """Return the base64 of a secret at each alignment, less what its neighbours decide."""
    found = set()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret).decode()
        own = whole[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        found |= {own, own.replace("+", "-").replace("/", "_")}
    return found
