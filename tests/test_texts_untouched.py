"""Texts pass through conversion as they are, whatever the form: control characters and bidi controls too."""

import json
from collections.abc import Callable

import pytest

from prep.convert import caption, llava, messages, ocr, qa
from prep.convert.shard import Messages, Row
from prep.records.reason import Rejection

ROW = Row("a:0", None)
TEXT = "a\0b\u202ec\u2066d\u200e\x1b[1me\u00ad\ufeff\r\nf"
BYTES = TEXT.encode()


def turns(speaker: str, text: str, user: str, assistant: str) -> list[dict[str, bytes | None] | None]:
    return [{speaker: user.encode(), text: BYTES}, {speaker: assistant.encode(), text: BYTES}]


FORMS: dict[str, Callable[[], Messages | Rejection]] = {
    "llava": lambda: llava.LLAVA.build_messages(ROW, turns("from", "value", "human", "gpt"), True),
    "messages": lambda: messages.MESSAGES.build_messages(
        ROW, turns("role", "content", "user", "assistant"), True
    ),
    "caption": lambda: caption.build_messages(ROW, BYTES, [TEXT], None),
    "qa": lambda: qa.build_messages(ROW, BYTES, BYTES, None, None, "text"),
    "ocr": lambda: ocr.build_messages(ROW, BYTES, [], [TEXT], None),
    "ocr in JSON": lambda: ocr.build_messages(
        ROW, json.dumps({"text": TEXT}).encode(), ["text"], [TEXT], None
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_controls_stay(form: str) -> None:
    found = FORMS[form]()
    assert isinstance(found, list), found
    assert [message["content"] for message in found] == [f"<image>\n{TEXT}", TEXT]


def test_choices_and_rationales_are_no_exception() -> None:
    found = qa.build_messages(ROW, b"q", BYTES, [BYTES, b"x"], BYTES, "text")
    assert isinstance(found, list), found
    assert [each["content"] for each in found] == [
        f"<image>\nq\nA. {TEXT}\nB. x",
        f"{TEXT}\n\nA. {TEXT}",
    ]
