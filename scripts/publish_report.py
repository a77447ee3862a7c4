#!/usr/bin/env python
"""Write the report: a self-contained HTML page with counts, reasons and a gallery of every artifact."""

import argparse
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from prep.reasoning.calibration import GROUPS
from prep.reasoning.calibration import MEANINGS as PLANTED
from prep.reasoning.funnel import STEPS
from prep.report import gallery
from prep.report.formatting import MEANINGS, load_template, sum_counts
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import atomic_write, read_json
from prep.storage.install import install

log = logging.getLogger(__name__)

REJECTS_PER_REASON = 2

FIGURES = {
    "asked": "asked",
    "answered": "answered",
    "from_journal": "from the journal",
    "retries": "tried again",
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "answer tokens",
    "seconds": "seconds",
}
"""The figures of a job's statistics that are summed by rule, and their headings."""


@dataclass
class Work:
    """The requests of one rule's jobs in their last runs; `failures` are counted by name."""

    rule: str
    jobs: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


def read_statistics(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statistics below `folder` (`<rule>/….json`), each with its rule.

    They are no part of the data, so missing, unknown and unreadable files are skipped.
    """
    for path in sorted(folder.rglob("*.json")):
        try:
            said = read_json(path)
        except ValueError:
            log.warning("%s: no JSON, passed over", path)
            continue
        if isinstance(said, dict):
            yield path.relative_to(folder).with_suffix("").parts[0], said


def sum_work(folder: Path) -> list[Work]:
    """The statistics below `folder`, summed by rule."""
    found: dict[str, Work] = {}
    for rule, said in read_statistics(folder):
        work = found.setdefault(rule, Work(rule))
        work.jobs += 1
        work.figures.update({key: sum(to_numbers(said.get(key)).values()) for key in FIGURES if key in said})
        work.failures.update(to_numbers(said.get("failed")))
    return list(found.values())


def sum_tokens(folder: Path) -> dict[tuple[str, str], Counter[str]]:
    """By model and mode, the answers that the artifacts are made of and the tokens that they took.

    Answers of all runs count. Attempts that failed do not.
    """
    found: dict[tuple[str, str], Counter[str]] = {}
    for _, said in read_statistics(folder):
        modes = said.get("modes")
        for mode, counts in modes.items() if isinstance(modes, dict) else ():
            found.setdefault((str(said.get("model")), mode), Counter()).update(to_numbers(counts))
    return dict(sorted(found.items()))


def to_numbers(value: Any) -> dict[str, float]:
    """The numbers of a mapping, or a lone number under the key `all`; nothing of anything else."""
    found = value.items() if isinstance(value, dict) else [("all", value)]
    return {str(key): n for key, n in found if isinstance(n, int | float) and not isinstance(n, bool)}


def sample_rejects(path: Path, rejected: dict[str, int]) -> list[dict]:
    """The first rejected rows of each reason, in the order of `rejected`; reads no further than needed."""
    found: dict[str, list[dict]] = {reason: [] for reason in rejected}
    missing = sum(min(number, REJECTS_PER_REASON) for number in rejected.values())
    if missing:
        with pq.ParquetFile(path) as file:
            for row in (row for batch in file.iter_batches(4096) for row in batch.to_pylist()):
                rows = found[row["reason"]]
                if len(rows) < REJECTS_PER_REASON:
                    rows.append(row)
                    missing -= 1
                if not missing:
                    break
    return [row for rows in found.values() for row in rows]


def build_sections(manifests: list[dict], root: Path, wanted: int) -> Iterator[dict[str, Any]]:
    """Each artifact with its gallery and a sample of its rejects, one in memory at a time."""
    for manifest in manifests:
        name = manifest["name"]
        rejected = sum_counts([manifest["rejected"]])
        yield {
            "manifest": manifest,
            "rejected": rejected,
            "examples": gallery.sample_examples(name, root / manifest["file"], wanted),
            "rejects": sample_rejects(root / "data" / "rejects" / f"{name}.parquet", rejected),
        }
        log.info("%s: done", name)


def add_worst_pages(read: list[dict], artifact: Path) -> Iterator[dict[str, Any]]:
    """What OCR read, by kind; each with the pictures of its worst row, if the artifact still holds that."""
    for kind in read:
        worst = kind["worst"]
        rows = parquet.read_rows_at(artifact, [worst["row"]] if worst["wrong"] else [])
        images = [image for row in rows if row["id"] == worst["id"] for image in row["images"]]
        yield kind | {"pictures": [gallery.make_picture(image["bytes"]) for image in images]}


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the one manifest")
    parser.add_argument("--data-root", type=Path, required=True, help="folder that holds data/")
    parser.add_argument("--stats", type=Path, required=True, help="folder with the programs' statistics")
    parser.add_argument(
        "--legibility", type=Path, nargs="?", required=True, help="what an OCR engine read, if it did"
    )
    parser.add_argument(
        "--calibration", type=Path, nargs="?", required=True, help="how often the judges err, if measured"
    )
    parser.add_argument("--rows-per-artifact", type=int, required=True, help="rows in each gallery")
    parser.add_argument(
        "--notice", nargs="?", const="", required=True, help="what a reader must know first; may be empty"
    )
    parser.add_argument("--publish", type=Path, required=True, help="out: the page")
    parser.add_argument("--data", type=Path, required=True, help="folder to install into")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    manifest = read_json(args.manifest)
    manifests = list(manifest["artifacts"].values())
    found = sum_work(args.stats)
    legibility = args.legibility and read_json(args.legibility)
    if shown := legibility and manifest["artifacts"].get("text2image"):
        legibility = list(add_worst_pages(legibility, args.data_root / shown["file"]))
    stream = load_template("publish_report.html").stream(
        notice=args.notice,
        manifests=manifests,
        totals=sum_counts(m["rejected"] for m in manifests),
        meanings=MEANINGS,
        funnels=[(m["name"], line) for m in manifests for line in m.get("funnel", ())],
        steps=STEPS,
        works=found,
        tokens=sum_tokens(args.stats),
        figures={key: words for key, words in FIGURES.items() if any(key in work.figures for work in found)},
        legibility=legibility,
        calibration=args.calibration and read_json(args.calibration),
        groups=GROUPS,
        planted=PLANTED,
        sections=build_sections(manifests, args.data_root, args.rows_per_artifact),
        config_sha256=manifest["config_sha256"],
    )
    with atomic_write(args.publish) as part:
        stream.dump(str(part), encoding="utf-8")
    install(args.data / "report.html", args.publish.read_bytes())


if __name__ == "__main__":
    program.run(main)
