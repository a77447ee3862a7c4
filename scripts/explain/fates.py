"""What became of a row: where it stands in data/, kept or rejected."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from explain.build_folder import REASONED, BuildFolder
from explain.row_lookup import read_row
from explain.rules import ANSWER_REASONS, FILTERED, SELECTS, find_function
from explain.step import describe_reason
from explain.subject import Subject
from prep.records.image_format import FORMATS
from prep.report.formatting import format_size

COLUMNS = ("source", "mode", "score", "teacher", "rule", "pass_rate", "votes", "needs_picture")
"""What the rows of stage 3 say besides."""


@dataclass
class Fate:
    """A row as it stands in data/: in an artifact, or with a `reason` among its rejects."""

    id: str
    artifact: str
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def find_fates(folder: BuildFolder, subject: Subject) -> list[Fate]:
    """What became of a row in each artifact that it could be in; of a question, of its answers too."""
    names = dict.fromkeys([*([] if subject.answer else [subject.name]), *REASONED])
    found = [fate for name in names for fate in _find(folder, name, subject.id)]
    if subject.answer is None:
        found += [fate for name in REASONED for fate in _find(folder, name, *subject.answers_range)]
    return found


def _find(folder: BuildFolder, name: str, first: str, last: str | None = None) -> list[Fate]:
    found = []
    for id_, place in folder.find(folder.list_artifact_files(name), first, last):
        row = read_row(place)
        found.append(Fate(id_, name, None, {"at": place} | describe_row(row)))
    for id_, place in folder.find([folder.rejects_of(name)], first, last):
        row = read_row(place)
        rule = find_rule(folder, name, id_, row["reason"])
        facts = describe_reason(row["reason"], row["detail"]) | {"at": place}
        if rule:
            facts |= {"decided by": f"{rule}: {find_function(rule, row['reason'])}"}
        found.append(Fate(id_, name, row["reason"], facts))
    return found


def find_rule(folder: BuildFolder, artifact: str, id_: str, reason: str) -> str | None:
    """The rule that rejects a row for a reason; None where the files of a converted artifact are gone."""
    if artifact not in REASONED:
        return folder.find_form(artifact)
    what = "text" if artifact == "text2image" else "image"
    if "#" not in id_:
        return f"filter_{what}" if reason in FILTERED else "read_questions"
    return f"answer_{what}" if reason in ANSWER_REASONS else SELECTS[what]


def describe_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A training row in facts: its turns' beginnings, its pictures, and its scores."""
    messages = row.get("messages") or ()
    return {
        "source id": row.get("source_id"),
        "turns": len(messages) or None,
        **{turn["role"]: [begin_text(turn["content"])] for turn in messages[:2]},
        "pictures": [describe_picture(picture) for picture in row.get("images") or ()] or None,
        **{name.replace("_", " "): row.get(name) for name in COLUMNS},
    }


def begin_text(text: str, characters: int = 200) -> str:
    """The beginning of a text in a line."""
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[:characters]}…"


def describe_picture(picture: Mapping[str, Any] | None) -> str:
    """A picture as `PNG 640x427, 62.1 kB, its name, sha256 …`; no more of it is read than its header."""
    data, name = (picture or {}).get("bytes"), (picture or {}).get("path")
    if data is None:
        return "null"
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            kind = f"{opened.format} {opened.width}x{opened.height}"
    except Exception:  # decoders raise anything
        kind = "no picture that is read here"
    if isinstance(name, bytes):
        name = name.decode(errors="replace")
    told = (kind, format_size(len(data)), name, f"sha256 {hashlib.sha256(data).hexdigest()}")
    return ", ".join(filter(None, told))
