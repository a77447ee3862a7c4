"""A conversion for the tests: one raw shard, run through a program's own functions, and what came of it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import assemble_artifact
from prep.convert import ocr
from prep.convert import shard as conversion
from prep.convert.llava import LLAVA
from prep.records.reason import Reason
from prep.records.tags import MEDIA_TAG, THINK_TAG
from prep.storage import atomic
from prep.storage.schema import TRAINING
from prep.storage.summary import write_summary

PROMPTS = {
    "en": "Please recognize all text in the image and output the text.",
    "zh": "Please identify the text in this image and output plain text.",
}
"""SynthDoG's prompts, as config.yaml has them."""

FILE = "data/train-00000-of-00001.parquet"


@dataclass(frozen=True)
class Converted:
    """The three files that a conversion writes."""

    shard: Path
    rejects: Path
    summary: Path

    @property
    def table(self) -> pa.Table:
        """The training rows that are assembled of it."""
        part = atomic.read_json(self.summary)
        return pa.Table.from_batches(assemble_artifact.read_part(self.shard, part, TRAINING), TRAINING)

    @property
    def rows(self) -> list[dict]:
        return self.table.to_pylist()

    @property
    def rejected(self) -> list[dict]:
        return pq.read_table(self.rejects).to_pylist()

    @property
    def state(self) -> dict:
        return atomic.read_json(self.summary)["sources"]["NAME"][FILE]

    @property
    def fates(self) -> list[str | None]:
        """What became of each row that was read, in source order: its reason, or None where it was kept.

        Fails unless every row is in one of the two files, once, and both are in source order.
        """
        kept = [int(row["id"].rpartition(":")[2]) for row in self.rows]
        dropped = {row["row"]: row["reason"] for row in self.rejected}
        assert kept == sorted(set(kept))
        assert [row["row"] for row in self.rejected] == sorted(dropped)
        assert sorted([*kept, *dropped]) == list(range(len(kept) + len(dropped)))
        return [dropped.get(row) for row in range(len(kept) + len(dropped))]


def outputs(folder: Path) -> Converted:
    """Where a conversion into a folder puts its files."""
    return Converted(*(folder / name for name in ("part.parquet", "part.rejects.parquet", "part.json")))


def raw_summary(raw: Path) -> Path:
    """What fetching a raw shard leaves beside it."""
    path = raw.with_name("raw.json")
    write_summary(path, {"raw": {"path": FILE, "bytes": raw.stat().st_size, "sha256": "the sha256 listed"}})
    return path


def _convert(raw: Path, folder: Path, on_bad_shard: str, **about: Any) -> Converted:
    out = outputs(folder)
    origin = {"file": FILE, "sha256": "the sha256 listed"}
    given = origin | {"name": "NAME", "take": None, "check": "decode", "threads": 2} | about
    given = {"image": "image", "source_id": None, "max_pixels": 89_478_485} | given
    conversion.convert(
        conversion.Conversion(raw=raw, **given), on_bad_shard, out.shard, out.rejects, out.summary
    )
    return out


def llava(
    raw: Path, folder: Path, missing_tag: str = "prepend", on_bad_shard: str = "fail", **about: Any
) -> Converted:
    """Convert a shard of LLaVA's layout."""
    build = partial(LLAVA.build_messages, prepend_tag=missing_tag == "prepend")
    given = {"source_id": "id", "columns": [LLAVA.column("conversations")], "build_messages": build} | about
    return _convert(raw, folder, on_bad_shard, **given)


def synthdog(
    raw: Path, folder: Path, language: str = "en", on_bad_shard: str = "fail", **about: Any
) -> Converted:
    """Convert a shard of SynthDoG's layout."""
    words = {"path": ["gt_parse", "text_sequence"], "prompts": [PROMPTS[language]], "seed": None}
    build = partial(ocr.build_messages, **words)
    given = {"columns": ["ground_truth"], "build_messages": build, "max_pixels": 50_000_000} | about
    return _convert(raw, folder, on_bad_shard, **given)


def broken_invariants(row: dict) -> list[str]:
    """What a trainer would trip over in a training row of one picture."""
    messages = row["messages"]
    broken = {
        "roles alternate": [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2),
        "some turns": len(messages) > 0,
        "texts": all(isinstance(m["content"], str) for m in messages),
        "a tag for each picture": sum(m["content"].count("<image>") for m in messages) == len(row["images"]),
        "one picture": len(row["images"]) == 1 and bool(row["images"][0]["bytes"]),
        "no tag later": not any(MEDIA_TAG.search(m["content"]) for m in messages[1:]),
        "no thought": not any(THINK_TAG.search(m["content"]) for m in messages[1::2]),
    }
    return [name for name, holds in broken.items() if not holds]


def spelled(fates: list[Reason | None]) -> list[str | None]:
    """Reasons as they stand in a file."""
    return [fate and fate.value for fate in fates]
