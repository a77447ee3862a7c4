"""Captions: a prompt by a hash of seed and id, and the text as the source has it."""

import pytest

from prep.convert.caption import build_messages
from prep.convert.shard import Row
from prep.records.reason import Reason

PROMPTS = ["Describe it.", "What is there?"]


def build(
    text: bytes | None, row: int = 0, pictures: int | None = None, seed: int | None = 42
) -> list | tuple:
    return build_messages(Row(f"a:{row}", pictures), text, PROMPTS, seed)


def test_a_caption_is_answered_as_it_is() -> None:
    assert build(b" A cat.\n", seed=None) == [
        {"content": "<image>\nDescribe it.", "role": "user"},
        {"content": " A cat.\n", "role": "assistant"},
    ]
    assert build(b"Two.", pictures=2, seed=None)[0]["content"] == "<image>\n<image>\nDescribe it."


def test_a_hash_of_seed_and_id_chooses_the_prompt() -> None:
    chosen = [build(b"A cat.", row)[0]["content"].removeprefix("<image>\n") for row in range(400)]
    assert chosen == [build(b"A dog.", row)[0]["content"].removeprefix("<image>\n") for row in range(400)]
    assert {prompt: 150 < chosen.count(prompt) < 250 for prompt in PROMPTS} == dict.fromkeys(PROMPTS, True)
    assert chosen != [build(b"A cat.", row, seed=43)[0]["content"][8:] for row in range(400)]


@pytest.mark.parametrize(
    ("text", "rejection"),
    [
        (None, (Reason.TEXT_EMPTY, "null")),
        (b" \n", (Reason.TEXT_EMPTY, "")),
        (b"a <image>", (Reason.MEDIA_TAG_IN_ANSWER, "")),
        (b"<think>", (Reason.THINK_TAG_IN_ANSWER, "")),
    ],
)
def test_a_broken_rule_is_the_reason(text: bytes | None, rejection: tuple) -> None:
    assert build(text) == rejection
