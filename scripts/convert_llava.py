#!/usr/bin/env python
"""Convert one shard of LLaVA-ReCap or LLaVA-OneVision: pictures with conversations about them."""

from functools import partial

import pyarrow as pa

from prep.convert import shard
from prep.convert.shard import Text
from prep.records.conversation import Turn, build_messages
from prep.records.reason import Reason
from prep.runtime import program
from prep.storage import parquet

TURN = pa.struct([("from", parquet.RAW_TEXT), ("value", parquet.RAW_TEXT)])
COLUMNS = ("id", pa.field("conversations", pa.list_(TURN)))


def build_text(source_id: bytes | None, conversation: list[dict | None] | None, prepend_tag: bool) -> Text:
    """A row's source id and messages, or the first rule that its conversation breaks.

    The cells are still bytes, and may not be UTF-8.
    """
    try:
        source_id = parquet.decode(source_id)
        turns = conversation and [decode_turn(turn) for turn in conversation]
    except UnicodeDecodeError as error:
        return Text(None, None, (Reason.TEXT_NOT_UTF8, str(error)))
    found = build_messages(turns, prepend_tag)
    if isinstance(found, Reason):
        return Text(source_id, None, (found, ""))
    return Text(source_id, found)


def decode_turn(turn: dict[str, bytes | None] | None) -> Turn:
    """A turn's speaker and text; one that is null has neither."""
    return (None, None) if turn is None else (parquet.decode(turn["from"]), parquet.decode(turn["value"]))


def main() -> None:
    args = shard.parse_arguments(__doc__, ("--missing-tag", ("prepend", "reject")))
    shard.run(args, COLUMNS, partial(build_text, prepend_tag=args.missing_tag == "prepend"))


if __name__ == "__main__":
    program.run(main)
