"""A build folder of the real sources' size, as far as Snakemake looks at it: listings, and empty files.

Shards are as many as the hub has; a OneVision config has 1 to 10 of them, as its number says. Files are as
large as none: what is measured is the plan.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import yaml
from conftest import ROOT

from prep.storage.atomic import write_json
from workflow import artifact_of

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
ROWS = 2000
"""Rows of a shard."""
SHARDS = {
    "LLaVA_ReCap_558K": 26,
    "LLaVA_ReCap_CC3M": 280,
    "LLaVA_ReCap_CC12M": 943,
    "synthdog_en": 84,
    "synthdog_zh": 87,
    **{artifact_of(name): 1 + 7 * number % 10 for number, name in enumerate(CONFIG["onevision"]["configs"])},
}
QUESTIONS = {
    source["repo"].rpartition("/")[2]: (source["repo"], file)
    for source, file in zip(
        CONFIG["text_reasoning"]["sources"],
        ("distill_r1_110k.jsonl", "data/train-00000-of-00001.parquet"),
        strict=True,
    )
}
TEXT_BATCHES, IMAGE_BATCHES = 17, 9


def shards(name: str, more: int = 0) -> list[str]:
    """The stems of an artifact's shards, which are so many more than at the hub."""
    count = SHARDS[name] + more
    return [f"train-{number:05d}-of-{count:05d}" for number in range(count)]


def listed(folder: Path, more: Mapping[str, int] = MappingProxyType({})) -> None:
    """What stands when sources are listed and questions cut into batches; some have `more` shards."""
    for name in SHARDS:
        files = [_file(f"data/{stem}.parquet", ROWS) for stem in shards(name, more.get(name, 0))]
        _listing(folder, name, "some/repo", files)
    for name, (repo, file) in QUESTIONS.items():
        _listing(folder, name, repo, [_file(file, None)])
        for suffix in (".parquet", ".rejects.parquet", ".json"):
            _empty(folder, f"work/read_questions/{name}{suffix}")
    for batch in range(TEXT_BATCHES):
        for suffix in ("parquet", "json"):
            _empty(folder, f"work/batch_questions/{batch:05d}.{suffix}")


def raw(folder: Path) -> None:
    """The raw files."""
    for name in SHARDS:
        _empty(folder, *(f"raw/{name}/{stem}.parquet" for stem in shards(name)))
    for name, (_, file) in QUESTIONS.items():
        _empty(folder, f"raw/{name}/{Path(file).name}")


def built(folder: Path) -> None:
    """All that a whole run leaves; Snakemake is still to take note of it (--touch)."""
    listed(folder)
    raw(folder)
    for name in SHARDS:
        converter = "convert_ocr" if name.startswith("synthdog") else "convert_llava"
        for stem in shards(name):
            _empty(folder, f"work/fetch_shard/{name}/{stem}.parquet.json")
            for suffix in (".parquet", ".rejects.parquet", ".json"):
                _empty(folder, f"work/{converter}/{name}/{stem}{suffix}")
        _empty(folder, f"work/gather_parts/{name}.json")
        if name.startswith("llavaonevision"):
            _empty(folder, f"work/sample_images/{name}.parquet", f"work/sample_images/{name}.json")
    for name in (*SHARDS, "text2image", "image_thinking"):
        _empty(folder, f"data/{name}.parquet", f"data/rejects/{name}.parquet")
        _empty(folder, f"work/publish/verified/{name}.txt")
        write_json(folder / f"work/assemble_artifact/{name}.json", {"files": {}})
        write_json(folder / f"data/manifest/{name}.json", {})
    for name, (_, file) in QUESTIONS.items():
        _empty(folder, f"work/fetch_shard/{name}/{Path(file).name}.json")
    for kind, count, last in (
        ("text", TEXT_BATCHES, "render_text"),
        ("image", IMAGE_BATCHES, "select_image"),
    ):
        for batch in range(count):
            for suffix in (".parquet", ".json"):
                _empty(folder, f"work/answer_{kind}/{batch:05d}{suffix}")
                _empty(folder, f"work/judge_{kind}/{batch:05d}{suffix}")
            for suffix in (".parquet", ".rejects.parquet", ".json"):
                _empty(folder, f"work/{last}/{batch:05d}{suffix}")
    _empty(folder, "work/servers/qwen3/probe.json", "work/servers/glm41v/probe.json")
    _empty(folder, "data/legibility.json", "data/manifest.json", "data/report.html")
    for file in ("dataset_info.json", "manifest.json", "README.md", "report.html"):
        _empty(folder, f"work/publish/{file}")
    for source in CONFIG["sources"].values():
        _resolved(folder, source)
    for source in (CONFIG["onevision"], *CONFIG["text_reasoning"]["sources"]):
        _resolved(folder, source)


def _resolved(folder: Path, source: dict) -> None:
    _empty(folder, f"work/resolve_revision/{source['repo']}@{source['revision']}.json")


def _file(path: str, rows: int | None) -> dict:
    digest = hashlib.sha256(path.encode()).hexdigest()
    return {"file": path, "bytes": 490_000_000, "sha256": digest, "rows": rows, "take": None}


def _listing(folder: Path, source: str, repo: str, files: list[dict]) -> None:
    found = {
        "source": source,
        "repo": repo,
        "revision": "main",
        "commit": "0" * 40,
        "files": files,
        "missing": [],
    }
    write_json(folder / f"work/list_shards/{source}.json", found)


def _empty(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
