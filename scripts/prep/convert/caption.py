"""Form of captions: a text about the pictures; a prompt of the config asks for it."""

import argparse
from collections.abc import Sequence
from functools import partial

from prep.convert import shard
from prep.convert.shard import Form, Messages, Row
from prep.records import conversation
from prep.records.reason import Reason, Rejection
from prep.storage import parquet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of the form."""
    shard.add_prompts(parser)


def build_form(args: argparse.Namespace) -> Form:
    """The form by its settings."""
    build = partial(build_messages, prompts=args.prompts, seed=args.prompt_seed)
    return Form([args.columns["text"]], build)


def build_messages(
    row: Row, text: bytes | None, prompts: Sequence[str], seed: int | None
) -> Messages | Rejection:
    """A prompt, chosen by a hash of seed and id, and the caption as it is; or why there is none."""
    caption = parquet.decode(text)
    if caption is None or not caption.strip():
        return Reason.TEXT_EMPTY, "null" if caption is None else ""
    turns = [("human", shard.choose_prompt(row, prompts, seed)), ("gpt", caption)]
    found = conversation.build_messages(turns, True, row.pictures)
    return (found, "") if isinstance(found, Reason) else found
