#!/usr/bin/env python
"""Write a LLaMA-Factory config for each stage of training: the mixture of what was built, and its reading."""

import argparse
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prep.report.formatting import load_template
from prep.runtime import program
from prep.storage.atomic import read_json, write_text
from prep.storage.install import install

log = logging.getLogger(__name__)

ABOUT = {
    "stage1": "captions align the projector with the language model",
    "stage2.1": "captions and pages teach what pictures show",
    "stage2.2": "instructions teach to answer about pictures",
    "stage3": "reasoning, with and without a thought",
}
"""The stages of training in order, and what each is for."""

STREAMED_BYTES = 20_000_000_000
"""A stage of more is streamed: unless it is, the trainer writes two further copies of it to disk."""

STEP_ROWS = 256
"""Rows of a step, as the template has them: 4 a GPU, 8 times, on 8 GPUs."""

SHARES = 1_000_000
"""Probabilities have six digits."""

SEAL = "# Edit this file, and the build leaves it alone. As the build wrote it, the rest has the sha256 "
"""The begin of the first line. Never change it: files that users edited would be replaced."""

NO_CONFIG = "# No artifact of this stage has rows, so there is nothing to train.\n"
"""What stands in the place of a stage's config in work/publish/, where each stage has a file."""


@dataclass(frozen=True)
class Dataset:
    """A dataset of a mixture: its key in dataset_info.json, its rows and bytes, and its share of the rows."""

    key: str
    rows: int
    bytes: int
    share: str


def count_shares(rows: list[int]) -> list[int]:
    """Split SHARES by rows; none is 0, and they add up, since the trainer takes no other probabilities."""
    total = sum(rows)
    shares = [max(1, SHARES * each // total) for each in rows]
    shares[shares.index(max(shares))] += SHARES - sum(shares)
    return shares


def build_mixture(manifests: list[dict]) -> list[Dataset]:
    """The datasets of the artifacts that have rows; `datasets` cannot load one without."""
    filled = [manifest for manifest in manifests if manifest["rows"]]
    shares = count_shares([manifest["rows"] for manifest in filled]) if filled else []
    return [
        Dataset(PurePosixPath(m["name"]).name, m["rows"], m["bytes"], f"{share / SHARES:.6f}")
        for m, share in zip(filled, shares, strict=True)
    ]


def build_configs(
    stages: dict[str, list[str]], artifacts: dict[str, dict], max_pixels: int
) -> dict[str, str]:
    """The text of each stage's config, by the stage's name; `artifacts` are manifests by name.

    A stage of which no artifact has rows has no config; each goes on from the one before it that has one.
    """
    template, configs, model = load_template("publish_llamafactory.yaml"), {}, "path/to/model"
    for stage, names in stages.items():
        mixture = build_mixture([artifacts[name] for name in names if name in artifacts])
        if not mixture:
            continue
        rows, size = sum(each.rows for each in mixture), sum(each.bytes for each in mixture)
        configs[stage] = template.render(
            stage=stage,
            about=ABOUT[stage],
            mixture=mixture,
            rows=rows,
            bytes=size,
            streamed=size > STREAMED_BYTES,
            sharded=any("files" in artifacts[name] for name in names if name in artifacts),
            steps=-(-rows // STEP_ROWS),
            max_pixels=max_pixels,
            model=model,
        )
        model = f"saves/{stage}"
    return configs


def seal(text: str) -> str:
    """A config with the first line that tells whether it was edited since."""
    return f"{SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def is_edited(content: bytes) -> bool:
    """Whether a file is not as the build wrote it."""
    first, _, rest = content.partition(b"\n")
    return first != f"{SEAL}{hashlib.sha256(rest).hexdigest()}".encode()


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the one manifest")
    parser.add_argument("--stages", type=json.loads, required=True, help="JSON: names of artifacts by stage")
    parser.add_argument("--max-pixels", type=int, required=True, help="larger pictures are scaled down")
    parser.add_argument("--publish", type=Path, nargs="+", required=True, help="out: each stage's config")
    parser.add_argument("--data", type=Path, required=True, help="folder to install into")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    artifacts = read_json(args.manifest)["artifacts"]
    configs = build_configs(args.stages, artifacts, args.max_pixels)
    for published in args.publish:
        standing, text = args.data / "llamafactory" / published.name, configs.get(published.stem)
        write_text(published, seal(text) if text else NO_CONFIG)
        if standing.exists() and is_edited(standing.read_bytes()):
            log.info("%s was edited and stays; %s is this build's", standing, published)
        elif text:
            install(standing, published.read_bytes())
        else:
            standing.unlink(missing_ok=True)


if __name__ == "__main__":
    program.run(main)
