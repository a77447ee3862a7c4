#!/usr/bin/env python
"""Write the dataset card: contents, method, sources and licences of the artifacts."""

import argparse
import json
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from prep.report.formatting import MEANINGS, load_template, sum_counts
from prep.runtime import program
from prep.storage.atomic import read_json, write_text
from prep.storage.install import install

log = logging.getLogger(__name__)

MARKER = "<!-- vlm-data-prep: this dataset card is written anew at every build -->"
"""Marks a card as ours, which may be replaced. Never change it: old cards would stay."""

KINDS = {
    "recap": r"LLaVA_ReCap_(558K|CC3M|CC12M)",
    "synthdog": "synthdog_(en|zh)",
    "onevision": "llavaonevision_converted/.+",
    "text2image": "text2image",
    "image_thinking": "image_thinking",
}
"""The kinds of artifact that the card describes, with patterns of their names: others are a user's own."""

GLM = ("GLM-V Team, GLM-4.5V and GLM-4.1V-Thinking (2025)", "https://arxiv.org/abs/2507.01006")
WORKS = {
    "lmms-lab/LLaVA-ReCap-": (
        "B. Li et al., LLaVA-NeXT: What Else Influences Visual Instruction Tuning Beyond Data? (2024)",
        "https://llava-vl.github.io/blog/2024-05-25-llava-next-ablations/",
    ),
    "lmms-lab/LLaVA-OneVision-Data": (
        "B. Li et al., LLaVA-OneVision: Easy Visual Task Transfer (2024)",
        "https://arxiv.org/abs/2408.03326",
    ),
    "naver-clova-ix/synthdog-": (
        "G. Kim et al., OCR-free Document Understanding Transformer (2022)",
        "https://arxiv.org/abs/2111.15664",
    ),
    "tatsu-lab/alpaca": (
        "R. Taori et al., Stanford Alpaca: An Instruction-following LLaMA Model (2023)",
        "https://github.com/tatsu-lab/stanford_alpaca",
    ),
    "Congliu/Chinese-DeepSeek-R1-Distill-data-110k": (
        "DeepSeek-AI, DeepSeek-R1: Incentivizing Reasoning Capability in LLMs (2025)",
        "https://arxiv.org/abs/2501.12948",
    ),
    "Qwen/Qwen3-": ("Qwen Team, Qwen3 Technical Report (2025)", "https://arxiv.org/abs/2505.09388"),
    "THUDM/GLM-4.": GLM,
    "zai-org/GLM-4.": GLM,
    "OpenGVLab/InternVL3_5": ("W. Wang et al., InternVL3.5 (2025)", "https://arxiv.org/abs/2508.18265"),
}
"""What to cite for a dataset or a model, by the beginning of its name."""


@dataclass
class Origin:
    """A source repository at one revision: its files, counted by state, and the artifacts that use it."""

    repo: str
    revision: str
    commit: str | None
    licence: str
    note: str
    bytes: int = 0
    states: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        """The commit, or the revision of a mirror, which has none."""
        return self.commit or f"{self.revision} (mirror)"

    @property
    def non_commercial(self) -> bool:
        """Whether the licence has the part NC, like CC-BY-NC-4.0."""
        return "NC" in re.split(r"[^A-Z]+", self.licence.upper())


def collect_origins(manifests: list[dict], licences: dict[str, dict]) -> list[Origin]:
    """The repositories behind the artifacts, in order; a file that several artifacts use counts once."""
    found: dict[tuple, Origin] = {}
    seen = set()
    for manifest in manifests:
        for file in manifest["sources"]:
            key = (file["repo"], file["revision"], file["commit"])
            known = licences.get(file["repo"], {})
            licence = known.get("licence") or "not known here: see the source"
            origin = found.setdefault(key, Origin(*key, licence, known.get("note") or ""))
            if manifest["name"] not in origin.names:
                origin.names.append(manifest["name"])
            if (*key, file["file"]) in seen:
                continue
            seen.add((*key, file["file"]))
            origin.states[file["state"]] += 1
            if file["state"] == "read":
                origin.bytes += file["bytes"]
    return list(found.values())


def glob_files(manifest: dict) -> str:
    """An artifact's file as `datasets` takes it, or the pattern of its shards."""
    return f"{manifest['name']}/*.parquet" if "files" in manifest else f"{manifest['name']}.parquet"


def list_configs(manifests: list[dict]) -> list[tuple[str, str]]:
    """The name and the files of each artifact that has rows, as JSON strings, which are YAML too."""
    return [
        (json.dumps(PurePosixPath(m["name"]).name), json.dumps(glob_files(m)))
        for m in manifests
        if not m["empty"]
    ]


def list_cited(names: list[str]) -> list[tuple[str, str]]:
    """The works behind datasets and models, by their names: in the order of WORKS, each once."""
    return list(
        dict.fromkeys(work for start, work in WORKS.items() if any(name.startswith(start) for name in names))
    )


def find_kind(name: str) -> str | None:
    """The kind of an artifact; None for a user's own."""
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)), None)


def build_card(manifest: dict, about: dict, calibration: dict | None = None) -> str:
    """The card's Markdown, with the header that the Hugging Face hub and `datasets` read.

    `about` says what the manifest does not: `notice` (text or null); `licences` by repository, each with
    `licence` and `note`; `forms` of converted artifacts; `teachers` by artifact, each with the models
    `teacher`, `judge` and others, the judge's `prompt`, what `requests` carry, and `several` where there are
    several teachers. `calibration` says how often the judges err, where that was measured.
    """
    manifests = list(manifest["artifacts"].values())
    names = [m["name"] for m in manifests]
    origins = collect_origins(manifests, about["licences"])
    models = [
        model
        for name in names
        for role in ("teacher", "judge")
        for model in about["teachers"].get(name, {}).get(role, ())
    ]
    return load_template("publish_card.md").render(
        marker=MARKER,
        notice=about["notice"],
        teachers=about["teachers"],
        judged=list(calibration["tasks"].values()) if calibration else [],
        manifests=manifests,
        names=names,
        origins=origins,
        cited=list_cited([*(origin.repo for origin in origins), *models]),
        configs=list_configs(manifests),
        kinds=set(map(find_kind, names)),
        others={
            name: about["forms"][name] for name in names if name in about["forms"] and not find_kind(name)
        },
        rejected=sum_counts(m["rejected"] for m in manifests),
        meanings=MEANINGS,
        example=next(((m["name"], glob_files(m)) for m in manifests if not m["empty"]), None),
        sharded=any("files" in m for m in manifests),
        config_sha256=manifest["config_sha256"],
    )


def choose_path(data: Path) -> Path:
    """The card's path: README.md, unless that is a file of someone else."""
    readme = data / "README.md"
    if readme.exists() and MARKER.encode() not in readme.read_bytes():
        return data / "DATASET_CARD.md"
    return readme


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the one manifest")
    parser.add_argument("--about", type=json.loads, required=True, help="JSON: notice, licences, teachers")
    parser.add_argument(
        "--calibration", type=Path, nargs="?", required=True, help="how often the judges err, if measured"
    )
    parser.add_argument("--publish", type=Path, required=True, help="out: the card")
    parser.add_argument("--data", type=Path, required=True, help="folder to install into")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    calibration = args.calibration and read_json(args.calibration)
    write_text(args.publish, build_card(read_json(args.manifest), args.about, calibration))
    install(choose_path(args.data), args.publish.read_bytes())


if __name__ == "__main__":
    program.run(main)
