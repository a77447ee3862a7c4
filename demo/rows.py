"""The rows of the sample corpus: written texts with the pictures that they describe."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import draw_figure
from pages import draw_page
from photographs import encode, make_picture

Row = dict[str, Any]

PROMPTS = [
    "<image>\nDescribe this picture in detail.",
    "<image>\nWhat can you see here?",
    "<image>\nWrite a caption for this photograph.",
    "<image>\nPlease describe what the image shows.",
]
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}

CONVERSATION = ["id", "image", "conversations", "data_source"]
PAGE = ["image", "ground_truth"]
INSTRUCTION = ["instruction", "input", "output", "text"]
THOUGHT = ["input", "reasoning_content", "content", "repo_name", "score"]


@dataclass(frozen=True)
class Shard:
    """A file of a dataset: its rows, and for each the reason why it will be rejected, None if it will not."""

    repo: str
    config: str
    split: str
    path: str
    columns: list[str]
    rows: list[Row]
    reasons: list[str | None]


def all_shards() -> list[Shard]:
    """Every shard of the corpus; those of a dataset stand together."""
    return [*caption_shards(), *page_shards(), *figure_shards(), *question_shards()]


def caption_shards() -> Iterator[Shard]:
    """Photographs with captions; the last of the sets comes in two shards."""
    for name, entries in load_texts("recap").items():
        rows = [build_caption(number, entry) for number, entry in enumerate(entries)]
        reasons = [entry.get("reason") for entry in entries]
        shards = 2 if name == "LLaVA-ReCap-CC12M" else 1
        size = len(rows) // shards
        for shard in range(shards):
            part = slice(shard * size, (shard + 1) * size)
            path = f"data/train-{shard:05}-of-{shards:05}.parquet"
            yield Shard(f"lmms-lab/{name}", "default", "train", path, CONVERSATION, rows[part], reasons[part])


def build_caption(number: int, entry: Row) -> Row:
    """A photograph, a request for its description, the caption, and what else is said about it."""
    ask = entry.get("ask", PROMPTS[number % len(PROMPTS)])
    turns = [ask, " ".join(entry["caption"].split()), *entry.get("later", [])]
    suffix = SUFFIXES[entry.get("format", "JPEG")]
    return build_conversation(entry["id"], make_picture(entry), suffix, turns, "scikit-image")


def build_conversation(name: str, data: bytes | None, suffix: str, turns: list[str], source: str) -> Row:
    """A row about one picture, or about none where there are no bytes."""
    speakers = ["human", "gpt"]
    return {
        "id": name,
        "image": None if data is None else {"bytes": data, "path": f"{name}.{suffix}"},
        "conversations": [{"from": speakers[n % 2], "value": turn} for n, turn in enumerate(turns)],
        "data_source": source,
    }


def page_shards() -> Iterator[Shard]:
    """Pages of text with what is written on them."""
    for name, splits in load_texts("pages").items():
        for split, entries in splits.items():
            space = "" if name.endswith("zh") else " "
            rows = [build_page(number, entry, space) for number, entry in enumerate(entries)]
            reasons = [entry.get("reason") for entry in entries]
            repo = f"naver-clova-ix/{name}"
            yield Shard(repo, "default", split, hashed_path(repo, split), PAGE, rows, reasons)


def build_page(number: int, entry: Row, space: str) -> Row:
    """A drawn page and its ground truth, which is Python's notation instead of JSON where that is wanted."""
    title, text = entry["title"], space.join(entry["text"].split())
    data = encode(draw_page(number, title, text, entry.get("traditional", False)), "JPEG")
    truth = {"gt_parse": {"text_sequence": f"{title} {text}".strip()}}
    valid = entry.get("reason") != "ground_truth_invalid"
    return {
        "image": {"bytes": data, "path": f"image_{number}.jpg"},
        "ground_truth": json.dumps(truth, ensure_ascii=False) if valid else str(truth),
    }


def figure_shards() -> Iterator[Shard]:
    """Charts, tables, geometry and signs, with questions and answers about them."""
    repo, path = "lmms-lab/LLaVA-OneVision-Data", "train-00000-of-00001.parquet"
    for config, entries in load_texts("figures").items():
        rows = [build_figure(number, entry) for number, entry in enumerate(entries)]
        reasons = [entry.get("reason") for entry in entries]
        yield Shard(repo, config, "train", f"{config}/{path}", CONVERSATION, rows, reasons)


def build_figure(number: int, entry: Row) -> Row:
    """A drawn figure and the dialogue about it."""
    form = "JPEG" if "word" in entry else "PNG"
    data = encode(draw_figure(number, entry), form)
    return build_conversation(entry["id"], data, SUFFIXES[form], entry["turns"], "drawn")


def question_shards() -> Iterator[Shard]:
    """Questions with known answers, in English and in Chinese."""
    questions = load_texts("questions")
    entries = questions["alpaca"]
    rows = [{**entry, "input": entry.get("input", ""), "text": join_prompt(entry)} for entry in entries]
    repo, path = "tatsu-lab/alpaca", hashed_path("tatsu-lab/alpaca", "train")
    yield Shard(repo, "default", "train", path, INSTRUCTION, rows, [entry.get("reason") for entry in entries])

    rows = [{**entry, "repo_name": "vlm-data-prep/demo", "score": 10} for entry in questions["chinese"]]
    repo = "Congliu/Chinese-DeepSeek-R1-Distill-data-110k"
    yield Shard(repo, "default", "train", "distill_r1_110k.jsonl", THOUGHT, rows, [None] * len(rows))


def join_prompt(entry: Row) -> str:
    """Instruction, input and output in one text."""
    parts = [
        ("Instruction", entry["instruction"]),
        ("Input", entry.get("input")),
        ("Response", entry["output"]),
    ]
    return "\n\n".join(f"### {head}:\n{text}" for head, text in parts if text is not None)


def load_texts(name: str) -> dict[str, Any]:
    """One of the files of texts that lie beside this program."""
    return tomllib.loads((Path(__file__).parent / "texts" / f"{name}.toml").read_text(encoding="utf-8"))


def hashed_path(repo: str, split: str) -> str:
    """A name of the older kind, with 16 hex digits."""
    digest = hashlib.sha256(f"{repo}/{split}".encode()).hexdigest()[:16]
    return f"data/{split}-00000-of-00001-{digest}.parquet"
