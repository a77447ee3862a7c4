"""Small builds for the report: artifacts with rejects, answers and verdicts, and the page made of them."""

import html.parser
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from conftest import ROOT
from PIL import Image

from prep.storage import parquet
from prep.storage.schema import ANSWERS, QUESTIONS, REJECTS, TRAINING, VERDICTS

EVIL = "</div><script>alert(1)</script>&lt;<img src=x onerror=alert(1)>\u202eevil\u202c\x01\x1b]0;x\x07"
"""What a row may say: HTML, a script, the direction of text turned around, control characters."""


class Page(html.parser.HTMLParser):
    """A page's elements as (tag, attributes), its texts, and the tags that are open."""

    VOID = ("meta", "link", "img", "wbr", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def of_class(self, tag: str, name: str) -> list[dict]:
        return [each for each in self.all(tag) if name in (each.get("class") or "").split()]

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def encoded(size: tuple[int, int], kind: str) -> bytes:
    """A picture of a gradient."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def row(name: str, number: int, *pictures: bytes, answer: str = "This.", **more: object) -> dict:
    """A training row, with the columns of stage 3 too."""
    return {
        "id": f"{name}/a:{number}",
        "source_id": None,
        "messages": [
            {"content": "<image>\n" * len(pictures) + "What?", "role": "user"},
            {"content": answer, "role": "assistant"},
        ],
        "images": [{"bytes": data, "path": None} for data in pictures],
        "source": "tatsu-lab/alpaca",
        "mode": "thinking",
        "score": 4,
        "rule": "agrees",
        "pass_rate": 1.0,
        "votes": 1,
        "needs_picture": None,
    } | more


def reject(number: int, reason: str, detail: str | None = None, **more: object) -> dict:
    """A row of REJECTS."""
    return {
        "id": f"x:{number}",
        "source_file": "a",
        "row": number,
        "reason": reason,
        "detail": detail,
    } | more


def source(state: str, **more: object) -> dict:
    """A source file as a manifest lists it, as far as the page needs it."""
    return {
        "repo": "tatsu-lab/alpaca",
        "revision": "main",
        "commit": None,
        "file": state,
        "state": state,
    } | more


def add(
    root: Path, name: str, rows: list[dict], rejects: list[dict], schema: pa.Schema = TRAINING, **more: object
) -> dict:
    """Write an artifact, its rejects and its manifest below `root`; the manifest."""
    path = root / "data" / f"{name}.parquet"
    parquet.write_rows(path, [{key: each[key] for key in schema.names} for each in rows], schema)
    parquet.write_rows(root / "data" / "rejects" / f"{name}.parquet", rejects, REJECTS)
    reasons = [each["reason"] for each in rejects]
    manifest = {
        "name": name,
        "file": f"data/{name}.parquet",
        "rows": len(rows),
        "bytes": path.stat().st_size,
        "sha256": "aa",
        "read": len(rows) + len(rejects),
        "kept": len(rows),
        "rejected": {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
        "empty": not rows,
        "sources": [],
    } | more
    file = root / "data" / "manifest" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(manifest))
    return manifest


def add_answers(
    root: Path, what: str, batch: str, questions: list[dict], answers: list[dict], verdicts: list[dict]
) -> None:
    """Write a batch of stage 3 below `root`: its questions (of texts), its answers, the verdicts on them."""
    work, blank = root / "work", dict.fromkeys
    if questions:
        name = f"{batch.partition('.')[0]}.parquet"
        rows = [blank(QUESTIONS.names) | each for each in questions]
        parquet.write_rows(work / "batch_questions" / name, rows, QUESTIONS)
    rows = [blank(ANSWERS.names) | each for each in answers]
    parquet.write_rows(work / f"answer_{what}" / f"{batch}.parquet", rows, ANSWERS)
    rows = [blank(VERDICTS.names) | each for each in verdicts]
    parquet.write_rows(work / f"judge_{what}" / f"{batch}.parquet", rows, VERDICTS)


def publish_file(
    root: Path,
    *manifests: dict,
    notice: str = "",
    rows: int = 6,
    legibility: list[dict] | None = None,
    calibration: dict | None = None,
    duplicates: dict | None = None,
    stages: dict[str, list[str]] | None = None,
    columns: dict[str, str | None] | None = None,
    teachers: dict[str, dict] | None = None,
) -> Path:
    """Run the program below `root`; the page that it installed."""
    (root / "data/calibration.json").write_text(json.dumps(calibration))
    (root / "data/legibility.json").write_text(json.dumps(legibility or []))
    whole = {"artifacts": {each["name"]: each for each in manifests}, "config_sha256": "c0ffee"}
    (root / "manifest.json").write_text(json.dumps(whole))
    command = [sys.executable, ROOT / "scripts" / "publish_report.py", "--manifest", "manifest.json"]
    command += ["--data-root", ".", "--stats", "work/stats", "--rows-per-artifact", str(rows)]
    command += ["--stages", json.dumps(stages or {}), "--picture-columns", json.dumps(columns or {})]
    command += ["--teachers", json.dumps(teachers or {})]
    command += ["--legibility", "data/legibility.json", "--notice", notice]
    command += ["--calibration", *(["data/calibration.json"] if calibration else [])]
    (root / "data/duplicates.json").write_text(json.dumps(duplicates))
    command += ["--duplicates", *(["data/duplicates.json"] if duplicates else [])]
    command += ["--publish", "work/publish/report.html", "--data", "data"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    published = (root / "work/publish/report.html").read_bytes()
    assert (root / "data/report.html").read_bytes() == published
    return root / "data/report.html"


def publish(root: Path, *manifests: dict, **options: object) -> Page:
    """The page that the program installs below `root`, parsed."""
    return Page(publish_file(root, *manifests, **options).read_text(encoding="utf-8"))
