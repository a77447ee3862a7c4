#!/usr/bin/env python
"""Write the report: one HTML page to search, with counts, charts and rows of every artifact."""

import argparse
import base64
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from prep.reasoning.calibration import GROUPS, Group
from prep.reasoning.calibration import MEANINGS as PLANTED
from prep.reasoning.funnel import STEPS
from prep.report import answers, distributions, gallery, rejects, scores, work
from prep.report.answers import Answer, Asked, Teachers
from prep.report.benchmarks import sum_benchmarks
from prep.report.charts import draw_histogram, draw_rates
from prep.report.formatting import MEANINGS, TEMPLATES, format_share, load_template, sum_counts
from prep.report.gallery import Limits
from prep.report.rejects import RawRows, Reject
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import atomic_write, read_json
from prep.storage.install import install

log = logging.getLogger(__name__)

PICTURE_BYTES, CONVERTED_CHARACTERS, REASONED_CHARACTERS = 6_200_000, 1_700_000, 1_400_000
"""What all rows together may take of a page that is to stay below 15 MB; base64 adds a third to pictures."""
REJECTS_PER_REASON, FEWEST_REJECTS, MOST_REJECTS = 10, 2, 3000
"""Examples of each reason of an artifact, if it has as many; fewer where the page would have too many."""
REJECTED_PICTURES, OF_A_REASON = 6, 2
"""Of an artifact, and of one of its reasons, how many rejected rows are looked up in raw shards."""
ROWS_OF_A_SCORE = 3
"""Of each mode and score of an artifact of stage 3, how many rows are shown."""
SIDE_BY_SIDE = 6
"""Of an artifact of stage 3, how many questions are shown with kept and rejected answers."""
LOW_SHARE = 0.5
"""An artifact with a smaller share of its rows kept is pointed out."""
STAGES = {
    "stage1": "Stage 1: captions align the projector",
    "stage2.1": "Stage 2.1: captions and pages",
    "stage2.2": "Stage 2.2: instructions about pictures",
    "stage3": "Stage 3: reasoning",
}
"""The stages of training in order, by the names that `data/llamafactory/` has."""
SUMS = {Group.WRONG: "errors that passed", Group.RIGHT: "right answers that failed"}
"""What a judge got wrong of each group of planted answers."""


@dataclass(frozen=True)
class Share:
    """What a row of each kind may take on the page, so that the page stays below its size."""

    converted: Limits
    reasoned: Limits
    rejects: int


@dataclass(frozen=True)
class Alert:
    """What is to be looked at first: `level` is `none` (no row was kept), `low` or `bad`."""

    level: str
    name: str
    text: str


@dataclass(frozen=True)
class StageGroup:
    """The artifacts of a stage of training; those of which the least was kept come first."""

    title: str
    manifests: list[dict]
    is_open: bool


@dataclass(frozen=True)
class ShownReject:
    """A rejected row, with its question and the answer where it has them (stage 3)."""

    reject: Reject
    asked: Asked | None
    answer: Answer | None


@dataclass(frozen=True)
class Section:
    """An artifact's part of the page. `rejects` are examples by reason, the most frequent reason first."""

    rejected: dict[str, int]
    sampled: int
    distributions: list[distributions.Distribution]
    scores: scores.Scores | None
    examples: list[gallery.Example]
    rejects: dict[str, list[ShownReject]]
    side_by_side: list[Asked] | None
    asked: dict[str, Asked]
    """The questions of the examples, by the ids of these (stage 3)."""
    verdicts: dict[str, dict]
    """The verdicts on the examples, by their ids."""


def share_page(manifests: list[dict], wanted: int, has_raw: bool) -> Share:
    """Share the page out among the rows that the artifacts show, by the counts of their manifests.

    With raw shards, rejected rows have pictures too.
    """
    due = [min(count, REJECTS_PER_REASON) for m in manifests for count in m["rejected"].values()]
    scale = min(1.0, MOST_REJECTS / max(1, sum(due)))
    of_each = max(FEWEST_REJECTS, int(REJECTS_PER_REASON * scale))
    converted = sum(min(m["kept"], wanted) for m in manifests if m["name"] not in answers.WHAT)
    reasoned = sum(min(m["kept"], 40) for m in manifests if m["name"] in answers.WHAT)
    pictured = sum(
        min(REJECTED_PICTURES, sum(min(count, OF_A_REASON) for count in m["rejected"].values()))
        for m in (manifests if has_raw else [])
    )
    picture_bytes = PICTURE_BYTES // max(1, converted + reasoned + pictured)
    return Share(
        *(
            Limits(
                max(2000, min(gallery.THUMBNAIL_BYTES, picture_bytes)),
                max(600, min(gallery.SHOWN, characters // max(1, rows))),
            )
            for characters, rows in (
                (CONVERTED_CHARACTERS, converted),
                # Beside the kept ones: twice as many rejected and side by side, and questions.
                (REASONED_CHARACTERS, 5 * reasoned),
            )
        ),
        of_each,
    )


def list_alerts(manifests: list[dict], legibility: list[dict]) -> list[Alert]:
    """What a reader must see first, the worst on top."""
    found = []
    for m in manifests:
        name, read = m["name"], m["read"]
        if not m["kept"]:
            why = ", ".join(f"{reason} {count:,}" for reason, count in sum_counts([m["rejected"]]).items())
            found.append(Alert("none", name, f"0 of {read:,} rows kept{f': {why}' if why else ''}"))
        elif m["kept"] < LOW_SHARE * read:
            said = f"{format_share(m['kept'], read)} of {read:,} rows kept"
            found.append(Alert("low", name, said))
        for state in ("bad", "missing"):
            if files := [file for file in m["sources"] if file["state"] == state]:
                found.append(Alert("bad", name, f"{len(files):,} of its source files {state}"))
    missed = [read["kind"] for read in legibility if 100 * read["wrong"] > read["bar"] * read["characters"]]
    if missed:
        found.append(Alert("bad", "legibility", f"pages are read wrongly: {', '.join(missed)}"))
    return sorted(found, key=lambda alert: ("none", "low", "bad").index(alert.level))


def group_artifacts(manifests: list[dict], stages: dict[str, list[str]]) -> list[StageGroup]:
    """The artifacts by stage of training; in a stage, those of which nothing or less was kept come first."""
    titles = {name: STAGES[stage] for stage, names in stages.items() for name in names}
    found: dict[str, list[dict]] = {title: [] for title in STAGES.values()}
    for m in manifests:
        found.setdefault(titles.get(m["name"], "Other artifacts"), []).append(m)
    is_short = len(manifests) <= 30
    return [
        StageGroup(title, sorted(group, key=_by_need), is_short or len(group) <= 12)
        for title, group in found.items()
        if group
    ]


def _by_need(manifest: dict) -> int:
    """Whether an artifact stands before others: nothing, or little of it was kept."""
    return 0 if not manifest["kept"] else 1 if manifest["kept"] < LOW_SHARE * manifest["read"] else 2


@dataclass(frozen=True)
class Repeats:
    """Rows of an artifact that repeat others, by what they share: of its own, and of artifacts before it."""

    name: str
    rows: int
    within: dict[str, int]
    of_others: dict[str, int]


def list_repeats(duplicates: dict[str, Any], manifests: list[dict]) -> list[Repeats]:
    """What `make duplicates` counted; nothing where an artifact has more or fewer rows than then."""
    rows = {m["name"]: m["kept"] for m in manifests}
    if any(rows.get(name) != about["rows"] for name, about in duplicates.items()):
        return []
    return [
        Repeats(
            name,
            about["rows"],
            {kind: counts["within"] for kind, counts in about["repeats"].items()},
            {kind: sum(counts["of_others"].values()) for kind, counts in about["repeats"].items()},
        )
        for name, about in duplicates.items()
    ]


def list_rates(task: dict[str, Any]) -> list[tuple[str, float, list[float]]]:
    """The rates of a judge with their intervals, where there are any, in the order of the table."""
    lines = []
    for group, kinds in GROUPS.items():
        if group in task["sums"]:
            lines.append((SUMS[group], task["sums"][group]))
        lines += [(PLANTED[kind].replace("`", ""), task["kinds"][kind]) for kind in kinds]
    return [(label, line["rate"], line["interval"]) for label, line in lines if line["rate"] is not None]


class Sections:
    """Builds the part of each artifact, one in memory at a time. `root` holds data/, work/ and raw/."""

    def __init__(
        self, root: Path, wanted: int, share: Share, raw: RawRows, teachers: dict[str, Teachers]
    ) -> None:
        self._root, self._wanted, self._share, self._raw = root, wanted, share, raw
        self._teachers = teachers

    def build(self, manifest: dict) -> Section:
        """An artifact's counts, charts and rows."""
        name, path = manifest["name"], self._root / manifest["file"]
        rejected = sum_counts([manifest["rejected"]])
        rows = parquet.count_rows(path)
        measured = gallery.sample_neighbours(name, rows, self._wanted)
        shown = gallery.sample_rows(name, rows, self._wanted)
        counted = scores.count_scores(path, name, ROWS_OF_A_SCORE if self._wanted else 0)
        if counted:
            shown = [*shown, *counted.positions]
        limits = self._share.reasoned if counted else self._share.converted
        measures, examples = distributions.Measures(), []
        positions = sorted({*measured, *shown})
        among, sampled = set(shown), set(measured)
        for position, row in zip(positions, parquet.read_rows_at(path, positions), strict=True):
            if position in sampled:
                measures.add(row)
            if position in among:
                examples.append(gallery.build_example(row, limits))
        dropped = self._root / "data" / "rejects" / f"{name}.parquet"
        found = rejects.sample_rejects(dropped, name, self._share.rejects) if rejected else {}
        asked, both, shown_ids = {}, None, [example.id for example in examples if "#" in example.id]
        if name in answers.WHAT:
            both = answers.find_questions_with_both(path, dropped, name, SIDE_BY_SIDE)
            ids = [
                row["id"].rpartition("#")[0] for rows in found.values() for row in rows if "#" in row["id"]
            ]
            questions = dict.fromkeys([*both, *ids, *(id_.rpartition("#")[0] for id_ in shown_ids)])
            teachers, folder = self._teachers.get(name, Teachers()), self._root / "work"
            asked = answers.read_asked(folder, name, path, dropped, questions, teachers, limits)
            for id_, tokens in answers.read_tokens(folder, name, measures.characters, teachers).items():
                measures.add_tokens(id_, *tokens)
        section = Section(
            rejected,
            measures.rows,
            measures.list_distributions(),
            counted,
            examples,
            dict(self._build_rejects(found, rejected, asked, limits)),
            None if both is None else [asked[question] for question in both],
            {id_: asked[id_.rpartition("#")[0]] for id_ in shown_ids if asked},
            {answer.id: answer.verdict for each in asked.values() for answer in each.answers},
        )
        log.info("%s: done", name)
        return section

    def _build_rejects(
        self, found: dict[str, list[dict]], rejected: dict[str, int], asked: dict[str, Asked], limits: Limits
    ) -> Iterator[tuple[str, list[ShownReject]]]:
        """The examples of each reason, in the order of `rejected`; some have pictures of the raw shard."""
        looked_up = 0
        for reason in rejected:
            shown = []
            for number, row in enumerate(found.get(reason, [])):
                of = asked.get(row["id"].rpartition("#")[0])
                pictures, text = of.pictures if of else [], None
                if not of and number < OF_A_REASON and looked_up < REJECTED_PICTURES:
                    pictures, text = self._raw.find(row["id"], row["source_file"], row["row"], limits)
                    looked_up += 1
                answer = next((each for each in of.answers if each.id == row["id"]), None) if of else None
                shown.append(ShownReject(rejects.build_reject(row, pictures, text), of, answer))
            yield reason, shown


def add_worst_pages(read: list[dict], artifact: Path) -> Iterator[dict[str, Any]]:
    """What OCR read, by kind; each with the pictures of its worst row, if the artifact still holds that."""
    for kind in read:
        worst = kind["worst"]
        rows = parquet.read_rows_at(artifact, [worst["row"]] if worst["wrong"] else [])
        images = [image for row in rows if row["id"] == worst["id"] for image in row["images"]]
        yield kind | {"pictures": [gallery.make_picture(image["bytes"]) for image in images]}


def load_asset(name: str) -> dict[str, Markup]:
    """A style or script of ours, and its digest for the page's Content-Security-Policy (CSP level 2)."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": Markup(text), "digest": Markup(f"sha256-{digest}")}


def read_teachers(text: str) -> dict[str, Teachers]:
    """The flag of several teachers: JSON, by artifact."""
    return {name: Teachers(**about) for name, about in json.loads(text).items()}


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the one manifest")
    parser.add_argument("--data-root", type=Path, required=True, help="folder that holds data/ and work/")
    parser.add_argument("--stages", type=json.loads, required=True, help="JSON: artifacts by stage")
    parser.add_argument(
        "--picture-columns", type=json.loads, required=True, help="JSON: where a source's is not `image`"
    )
    parser.add_argument(
        "--teachers", type=read_teachers, required=True, help="JSON: names and samples, of several"
    )
    parser.add_argument("--stats", type=Path, required=True, help="folder with the programs' statistics")
    parser.add_argument(
        "--legibility", type=Path, nargs="?", required=True, help="what an OCR engine read, if it did"
    )
    parser.add_argument(
        "--calibration", type=Path, nargs="?", required=True, help="how often the judges err, if measured"
    )
    parser.add_argument(
        "--duplicates", type=Path, nargs="?", required=True, help="which rows repeat others, if counted"
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
    found = work.sum_work(args.stats)
    legibility = (args.legibility and read_json(args.legibility)) or []
    if shown := manifest["artifacts"].get("text2image"):
        legibility = list(add_worst_pages(legibility, args.data_root / shown["file"]))
    grounded: Counter[bool | None] = Counter()
    if judged := manifest["artifacts"].get("image_thinking"):
        path = args.data_root / judged["file"]
        dropped = args.data_root / "data" / "rejects" / "image_thinking.parquet"
        teachers = args.teachers.get("image_thinking", Teachers())
        grounded = answers.count_grounded(args.data_root / "work", path, dropped, teachers)
    raw = RawRows(args.data_root / "raw", args.picture_columns)
    share = share_page(manifests, args.rows_per_artifact, (args.data_root / "raw").is_dir())
    sections = Sections(args.data_root, args.rows_per_artifact, share, raw, args.teachers)
    stream = load_template("publish_report.html").stream(
        style=load_asset("publish_report.css"),
        script=load_asset("publish_report.js"),
        notice=args.notice,
        manifests=manifests,
        groups=group_artifacts(manifests, args.stages),
        alerts=list_alerts(manifests, legibility),
        low_share=LOW_SHARE,
        build=sections.build,
        draw_histogram=draw_histogram,
        totals=sum_counts(m["rejected"] for m in manifests),
        meanings=MEANINGS,
        funnels=[(m["name"], line) for m in manifests for line in m.get("funnel", ())],
        steps=STEPS,
        works=found,
        tokens=work.sum_tokens(args.stats),
        gpu_time=work.measure_gpu_time(args.stats, args.data_root / "work"),
        figures={
            key: words for key, words in work.FIGURES.items() if any(key in each.figures for each in found)
        },
        costs=sum_benchmarks(args.data_root / "work" / "benchmarks"),
        legibility=legibility,
        grounded=grounded,
        repeats=list_repeats(read_json(args.duplicates), manifests) if args.duplicates else [],
        calibration=args.calibration and read_json(args.calibration),
        calibrated=GROUPS,
        planted=PLANTED,
        summed=SUMS,
        list_rates=list_rates,
        draw_rates=draw_rates,
        per_reason=share.rejects,
        config_sha256=manifest["config_sha256"],
    )
    with atomic_write(args.publish) as part:
        stream.dump(str(part), encoding="utf-8")
    install(args.data / "report.html", args.publish.read_bytes())


if __name__ == "__main__":
    program.run(main)
