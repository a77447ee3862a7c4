"""Chat messages: roles and contents, and as many tags as pictures where a row has a list of them."""

import pytest

from prep.convert.messages import MESSAGES
from prep.convert.shard import Row
from prep.records.reason import Reason

USER, ASSISTANT = {"role": b"user", "content": b"What?"}, {"role": b"assistant", "content": b"A cat."}


def asked(content: bytes) -> list[dict]:
    return [{"role": b"user", "content": content}, ASSISTANT]


def build(turns: list | None, pictures: int | None = None, prepend_tag: bool = True) -> list | Reason:
    found = MESSAGES.build_messages(Row("a:0", pictures), turns, prepend_tag)
    return found if isinstance(found, list) else found[0]


def test_roles_and_contents_are_the_messages() -> None:
    assert build([USER, ASSISTANT]) == [
        {"content": "<image>\nWhat?", "role": "user"},
        {"content": "A cat.", "role": "assistant"},
    ]


def test_a_list_of_pictures_has_as_many_tags() -> None:
    assert build([USER, ASSISTANT], 2)[0]["content"] == "<image>\n<image>\nWhat?"
    assert build(asked(b"<image> or <image>?"), 2)[0]["content"] == "<image> or <image>?"
    later = build([*asked(b"<image>?"), {"role": b"user", "content": b"And <image>?"}, ASSISTANT], 2)
    assert [message["content"] for message in later[::2]] == ["<image>?", "And <image>?"]


@pytest.mark.parametrize(
    ("turns", "pictures", "prepend_tag", "reason"),
    [
        (None, None, True, Reason.NO_CONVERSATION),
        ([{"role": b"system", "content": b"Be kind."}, USER, ASSISTANT], None, True, Reason.SYSTEM_TURN),
        ([USER], None, True, Reason.ODD_TURNS),
        ([ASSISTANT, USER], None, True, Reason.WRONG_SPEAKER),
        ([{"role": b"human", "content": b"?"}, ASSISTANT], None, True, Reason.WRONG_SPEAKER),
        ([None, ASSISTANT], None, True, Reason.WRONG_SPEAKER),
        ([USER, {"role": b"assistant", "content": None}], None, True, Reason.VALUE_MISSING),
        (asked(b"<image><image>"), None, True, Reason.SEVERAL_IMAGE_TAGS),
        (asked(b"<image>?"), 2, True, Reason.WRONG_IMAGE_TAGS),
        (asked(b"<image><image>?"), 1, True, Reason.WRONG_IMAGE_TAGS),
        (asked(b"?"), 2, False, Reason.NO_IMAGE_TAG),
        (asked(b"<image><IMAGE>"), 1, True, Reason.MEDIA_TAG_IN_QUESTION),
        (asked(b"<video>"), 2, True, Reason.MEDIA_TAG_IN_QUESTION),
        ([USER, {"role": b"assistant", "content": b"<image>"}], 2, True, Reason.MEDIA_TAG_IN_ANSWER),
        ([USER, {"role": b"assistant", "content": b"<think>"}], 2, True, Reason.THINK_TAG_IN_ANSWER),
    ],
)
def test_a_broken_rule_is_the_reason(turns, pictures, prepend_tag: bool, reason: Reason) -> None:
    assert build(turns, pictures, prepend_tag) == reason
