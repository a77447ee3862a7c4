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


def build_texts(batch: pa.RecordBatch, prepend_tag: bool) -> list[Text]:
    """The source's id and the messages of each row, or the first rule that its conversation breaks."""
    cells = zip(batch.column("id").to_pylist(), batch.column("conversations").to_pylist(), strict=True)
    return [build_text(source_id, conversation, prepend_tag) for source_id, conversation in cells]


def build_text(source_id: bytes | None, conversation: list[dict | None] | None, prepend_tag: bool) -> Text:
    """One row's Text, from its cells; texts are still bytes, and may not be UTF-8."""
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
    build = partial(build_texts, prepend_tag=args.missing_tag == "prepend")
    shard.run(args, COLUMNS, build)


if __name__ == "__main__":
    program.run(main)
