"""The report: every artifact's counts, reasons and rows, in one page that needs nothing but itself."""

import html.parser
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from PIL import Image

import publish_report
from prep.reasoning.calibration import count_verdicts
from prep.storage import parquet
from prep.storage.schema import REASONED, REJECTS, TRAINING

HUB = ROOT.parent / "shared" / "hub"
EVIL = "</div><script>alert(1)</script>&lt;"


class Page(html.parser.HTMLParser):
    """A page's elements as (tag, attributes), its texts, and the tags that are open."""

    VOID = ("meta", "link", "img", "wbr")

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

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.texts)


def encoded(size: tuple[int, int], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def row(name: str, number: int, *pictures: bytes, answer: str = "This.") -> dict:
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
    }


def reject(number: int, reason: str, detail: str | None = None) -> dict:
    return {"id": f"x:{number}", "source_file": "a", "row": number, "reason": reason, "detail": detail}


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
    """Write an artifact and its rejects below `root`; its manifest."""
    path = root / "data" / f"{name}.parquet"
    parquet.write_rows(path, [{key: each[key] for key in schema.names} for each in rows], schema)
    parquet.write_rows(root / "data" / "rejects" / f"{name}.parquet", rejects, REJECTS)
    reasons = [each["reason"] for each in rejects]
    return {
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


def publish(
    root: Path,
    *manifests: dict,
    notice: str = "",
    rows: int = 6,
    legibility: list[dict] | None = None,
    calibration: dict | None = None,
) -> Page:
    """Run the program below `root`; the page that it installed."""
    (root / "data/calibration.json").write_text(json.dumps(calibration))
    (root / "data/legibility.json").write_text(json.dumps(legibility or []))
    whole = {"artifacts": {each["name"]: each for each in manifests}, "config_sha256": "c0ffee"}
    (root / "manifest.json").write_text(json.dumps(whole))
    command = [sys.executable, ROOT / "scripts" / "publish_report.py", "--manifest", "manifest.json"]
    command += ["--data-root", ".", "--stats", "work/stats", "--rows-per-artifact", str(rows)]
    command += ["--legibility", "data/legibility.json", "--notice", notice]
    command += ["--calibration", *(["data/calibration.json"] if calibration else [])]
    command += ["--publish", "work/publish/report.html", "--data", "data"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    published = (root / "work/publish/report.html").read_bytes()
    assert (root / "data/report.html").read_bytes() == published
    return Page(published.decode())


def test_a_page_of_several_artifacts(tmp_path: Path) -> None:
    jpeg, png = encoded((900, 600), "JPEG"), encoded((40, 30), "PNG")
    name = "llavaonevision_converted/GeoQA+_MathV360K"
    pictures = add(tmp_path, name, [row(name, n, jpeg) for n in range(9)], [reject(9, "odd_turns", EVIL)])
    thought = f"<think>\nFirst {EVIL}\n</think>\n\nSo {EVIL}"
    answers = add(
        tmp_path,
        "text2image",
        [row("text2image", 0, png, jpeg, answer=thought), row("text2image", 1, b"GIF89a")],
        [],
        REASONED,
        notice=f"A toy {EVIL}",
        sources=[source("read"), source("unneeded"), source("bad", detail=EVIL)],
    )
    empty = add(tmp_path, "synthdog_en", [], [reject(n, "text_empty") for n in range(5)])
    page = publish(tmp_path, pictures, answers, empty, notice=f"Good for nothing {EVIL}")

    assert page.open == []  # what a row says has not closed an element, nor opened one
    assert page.all("script") == []
    assert page.text.count("<script>alert(1)</script>&lt;") == 6  # notices, detail, bad file, thought, answer
    assert [a["id"] for a in page.all("section") if a.get("class") == "artifact"] == [
        name,
        "text2image",
        "synthdog_en",
    ]
    assert [a["href"] for a in page.all("a")] == [
        "#llavaonevision_converted/GeoQA%2B_MathV360K",
        "#text2image",
        "#synthdog_en",
    ]
    assert len(page.all("article")) == 6 + 2
    assert len(page.all("img")) == 6 + 2
    assert "6 bytes: cannot be shown" in page.text
    assert page.text.count("No row was kept.") == 1
    assert "9 rows, 90 % of 10 read" in page.text
    assert "at main (mirror): 1 file read, 1 not needed, 1 bad" in page.text
    assert "score 4" in page.text
    (think,) = [a for a in page.all("details") if a.get("class") == "think"]
    assert "open" not in think


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = publish(tmp_path, add(tmp_path, "a", [row("a", 0, encoded((40, 30), "PNG"))], []))
    for _, attributes in page.elements:
        assert attributes.get("src", "data:image/webp;base64,").startswith("data:image/webp;base64,")
        assert attributes.get("href", "#").startswith(("#", "data:"))
    (style,) = [text for text in page.texts if "--paper" in text]
    assert "url(" not in style
    assert "@import" not in style


def test_the_same_input_gives_the_same_page(tmp_path: Path) -> None:
    manifest = add(tmp_path, "a", [row("a", n, encoded((40, 30), "PNG")) for n in range(20)], [])
    first = publish(tmp_path, manifest, rows=3)
    assert publish(tmp_path, manifest, rows=3).elements == first.elements
    assert len(first.all("article")) == 3


def test_rejects_show_the_first_of_each_reason(tmp_path: Path) -> None:
    rejects = [reject(n, "odd_turns") for n in range(5000)] + [reject(5000, "wrong_speaker", "a cat")]
    path = tmp_path / "r.parquet"
    parquet.write_rows(path, rejects, REJECTS)
    found = publish_report.sample_rejects(path, {"wrong_speaker": 1, "odd_turns": 5000})
    assert [(each["row"], each["reason"]) for each in found] == [
        (5000, "wrong_speaker"),
        (0, "odd_turns"),
        (1, "odd_turns"),
    ]
    assert publish_report.sample_rejects(tmp_path / "none.parquet", {}) == []


def test_statistics_are_summed_by_rule_and_anything_else_is_passed_over(tmp_path: Path) -> None:
    files = {
        "answer_text/0.json": '{"asked": 3, "failed": {"timeout": 1}, "model": "x", "seconds": 1.5}',
        "answer_text/1.json": '{"asked": 4, "failed": {"timeout": 1, "length": 2}, "retries": {"a": 5}}',
        "judge_text.json": '{"asked": "many", "failed": 7, "seconds": null, "prompt_tokens": true}',
        "torn.json": '{"asked": 3',
        "list.json": "[1]",
        "notes.txt": "x",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    answer, judge = publish_report.sum_work(tmp_path)
    assert (answer.rule, answer.jobs) == ("answer_text", 2)
    assert answer.figures == {"asked": 7, "seconds": 1.5, "retries": 5}
    assert answer.failures == {"timeout": 2, "length": 2}
    assert (judge.rule, judge.jobs) == ("judge_text", 1)
    assert judge.figures == {"asked": 0, "seconds": 0, "prompt_tokens": 0}
    assert judge.failures == {"all": 7}
    assert publish_report.sum_work(tmp_path / "nowhere") == []


def test_statistics_are_on_the_page(tmp_path: Path) -> None:
    stats = tmp_path / "work" / "stats" / "answer_text" / "0.json"
    stats.parent.mkdir(parents=True)
    modes = '"model": "org/big", "modes": {"thinking": {"answers": 4567, "prompt_tokens": 9876}, "judge": 3}'
    stats.write_text(
        '{"asked": 1234, "failed": {"rate_limited": 56}, "completion_tokens": 7890, ' + modes + "}"
    )
    other = stats.with_name("1.json")
    other.write_text('{"model": "org/big", "modes": {"thinking": {"answers": 1, "completion_tokens": 2345}}}')
    page = publish(tmp_path, add(tmp_path, "a", [], []))
    words = page.text.split()
    assert {"answer_text", "1,234", "7,890", "rate_limited", "56"} <= set(words)
    assert {"org/big", "thinking", "4,568", "9,876", "2,345"} <= set(words)
    assert "tried again" not in page.text


def test_what_was_read_of_the_pages_stands_beside_its_bar(tmp_path: Path) -> None:
    rows = [row("text2image", n, encoded((40, 30), "PNG")) for n in range(3)]
    manifest = add(tmp_path, "text2image", rows, [], REASONED)
    read = {"questions": 12, "pages": 13, "characters": 2000}
    worst = {"row": 2, "id": rows[2]["id"], "wrong": 9, "characters": 100}
    page = publish(
        tmp_path,
        manifest,
        rows=0,
        legibility=[
            {"kind": "English", **read, "wrong": 44, "bar": 2.0, "worst": worst},
            {"kind": "Chinese", **read, "wrong": 60, "bar": 3.0, "worst": worst | {"row": 1}},
            {"kind": "table", **read, "wrong": 0, "bar": 5.0, "worst": worst | {"wrong": 0}},
        ],
    )
    words = " ".join(page.text.split())
    assert "English 12 13 2,000 44 (2.2 %) 2.0 % missed" in words
    assert "Chinese 12 13 2,000 60 (3 %) 3.0 % met" in words
    assert "worst of English: 9 of 100" in words
    assert len(page.all("img")) == 1
    words = " ".join(publish(tmp_path, manifest).text.split())
    assert "no question in English or Chinese, so none was read" in words


def test_the_rates_of_a_judge_stand_by_kind_and_none_is_no_rate(tmp_path: Path) -> None:
    manifest = add(tmp_path, "text2image", [row("text2image", 0, encoded((40, 30), "PNG"))], [], REASONED)
    passed = {"id": "s/f:0#negation.0", "verdict": "pass", "score": 4, "detail": ""}
    rows = [passed, *(passed | {"id": f"s/f:{n}#negation.0", "verdict": "fail"} for n in range(1, 1000))]
    rows.append(passed | {"id": "s/f:0#reference.0", "verdict": None, "score": None})
    task = {"artifact": "text2image", "judge": f"a/{EVIL}"} | count_verdicts(rows, min_score=3)
    page = publish(tmp_path, manifest, calibration={"samples": 1000, "tasks": {"text": task}})
    words = " ".join(page.text.split())
    assert f"text2image, judged by a/{EVIL}" in words
    assert "errors that passed 1,000 0 0 1 0.1 % 0 to 0.6 %" in words
    assert "another number none – – – –" in words
    assert "no for yes, or yes for no 1,000 0 0 1 0.1 % 0 to 0.6 %" in words
    assert "right answers that failed 1 1 0 – –" in words
    assert "The judges, measured" not in publish(tmp_path, manifest).text


def test_a_missing_artifact_ends_in_one_line(tmp_path: Path) -> None:
    manifest = add(tmp_path, "a", [row("a", 0, b"x")], [])
    (tmp_path / "data/a.parquet").unlink()
    with pytest.raises(AssertionError, match=r"error: .*data/a\.parquet"):
        publish(tmp_path, manifest)
    assert not (tmp_path / "work/publish/report.html").exists()
    assert list((tmp_path / "work/publish").iterdir()) == []


@pytest.mark.skipif(not HUB.is_dir(), reason=f"NO REAL PICTURES TO SHOW: {HUB} is missing")
def test_real_pictures_are_shown(tmp_path: Path) -> None:
    """Whatever the corpus beside this checkout holds as a picture has a thumbnail."""
    manifests = []
    for path in sorted(HUB.glob("*/*/**/train-00000-*.parquet")):
        source = pq.ParquetFile(path)
        if "image" not in source.schema_arrow.names:
            continue
        images = source.read(["image"]).column("image").to_pylist()
        pictures = [image["bytes"] for image in images if image]
        name = f"{path.parent.parent.name}/{path.parent.name}"
        manifests.append(add(tmp_path, name, [row(name, n, data) for n, data in enumerate(pictures)], []))
    page = publish(tmp_path, *manifests, rows=2)
    assert "cannot be shown" not in page.text
    assert len(page.all("img")) == sum(min(2, each["rows"]) for each in manifests) > 20
