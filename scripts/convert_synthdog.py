#!/usr/bin/env python
"""Convert one shard of SynthDoG: pictures of pages, each with the text that is written on it."""

import json
from functools import partial

from prep.convert import shard
from prep.convert.shard import Text
from prep.records.reason import Reason, Rejection
from prep.records.tags import IMAGE_TAG, MEDIA_TAG
from prep.runtime import program
from prep.storage import parquet

COLUMNS = ("ground_truth",)
PROMPTS = {
    "en": f"{IMAGE_TAG}\nPlease recognize all text in the image and output the text.",
    "zh": f"{IMAGE_TAG}\nPlease identify the text in this image and output plain text.",
}


def parse_page_text(ground_truth: str | UnicodeDecodeError | None) -> str | Rejection:
    """The stripped `gt_parse.text_sequence` of a page's ground truth, or what is wrong with it.

    The cell is parsed as JSON and never evaluated; how deep it nests is limited by the parser.
    """
    if isinstance(ground_truth, UnicodeDecodeError):
        return Reason.TEXT_NOT_UTF8, str(ground_truth)
    if ground_truth is None:
        return Reason.GROUND_TRUTH_INVALID, "null"
    try:
        text = json.loads(ground_truth)["gt_parse"]["text_sequence"]
    except (ValueError, RecursionError) as error:
        return Reason.GROUND_TRUTH_INVALID, f"not JSON: {error}"[:200]
    except (KeyError, TypeError):
        return Reason.GROUND_TRUTH_INVALID, "no gt_parse.text_sequence"
    if not isinstance(text, str):
        return Reason.GROUND_TRUTH_INVALID, f"gt_parse.text_sequence is not a string but {text!r:.100}"
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


def build_text(ground_truth: bytes | None, prompt: str) -> Text:
    """One row's Text: the prompt, and the page's text as the answer."""
    text = parse_page_text(parquet.decode_or_error(ground_truth))
    if not isinstance(text, str):
        return Text(None, None, text)
    return Text(None, [{"content": prompt, "role": "user"}, {"content": text, "role": "assistant"}])


def main() -> None:
    args = shard.parse_arguments(__doc__, ("--language", tuple(PROMPTS)))
    shard.run(args, COLUMNS, partial(build_text, prompt=PROMPTS[args.language]))


if __name__ == "__main__":
    program.run(main)
