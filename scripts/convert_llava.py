#!/usr/bin/env python
"""Convert one shard of LLaVA-ReCap or LLaVA-OneVision: pictures with conversations about them."""

from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from prep import conversion, program, shards
from prep.conversation import Turn, messages
from prep.conversion import Text
from prep.reason import Reason


def texts_of(batch: pa.RecordBatch, prepend_tag: bool) -> list[Text]:
    """The source's id and the messages of each row, or the first rule that its conversation breaks."""
    ids = shards.texts(batch.column("id"))
    conversations = turns_of(batch.column("conversations"))
    return [text_of(id_, turns, prepend_tag) for id_, turns in zip(ids, conversations, strict=True)]


def text_of(
    source_id: str | UnicodeDecodeError | None,
    turns: list[Turn] | UnicodeDecodeError | None,
    prepend_tag: bool,
) -> Text:
    """One row's Text, from its id and its turns, either of which may be text that is not UTF-8."""
    for cell in (source_id, turns):
        if isinstance(cell, UnicodeDecodeError):
            return Text(None, None, (Reason.TEXT_NOT_UTF8, str(cell)[-200:]))
    found = messages(turns, prepend_tag)
    if isinstance(found, Reason):
        return Text(source_id, None, (found, ""))
    return Text(source_id, found)


def turns_of(column: pa.Array) -> list[list[Turn] | UnicodeDecodeError | None]:
    """Each row's conversation as (speaker, text) pairs; a turn that is null has neither."""
    try:
        turns = pc.list_flatten(column)
        fields = [pc.struct_field(turns, name) for name in ("from", "value")]
    except pa.ArrowException as error:
        raise shards.BadShard(f"conversations are of type {column.type}, not lists of from, value") from error
    speakers, texts = map(shards.texts, fields)
    pairs = iter(zip(speakers, texts, strict=True))
    lengths = pc.list_value_length(column).to_pylist()
    return [None if n is None else _row([next(pairs) for _ in range(n)]) for n in lengths]


def _row(turns: list[tuple]) -> list[Turn] | UnicodeDecodeError:
    broken = [cell for turn in turns for cell in turn if isinstance(cell, UnicodeDecodeError)]
    return broken[0] if broken else turns


def main() -> None:
    args = conversion.arguments(__doc__, ("--missing-tag", ("prepend", "reject")))
    text_of_batch = partial(texts_of, prepend_tag=args.missing_tag == "prepend")
    conversion.run(args, ("id", "conversations"), text_of_batch)


if __name__ == "__main__":
    program.run(main)
