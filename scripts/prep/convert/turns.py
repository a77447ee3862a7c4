"""Conversation column: its layouts, and a cell as a list of speakers and texts."""

import argparse
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from prep.convert.shard import Form, Messages, Row
from prep.records import conversation
from prep.records.reason import Reason, Rejection
from prep.storage import parquet

Cell = list[dict[str, bytes | None] | None] | None


class Dialect(NamedTuple):
    """The names of a turn's fields, and the source's speakers by LLaVA's words for them."""

    speaker: str
    text: str
    speakers: Mapping[str, str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The settings of the form."""
        parser.add_argument("--missing-tag", choices=("prepend", "reject"), required=True)

    def build_form(self, args: argparse.Namespace) -> Form:
        """The form by its settings."""
        build = partial(self.build_messages, prepend_tag=args.missing_tag == "prepend")
        return Form([self.column(args.columns["turns"])], build)

    def column(self, name: str) -> pa.Field:
        """The field that reads a column of conversations."""
        fields = [(self.speaker, parquet.RAW_TEXT), (self.text, parquet.RAW_TEXT)]
        return pa.field(name, pa.list_(pa.struct(fields)))

    def read_turn(self, turn: dict[str, bytes | None] | None) -> conversation.Turn:
        """A turn's speaker and text; one that is null has neither. Raises UnicodeDecodeError."""
        if turn is None:
            return None, None
        speaker = parquet.decode(turn[self.speaker])
        return self.speakers.get(speaker, speaker), parquet.decode(turn[self.text])

    def build_messages(self, row: Row, turns: Cell, prepend_tag: bool) -> Messages | Rejection:
        """A conversation's messages, or the first rule that it breaks. Raises UnicodeDecodeError."""
        read = turns and [self.read_turn(turn) for turn in turns]
        found = conversation.build_messages(read, prepend_tag, row.pictures)
        return (found, "") if isinstance(found, Reason) else found
