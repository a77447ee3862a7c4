"""The report: every artifact's counts, reasons and rows, in one page that needs nothing but itself."""

import base64
import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

import publish_report
from prep.reasoning.calibration import count_verdicts
from prep.storage.schema import ANSWERS, REASONED
from reports import EVIL, add, add_answers, encoded, publish, publish_file, reject, row, source

HUB = ROOT.parent / "shared" / "hub"
SEEN = "</div><script>alert(1)</script>&lt;<img src=x onerror=alert(1)>U+202EevilU+202CU+0001U+001B]0;xU+0007"
"""How the page shows EVIL, where a text may turn others around."""


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
    assert len(page.all("script")) == 1
    assert page.text.count("<script>alert(1)</script>&lt;") == 6  # notices, detail, bad file, thought, answer
    assert page.text.count(SEEN) == 6
    assert {a["id"] for a in page.of_class("details", "artifact")} == {name, "text2image", "synthdog_en"}
    assert [a["id"] for a in page.of_class("details", "nothing")] == ["synthdog_en"]
    assert "#llavaonevision_converted/GeoQA%2B_MathV360K" in [a["href"] for a in page.all("a")]
    kept = [a for a in page.all("article") if a.get("data-row") == "kept"]
    assert len(kept) == 6 + 2
    assert [a.get("data-score") for a in kept].count("4") == 2
    assert len(page.all("img")) == 6 + 2
    assert "6 bytes: cannot be shown" in page.text
    assert page.text.count("No row was kept.") == 1
    assert "9 rows, 90 % of 10 read; 1 rejected" in page.text
    assert "0 of 5 rows kept: text_empty 5" in page.text
    assert "at main of a mirror, which knows no commits: 1 file read, 1 not needed, 1 bad" in page.text
    assert "score 4" in page.text
    (think,) = page.of_class("details", "think")
    assert "open" not in think


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    file = publish_file(tmp_path, add(tmp_path, "a", [row("a", 0, encoded((40, 30), "PNG"))], []))
    text = file.read_text(encoding="utf-8")
    for address in re.findall(r'(?:src|href|action|data)="([^"]*)"', text):
        assert address.startswith(("#", "data:")), address
    assert not re.search(r"\son\w+=|\sstyle=|url\(|@import|https?://", text)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("style", "script"):
        (own,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_the_same_input_gives_the_same_page(tmp_path: Path) -> None:
    rejects = [reject(n, "odd_turns", id=f"a/b:{n}") for n in range(50)]
    manifest = add(tmp_path, "a", [row("a", n, encoded((40, 30), "PNG")) for n in range(20)], rejects)
    first = publish_file(tmp_path, manifest, rows=3).read_bytes()
    assert publish_file(tmp_path, manifest, rows=3).read_bytes() == first
    page = publish(tmp_path, manifest, rows=3)
    assert len([a for a in page.all("article") if a["data-row"] == "kept"]) == 3
    assert len([a for a in page.all("article") if a["data-row"] == "rejected"]) == 10


def test_stages_group_the_artifacts_and_what_lost_all_its_rows_comes_first(tmp_path: Path) -> None:
    good, bad = (add(tmp_path, name, [row(name, 0)], []) for name in ("good", "other"))
    bad = add(tmp_path, "bad", [], [reject(0, "image_missing")])
    low = add(tmp_path, "low", [row("low", 0)], [reject(n, "image_missing") for n in range(2)])
    other = add(tmp_path, "other", [row("other", 0)], [])
    page = publish(tmp_path, good, low, bad, other, stages={"stage2.1": ["good", "low", "bad"]})
    assert [a["id"] for a in page.of_class("details", "artifact")] == ["bad", "low", "good", "other"]
    assert "Stage 2.1: captions and pages" in page.text
    assert "3 artifacts · 2 rows, 40 % of 5 read" in page.words
    alerts = [a for a in page.all("li") if a.get("class") in ("none", "low", "bad")]
    assert [a["class"] for a in alerts] == ["none", "low"]


def test_the_page_says_how_many_rows_have_which_score_and_shows_some_of_each(tmp_path: Path) -> None:
    picture = encoded((40, 30), "PNG")
    rows = [row("text2image", n, picture, score=3 + n % 3) for n in range(300)]
    rows += [row("text2image", 300, picture, score=None, mode="no_thinking")]
    page = publish(tmp_path, add(tmp_path, "text2image", rows, [], REASONED), rows=1)
    assert "mode score 3 score 4 score 5 no score: by rule" in page.words
    assert "no_thinking 0 0 0 1 thinking 100 100 100 0" in page.words
    shown = [(a["data-mode"], a.get("data-score")) for a in page.all("article")]
    for score in "345":
        assert 3 <= shown.count(("thinking", score)) <= 4
    assert shown.count(("no_thinking", None)) == 1
    assert "rule: agrees 301" in page.words


def test_rejected_rows_show_the_picture_of_a_raw_shard_that_is_kept(tmp_path: Path) -> None:
    cells = [{"bytes": encoded((64, 48), "PNG"), "path": None}, None, {"bytes": b"no picture", "path": None}]
    raw = tmp_path / "raw/synthdog_en/s.parquet"
    raw.parent.mkdir(parents=True)
    pq.write_table(pa.table({"picture": cells}), raw)
    rejects = [
        reject(n, reason, id=f"synthdog_en/s:{n}", source_file="data/s.parquet")
        for n, reason in enumerate(["text_empty", "image_missing", "image_unreadable"])
    ]
    rejects.append(reject(9, "odd_turns", id="synthdog_en/../../s:9", source_file="../s.parquet"))
    manifest = add(tmp_path, "synthdog_en", [], rejects)
    page = publish(tmp_path, manifest, columns={"synthdog_en": "picture"})
    assert len(page.all("img")) == 1
    assert "PNG, 64 by 48" in page.text
    assert "10 bytes: cannot be shown" in page.text
    raw.unlink()
    page = publish(tmp_path, manifest, columns={"synthdog_en": "picture"})
    assert page.all("img") == []
    assert "row 2 of data/s.parquet" in page.words


def stage3(root: Path) -> dict:
    """A question with four answers of two teachers, two of them kept; another with a rejected one."""
    both, lone = "alpaca/a:0", "alpaca/a:1"
    question = {"source": "tatsu-lab/alpaca", "source_file": "a", "row": 0, "reference": "42"}
    asked = [
        question | {"id": both, "question": f"How many? {EVIL}"},
        question | {"id": lone, "question": "?"},
    ]

    def answer(question: str, sample: int, text: str | None, **more: object) -> dict:
        id_ = f"{question}#thinking.{sample}"
        return {"id": id_, "question_id": question, "mode": "thinking", "sample": sample, "text": text} | more

    first = [
        answer(both, 0, "<think>\nOne thought.\n</think>\n\n42 it is."),
        answer(both, 1, f"<think>\nAnother.\n</think>\n\n41 {EVIL}"),
        answer(lone, 0, None, reason="length", detail="cut"),
    ]
    second = [answer(both, 0, "42, says the second."), answer(both, 1, "43, says the second.")]
    passed = {"verdict": "pass", "score": 5, "votes": 1, "rule": "agrees"}
    failed = {"verdict": "fail", "score": 2, "votes": 0, "rule": "disagrees", "detail": "Off by one."}
    add_answers(
        root, "text", "00000", asked, first,
        [passed | {"id": f"{both}#thinking.0"}, failed | {"id": f"{both}#thinking.1", "grounded": False}],
    )  # fmt: skip
    add_answers(
        root, "text", "00000.second", [], second,
        [passed | {"id": f"{both}#thinking.0"}, failed | {"id": f"{both}#thinking.1", "detail": "One up."}],
    )  # fmt: skip
    ids = [f"{both}#thinking.{sample}" for sample in range(4)]
    kept = [row("text2image", n, encoded((40, 30), "PNG"), id=ids[n], score=5) for n in (0, 2)]
    rejects = [
        reject(0, "judge_fail", "score 2: Off by one.", id=ids[1]),
        reject(0, "judge_fail", "score 2: One up.", id=ids[3]),
        reject(1, "length", "cut", id=f"{lone}#thinking.0"),
        reject(2, "question_empty", id="alpaca/a:2"),
    ]
    return add(root, "text2image", kept, rejects, REASONED)


TEACHERS = {"text2image": {"names": ["first", "second"], "samples": 2}}


def test_kept_answers_stand_beside_rejected_ones_of_all_teachers(tmp_path: Path) -> None:
    page = publish(tmp_path, stage3(tmp_path), teachers=TEACHERS)
    assert page.open == []
    assert "alpaca/a:0 2 kept, 2 rejected" in page.words
    assert "thinking, sample 1, first" in page.words
    assert "thinking, sample 3, second" in page.words
    assert (
        "judge: fail, score 2, votes that pass: 0 · rule: disagrees · grounded in the picture: no"
        in page.words
    )
    for text in (
        "42 it is.",
        "One thought.",
        f"41 {SEEN}",
        "43, says the second.",
        "One up.",
        f"How many? {SEEN}",
    ):
        assert text in page.text
    won, lost = page.of_class("article", "won"), page.of_class("article", "lost")
    assert len(won) == 2
    assert [a.get("data-score") for a in lost] == ["2"] * 4 + [None] * 2  # side by side, then by reason
    assert {a["data-reason"] for a in lost} == {"judge_fail", "length", "question_empty"}


def test_lengths_in_tokens_are_those_of_the_answers_that_are_kept(tmp_path: Path) -> None:
    manifest = stage3(tmp_path)
    for batch, counts in (("00000", (120, 999, None)), ("00000.second", (40, None))):
        path = tmp_path / f"work/answer_text/{batch}.parquet"
        answers = [
            each | {"tokens": count}
            for each, count in zip(pq.read_table(path).to_pylist(), counts, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(answers, ANSWERS), path)
    page = publish(tmp_path, manifest, teachers=TEACHERS)
    assert "answer with thought, tokensmedian 80, 40 to 120" in page.words
    pq.write_table(pq.read_table(path).drop_columns(["tokens", "reasoning_tokens"]), path)
    assert "tokensmedian 120, 120 to 120" in publish(tmp_path, manifest, teachers=TEACHERS).words


def test_answers_and_questions_that_are_gone_are_told(tmp_path: Path) -> None:
    manifest = stage3(tmp_path)
    for folder in ("answer_text", "judge_text", "batch_questions"):
        for file in (tmp_path / "work" / folder).iterdir():
            file.write_bytes(b"PAR1 torn")
    page = publish(tmp_path, manifest, teachers=TEACHERS)
    assert "alpaca/a:0 2 kept, 2 rejected" in page.words
    assert "The text is gone with work/answer_*." in page.words
    assert "The question's text is gone with work/." in page.words
    assert "score 2: Off by one." in page.words


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


def test_rows_that_repeat_others_are_on_the_page_where_they_were_counted(tmp_path: Path) -> None:
    captions = add(tmp_path, "captions", [row("captions", n, encoded((40, 30), "PNG")) for n in range(4)], [])
    counts = {"within": 1, "of_others": {"pages": 2, "others": 1}}
    none = {"within": 0, "of_others": {}}
    about = {"rows": 4, "repeats": {"bytes": counts, "look": counts, "row": none}, "pairs": []}
    page = publish(tmp_path, captions, duplicates={"captions": about})
    assert "captions 4 1 25 % 3 1 25 % 3 0 0 % 0" in page.words
    for changed in ({"captions": about | {"rows": 5}}, {"captions": about, "gone": about}):
        assert "Rows that repeat others" not in publish(tmp_path, captions, duplicates=changed).words


def test_answers_that_follow_from_their_picture_are_counted(tmp_path: Path) -> None:
    ids = [f"g/a:{number}#thinking.0" for number in range(4)]
    rows = [row("g", 0, encoded((40, 30), "PNG"), id=id_) for id_ in ids[:2]]
    manifest = add(tmp_path, "image_thinking", rows, [reject(0, "judge_fail", id=ids[2])], REASONED)
    said = [{"verdict": "pass", "score": 4, "grounded": grounded} for grounded in (True, None, False, True)]
    verdicts = [{"id": id_} | each for id_, each in zip(ids, said, strict=True)]
    add_answers(tmp_path, "image", "00000", [], [], verdicts)
    (tmp_path / "work/judge_image/00001.parquet").write_bytes(b"PAR1 torn")
    page = publish(tmp_path, manifest)
    assert "of 3 verdicts 1 say that it does, 1 that it does not, and 1 say nothing" in page.words


def test_time_and_memory_of_jobs_are_on_the_page(tmp_path: Path) -> None:
    measured = tmp_path / "work" / "benchmarks" / "convert_ocr" / "synthdog_en" / "a.tsv"
    measured.parent.mkdir(parents=True)
    measured.write_text("s\tmax_rss\tcpu_time\n7200.5\t1234.4\t9000\n", encoding="utf-8")
    page = publish(tmp_path, add(tmp_path, "a", [], []))
    assert "convert_ocr 1 2.0 h 2.5 h 2.0 h 1,234" in page.words
    assert (
        "Time and memory of jobs" not in publish(tmp_path / "none", add(tmp_path / "none", "a", [], [])).words
    )


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
    assert "English 12 13 2,000 44 (2.2 %) 2.0 % missed" in page.words
    assert "Chinese 12 13 2,000 60 (3 %) 3.0 % met" in page.words
    assert "worst of English: 9 of 100" in page.words
    assert "pages are read wrongly: English" in page.words
    assert len(page.all("img")) == 1
    assert "no question in English or Chinese, so none was read" in publish(tmp_path, manifest).words


def test_the_rates_of_a_judge_stand_by_kind_and_none_is_no_rate(tmp_path: Path) -> None:
    manifest = add(tmp_path, "text2image", [row("text2image", 0, encoded((40, 30), "PNG"))], [], REASONED)
    passed = {"id": "s/f:0#negation.0", "verdict": "pass", "score": 4, "detail": ""}
    rows = [passed, *(passed | {"id": f"s/f:{n}#negation.0", "verdict": "fail"} for n in range(1, 1000))]
    rows.append(passed | {"id": "s/f:0#reference.0", "verdict": None, "score": None})
    task = {"artifact": "text2image", "judge": f"a/{EVIL[:40]}"} | count_verdicts(rows, min_score=3)
    page = publish(tmp_path, manifest, calibration={"samples": 1000, "tasks": {"text": task}})
    assert f"text2image, judged by a/{EVIL[:40]}" in page.words
    assert "errors that passed 1,000 0 0 1 0.1 % 0 to 0.6 %" in page.words
    assert "another number none – – – –" in page.words
    assert "no for yes, or yes for no 1,000 0 0 1 0.1 % 0 to 0.6 %" in page.words
    assert "right answers that failed 1 1 0 – –" in page.words
    assert "The judges, measured" not in publish(tmp_path, manifest).text


def test_a_missing_artifact_ends_in_one_line(tmp_path: Path) -> None:
    manifest = add(tmp_path, "a", [row("a", 0, b"x")], [])
    (tmp_path / "data/a.parquet").unlink()
    with pytest.raises(AssertionError, match=r"error: .*data/a\.parquet"):
        publish(tmp_path, manifest)
    assert not (tmp_path / "work/publish/report.html").exists()
    assert list((tmp_path / "work/publish").iterdir()) == []


def test_rows_get_less_of_the_page_where_there_are_more() -> None:
    def manifests(count: int) -> list[dict]:
        return [
            {"name": f"a{n}", "kept": 10**6, "rejected": {"odd_turns": 10**6, "text_empty": 3}}
            for n in range(count)
        ]

    few, many = (publish_report.share_page(manifests(count), 6, has_raw=True) for count in (3, 92))
    assert few.converted.picture_bytes == 48_000
    assert few.converted.characters == 12_000
    assert few.rejects == many.rejects == 10
    assert 2_000 < many.converted.picture_bytes < 10_000
    assert 92 * (6 + 4) * many.converted.picture_bytes * 4 / 3 < 8_500_000  # in base64
    without = publish_report.share_page(manifests(92), 6, has_raw=False)
    assert without.converted.picture_bytes > 1.5 * many.converted.picture_bytes
    assert publish_report.share_page(manifests(2000), 6, has_raw=False).rejects == 2


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
