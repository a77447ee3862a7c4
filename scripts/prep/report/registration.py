"""Registration with LLaMA-Factory: entries merged into a dataset_info.json without reformatting it."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prep.runtime.program import UserError

log = logging.getLogger(__name__)

SPACE = re.compile(r"[ \t\n\r]*")
"""JSON's insignificant whitespace."""


@dataclass(frozen=True)
class Member:
    """A member of a JSON object: `gap` is the whitespace before its key, start:end the span of its value."""

    key: str
    gap: str
    start: int
    end: int


def build_entries(names: list[str], sharded: bool) -> dict[str, dict]:
    """An entry for each artifact, by the last part of its name; LLaMA-Factory's data/README.md has the keys.

    A sharded artifact is a folder, of which LLaMA-Factory reads every file.

    Raises UserError when two artifacts would share a key.
    """
    found: dict[str, dict] = {}
    for name in names:
        key = PurePosixPath(name).name
        entry = {
            "file_name": name if sharded else f"{name}.parquet",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
        if key in found:
            other = found[key]["file_name"]
            raise UserError(
                f"{other} and {entry['file_name']} would both be registered as {key!r}: leave one out"
            )
        found[key] = entry
    return found


def merge(text: str, ours: dict[str, dict]) -> str:
    """Merge our entries into the JSON object `text`: missing ones at its end, in its own indentation.

    An entry of ours with the same value keeps its text. Everything else in `text` is kept byte for byte.
    """
    found = parse_members(text)
    edits = [
        (member.start, member.end, format_value(ours[member.key], member.gap))
        for member in found
        if member.key in ours and json.loads(text[member.start : member.end]) != ours[member.key]
    ]
    at, gap = (found[-1].end, found[-1].gap) if found else (text.rindex("}"), "\n  ")
    new = [format_member(key, ours[key], gap) for key in ours if key not in {member.key for member in found}]
    if found:
        edits.append((at, at, "".join(f",{member}" for member in new)))
    elif new:
        edits.append((text.index("{") + 1, at, ",".join(new) + "\n"))
    for start, end, value in reversed(edits):
        text = text[:start] + value + text[end:]
    return text


def parse_members(text: str) -> list[Member]:
    """The members of the JSON object `text`, which must be valid, with their positions."""
    decode = json.JSONDecoder().raw_decode
    found = []
    at = text.index("{") + 1
    while True:
        key_at = skip_space(text, at)
        if text[key_at] == "}":
            return found
        key, key_end = decode(text, key_at)
        colon = skip_space(text, key_end)
        start = skip_space(text, colon + 1)
        _, end = decode(text, start)
        found.append(Member(key, text[at:key_at], start, end))
        at = skip_space(text, end)
        if text[at] == ",":
            at += 1


def skip_space(text: str, at: int) -> int:
    """The position of the next token."""
    return SPACE.match(text, at).end()


def format_member(key: str, value: dict, gap: str) -> str:
    """A new member after the last line of `gap`, so that no blank line is repeated."""
    newline, indent = split_gap(gap)
    lead = newline + indent if newline else gap or " "
    return f"{lead}{json.dumps(key, ensure_ascii=False)}: {format_value(value, gap)}"


def format_value(value: dict, gap: str) -> str:
    """A value as JSON after a key with `gap` before it: indented where the gap has a line break."""
    newline, indent = split_gap(gap)
    if not newline:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=indent).split("\n")
    return (newline + indent).join(lines)


def split_gap(gap: str) -> tuple[str, str]:
    """The line break of a gap (empty if there is none), and the indentation after the last one."""
    head, newline, indent = gap.rpartition("\n")
    return ("\r\n" if head.endswith("\r") else newline), indent


def merge_file(path: Path, ours: dict[str, dict]) -> bytes:
    """The content of the file at `path` with our entries merged in.

    Raises UserError when what stands there is not a JSON object in UTF-8.
    """
    if not path.exists():
        return (json.dumps(ours, indent=2, ensure_ascii=False) + "\n").encode()
    content = path.read_bytes()
    try:
        text = content.decode()
        standing = json.loads(text)
        if not isinstance(standing, dict):
            raise ValueError(f"it is a {type(standing).__name__}")
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not a JSON object ({error}): nothing was registered; mend it or move it away"
        ) from error
    for key in ours:
        if key in standing and standing[key] != ours[key]:
            log.info("%s: the entry %r that stood there is replaced", path.name, key)
    return merge(text, ours).encode()
