"""OCR rows: the text on the pictures, in a text column or at a path in a JSON cell."""

import argparse
import json
from collections.abc import Sequence
from functools import partial

from prep.convert import shard
from prep.convert.shard import Form, Messages, Row
from prep.records.conversation import put_tags
from prep.records.reason import Reason, Rejection
from prep.records.tags import MEDIA_TAG
from prep.storage import parquet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of the form."""
    shard.add_prompts(parser)
    parser.add_argument("--json-path", nargs="*", default=[], help="keys to the text, where the cell is JSON")


def build_form(args: argparse.Namespace) -> Form:
    """The form by its settings."""
    build = partial(build_messages, path=args.json_path, prompts=args.prompts, seed=args.prompt_seed)
    return Form([args.columns["text"]], build)


def parse_text(cell: str | None, path: Sequence[str]) -> str | Rejection:
    """The stripped text of a cell, or what is wrong with it; with a `path`, that in its JSON.

    The cell is parsed as JSON and never evaluated; how deep it nests is limited by the parser.
    """
    if cell is None:
        return Reason.GROUND_TRUTH_INVALID, "null"
    text, where = cell, ".".join(path)
    try:
        if path:
            text = json.loads(cell)
        for key in path:
            text = text[key]
    except (ValueError, RecursionError) as error:
        return Reason.GROUND_TRUTH_INVALID, f"not JSON: {error}"[:200]
    except (KeyError, TypeError):
        return Reason.GROUND_TRUTH_INVALID, f"no {where}"
    if not isinstance(text, str):
        return Reason.GROUND_TRUTH_INVALID, f"{where} is not a string but {text!r:.100}"
    text = text.strip()
    if not text:
        return Reason.TEXT_EMPTY, ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Reason.TEXT_NOT_UTF8, error.reason
    if tag := MEDIA_TAG.search(text):
        return Reason.MEDIA_TAG_IN_TEXT, tag.group()
    return text


def build_messages(
    row: Row, cell: bytes | None, path: Sequence[str], prompts: Sequence[str], seed: int | None
) -> Messages | Rejection:
    """A prompt, chosen by a hash of seed and id, and the page's text as the answer; or why there is none."""
    text = parse_text(parquet.decode(cell), path)
    if not isinstance(text, str):
        return text
    prompt = put_tags(shard.choose_prompt(row, prompts, seed), row.pictures)
    return [{"content": prompt, "role": "user"}, {"content": text, "role": "assistant"}]
