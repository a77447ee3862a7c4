"""The registration with LLaMA-Factory: a dataset_info.json, merged into one that stands there."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prep.runtime.program import Failure
from prep.storage.install import install

log = logging.getLogger(__name__)

SPACE = re.compile(r"[ \t\n\r]*")
"""What JSON allows between two tokens."""


@dataclass(frozen=True)
class Member:
    """A member of a JSON object, by place: `gap` is the space before its key, start:end its value."""

    key: str
    gap: str
    start: int
    end: int


def entries(names: list[str]) -> dict[str, dict]:
    """An entry for each artifact, by the last part of its name; LLaMA-Factory's data/README.md has the keys.

    Raises Failure when two artifacts would share a key.
    """
    found: dict[str, dict] = {}
    for name in names:
        key = PurePosixPath(name).name
        entry = {
            "file_name": f"{name}.parquet",
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
            raise Failure(f"{other} and {name}.parquet would both be registered as {key!r}: leave one out")
        found[key] = entry
    return found


def merge(text: str, ours: dict[str, dict]) -> str:
    """The JSON object `text` with our entries in it: missing ones at its end, in its own indentation.

    An entry of ours that stands with the same value keeps its text; everything else in `text`, space
    included, is kept as it is.
    """
    found = members(text)
    parts, at = [], 0
    for member in found:
        standing = json.loads(text[member.start : member.end])
        if member.key in ours and standing != ours[member.key]:
            parts += [text[at : member.start], layout(ours[member.key], member.gap)]
            at = member.end
    missing = {key: ours[key] for key in ours if key not in {member.key for member in found}}
    if missing and found:
        last = found[-1]
        parts += [text[at : last.end], *(f",{added(key, missing[key], last.gap)}" for key in missing)]
        at = last.end
    elif missing:
        body = ",".join(added(key, missing[key], "\n  ") for key in missing)
        parts += [text[: text.index("{") + 1], body, "\n"]
        at = text.rindex("}")
    return "".join(parts) + text[at:]


def members(text: str) -> list[Member]:
    """The members of the JSON object that `text` is, with their places. `text` must be valid JSON."""
    decode = json.JSONDecoder().raw_decode
    found = []
    at = text.index("{") + 1
    while True:
        key_at = after_space(text, at)
        if text[key_at] == "}":
            return found
        key, key_end = decode(text, key_at)
        colon = after_space(text, key_end)
        start = after_space(text, colon + 1)
        _, end = decode(text, start)
        found.append(Member(key, text[at:key_at], start, end))
        at = after_space(text, end)
        if text[at] == ",":
            at += 1


def after_space(text: str, at: int) -> int:
    """Where the next token begins."""
    return SPACE.match(text, at).end()


def added(key: str, value: dict, gap: str) -> str:
    """A new member after `gap`, of which only the last line is used, so that no blank line is repeated."""
    newline, indent = line_of(gap)
    lead = newline + indent if newline else gap or " "
    return f"{lead}{json.dumps(key, ensure_ascii=False)}: {layout(value, gap)}"


def layout(value: dict, gap: str) -> str:
    """A value as JSON, to stand after a key that has `gap` before it: on lines of its own, or on one."""
    newline, indent = line_of(gap)
    if not newline:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=indent).split("\n")
    return (newline + indent).join(lines)


def line_of(gap: str) -> tuple[str, str]:
    """The newline in a gap (empty when there is none) and the indentation that follows the last one."""
    head, newline, indent = gap.rpartition("\n")
    return ("\r\n" if head.endswith("\r") else newline), indent


def merged_file(path: Path, ours: dict[str, dict]) -> bytes:
    """What the file at `path` should hold: our entries, and all that stands there.

    Raises Failure when what stands there is not a JSON object in UTF-8.
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
        raise Failure(
            f"{path} is not a JSON object ({error}): nothing was registered; mend it or move it away"
        ) from error
    for key in ours.keys() & standing.keys():
        if standing[key] != ours[key]:
            log.info("%s: the entry %r that stood there is replaced", path.name, key)
    return merge(text, ours).encode()


def register(names: list[str], data: Path) -> None:
    """Have the dataset_info.json of a folder name these artifacts; its other entries stay.

    Several programs may do so at once, with the same names. Raises Failure as `entries` and `merged_file` do.
    """
    standing = data / "dataset_info.json"
    install(standing, merged_file(standing, entries(names)))
