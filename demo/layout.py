"""Dataset files in the layout of the Hugging Face hub: shards, cards and the manifest."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from photographs import TERMS
from prep.storage.schema import IMAGE
from rows import Shard

TITLE = "# Sample corpus of vlm-data-prep"
"""The first line of the manifest, which identifies a corpus of ours."""

TEXT = {"dtype": "string", "_type": "Value"}
TURNS = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
SPECIAL = {
    "image": (IMAGE, {"_type": "Image"}),
    "conversations": (TURNS, [{"from": TEXT, "value": TEXT}]),
}
"""Type and Hugging Face feature of the columns that are not strings."""

ABOUT = """\
Sample rows in the layout of `{repo}`, made for the demo of vlm-data-prep.
No row of the published dataset is among them. Sources and licences: see MANIFEST.md.
"""


def encode_shard(shard: Shard) -> bytes:
    """The shard's file: Parquet in row groups of 8, or JSON Lines."""
    rows = [{column: row[column] for column in shard.columns} for row in shard.rows]
    if shard.path.endswith(".jsonl"):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    kinds = {column: SPECIAL.get(column, (pa.string(), TEXT)) for column in shard.columns}
    features = {column: feature for column, (_, feature) in kinds.items()}
    info = json.dumps({"info": {"features": features}})
    schema = pa.schema([(column, kind) for column, (kind, _) in kinds.items()], {"huggingface": info})
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer, row_group_size=8)
    return buffer.getvalue().to_pybytes()


def build_card(repo: str, shards: list[Shard]) -> str:
    """The README.md of a dataset: its configs with their files, and, for Parquet, features and row counts."""
    configs: dict[str, list[Shard]] = {}
    for shard in shards:
        configs.setdefault(shard.config, []).append(shard)
    lines = ["---"]
    if not shards[0].path.endswith(".jsonl"):
        lines += ["dataset_info:"]
        for config, of_config in configs.items():
            lines += [
                f"- config_name: {config}",
                *list_features(of_config[0].columns),
                *list_splits(of_config),
            ]
    lines += ["configs:"]
    for config, of_config in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, path in {shard.split: file_pattern(shard) for shard in of_config}.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", "", ABOUT.format(repo=repo)])


def list_features(columns: list[str]) -> list[str]:
    """The columns as a card lists them."""
    lines = ["  features:"]
    for column in columns:
        lines += [f"  - name: {column}"]
        if column == "conversations":
            lines += ["    list:"]
            lines += [f"    - name: {key}\n      dtype: string" for key in ("from", "value")]
        else:
            lines += [f"    dtype: {'image' if column == 'image' else 'string'}"]
    return lines


def list_splits(shards: list[Shard]) -> list[str]:
    """The splits of a config with their row counts."""
    counts: dict[str, int] = {}
    for shard in shards:
        counts[shard.split] = counts.get(shard.split, 0) + len(shard.rows)
    lines = ["  splits:"]
    return lines + [f"  - name: {name}\n    num_examples: {count}" for name, count in counts.items()]


def file_pattern(shard: Shard) -> str:
    """The files of the shard's split, as a card names them."""
    if shard.path.endswith(".jsonl"):
        return shard.path
    folder = shard.path.rpartition("/")[0]
    return f"{folder}/{shard.split}-*"


def build_manifest(shards: list[Shard]) -> str:
    """What the corpus holds, which rows are bad on purpose, and the terms of all that it is made of."""
    files = [
        f"| {shard.repo} | `{shard.path}` | {len(shard.rows)} | {list_bad_rows(shard)} |" for shard in shards
    ]
    photographs = [f"| `{name}` | {terms} |" for name, terms in TERMS.items()]
    return "\n".join([MANIFEST_HEAD, *files, MANIFEST_SOURCES, *photographs, ""])


def list_bad_rows(shard: Shard) -> str:
    """The rows that are to be rejected, with their reasons."""
    return ", ".join(f"row {row}: {reason}" for row, reason in enumerate(shard.reasons) if reason)


MANIFEST_HEAD = f"""\
{TITLE}

Written by `demo/build_corpus.py`, which replaces this folder as a whole. A few rows are bad on purpose, so
that the build has something to reject.

| dataset | file | rows | bad on purpose |
| --- | --- | --- | --- |"""

MANIFEST_SOURCES = """
## Sources and licences

Texts, questions, answers and captions were written for the project, and pages, charts, tables, geometry and
signs are drawn by it: Apache-2.0, like the project. Letters are drawn with Noto Sans and Noto Sans CJK
(OFL-1.1), which are not part of the corpus. The poem on one Chinese page is by Li Bai (701 to 762).

The photographs are cropped, scaled or recoloured from files that the wheel of scikit-image carries. Only
those are used whose loader states that they are CC0 or in the public domain:

| file of `skimage/data` | terms |
| --- | --- |"""
