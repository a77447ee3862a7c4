#!/usr/bin/env python
"""Convert one shard of captions: pictures, each with a text; a prompt of the config asks for it."""

from collections.abc import Sequence
from functools import partial

from prep.convert import shard
from prep.convert.shard import Messages, Row
from prep.records import conversation
from prep.records.reason import Reason, Rejection
from prep.runtime import program
from prep.storage import parquet


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


def main() -> None:
    parser = shard.build_parser(__doc__)
    shard.add_prompts(parser)
    args = parser.parse_args()
    build = partial(build_messages, prompts=args.prompts, seed=args.prompt_seed)
    shard.run(args, [args.columns["text"]], build)


if __name__ == "__main__":
    program.run(main)
