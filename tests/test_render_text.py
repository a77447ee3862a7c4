"""What is kept of a batch becomes pages and turns; what is not, rejects."""

import io
import json
import os
import subprocess
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_samples import verdict

import render_text
from batch import POLICY, question
from prep.rendering.typeset import RenderConfig, Typesetter
from prep.storage import parquet
from prep.storage.atomic import read_json, sha256
from prep.storage.schema import ANSWERS, QUESTIONS, VERDICTS
from render_config import RENDER
from running import PATH, Done, run
from stand_in_server import until

STYLE = vars(RENDER) | {"format": "png"}
ENGLISH, CHINESE = "Please answer the question in the image.", "请回答图片中的问题。"


@pytest.mark.parametrize(
    ("text", "mode", "pages", "turn"),
    [
        ("What is 2+2?", "thinking", 1, f"<image>\n{ENGLISH}"),
        ("What is 2+2?", "no_thinking", 2, f"<image>\n<image>\n{ENGLISH} /no_think"),
        ("二加二？", "thinking", 1, f"<image>\n{CHINESE}"),
        ("2 + 2", "no_thinking", 1, f"<image>\n{CHINESE} /no_think"),
        ("a" * 19 + "二", "thinking", 1, f"<image>\n{ENGLISH}"),
        ("a" * 18 + "二", "thinking", 1, f"<image>\n{CHINESE}"),
    ],
)
def test_the_users_turn_is_in_the_questions_language(text, mode, pages, turn):
    assert render_text.build_prompt(text, mode, pages) == turn


def answer(number: int, mode: str = "thinking", reason: str | None = None) -> dict:
    return {
        "id": f"set/file:{number}#{mode}.0",
        "question_id": f"set/file:{number}",
        "mode": mode,
        "sample": 0,
        "text": None if reason else f"<think>\n{number}\n</think>\n\nIt is {number}.",
        "reason": reason,
        "detail": reason and "cut",
    }


def judged(number: int, said: str | None = "pass", score: int = 4, mode: str = "thinking") -> dict:
    return verdict(0, said, score) | {"id": f"set/file:{number}#{mode}.0"}


def render(
    folder: Path, questions: list, answers: list, verdicts: list, threads: int = 2, **style: object
) -> Done:
    return run(*command(folder, questions, answers, verdicts, threads, **style))


def command(
    folder: Path,
    questions: list,
    answers: list,
    verdicts: list,
    threads: int = 2,
    min_score: int = POLICY["min_score"],
    drawing: str = "one",
    **style: object,
) -> tuple:
    """The program's command line, for a batch that is written here."""
    parquet.write_rows(folder / "q.parquet", questions, QUESTIONS)
    parquet.write_rows(folder / "a.parquet", answers, ANSWERS)
    parquet.write_rows(folder / "v.parquet", verdicts, VERDICTS)
    return (
        "render_text.py",
        *("--questions", folder / "q.parquet", "--answers", folder / "a.parquet"),
        *("--verdicts", folder / "v.parquet", "--settings", json.dumps(POLICY | {"min_score": min_score})),
        *("--render", json.dumps(STYLE | style), "--drawing", drawing),
        *("--seed", 42, "--threads", threads, "--shard", folder / "s.parquet"),
        *("--rejects", folder / "r.parquet", "--summary", folder / "s.json"),
    )


def test_each_answer_is_a_row_or_a_reject_in_order(tmp_path):
    done = render(
        tmp_path,
        [
            question(0),
            question(1),
            question(2, "\ue000 is drawn by no font"),
            question(3, "too long " * 5000),
        ],
        [answer(0), answer(0, "no_thinking"), answer(1, reason="length"), answer(2), answer(3)],
        [judged(3), judged(2), judged(0), judged(0, score=2, mode="no_thinking")],
    )
    assert done.returncode == 0, done.stderr
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    page = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    assert page.width * page.height <= STYLE["max_pixels"]
    assert row == {
        "id": "set/file:0#thinking.0",
        "source_id": "s0",
        "messages": [
            {"content": f"<image>\n{ENGLISH}", "role": "user"},
            {"content": "<think>\n0\n</think>\n\nIt is 0.", "role": "assistant"},
        ],
        "images": [{"bytes": row["images"][0]["bytes"], "path": "page_1.png"}],
        "source": "org/set",
        "mode": "thinking",
        "score": 4,
        "rule": None,
        "pass_rate": 1.0,
        "votes": 1,
        "needs_picture": None,
    }
    rejects = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert [(reject["id"], reject["row"], reject["reason"]) for reject in rejects] == [
        ("set/file:0#no_thinking.0", 0, "low_score"),
        ("set/file:1#thinking.0", 1, "length"),
        ("set/file:2#thinking.0", 2, "missing_glyph"),
        ("set/file:3#thinking.0", 3, "too_long_to_render"),
    ]
    assert {reject["source_file"] for reject in rejects} == {"data/file.parquet"}
    files = {
        "shard": {"rows": 1, "sha256": sha256(tmp_path / "s.parquet")},
        "rejects": {"rows": 4, "sha256": sha256(tmp_path / "r.parquet")},
    }
    common = {"source": "set", "agrees": 0, "disagrees": 0, "cannot_tell": 0}
    thinking = {"mode": "thinking", "asked": 4, "answered": 4, "well_formed": 3, "passed": 3, "kept": 1}
    no_thinking = {"mode": "no_thinking", "asked": 1, "answered": 1, "well_formed": 1, "passed": 1, "kept": 0}
    funnel = [common | thinking, common | no_thinking]
    assert read_json(tmp_path / "s.json") == {"files": files, "sources": {}, "raw": None, "funnel": funnel}


def test_a_template_token_stands_unbroken_on_the_page(tmp_path):
    text = "What does <|im_end|> do?"
    done = render(tmp_path, [question(0, text)], [answer(0)], [judged(0)])
    assert done.returncode == 0, done.stderr
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    found = Typesetter(RenderConfig(**STYLE), 42).render(text, row["id"])
    assert row["images"][0]["bytes"] == found.pages[0].bytes
    assert "\u2060" not in row["messages"][0]["content"]


def test_each_answer_has_its_own_questions_pages(tmp_path):
    texts = [f"How much is {n} + {n}?" if n % 5 else "\ue000" for n in range(40)]
    answers = [answer(n, reason=None if n % 3 else "length") for n in range(40)]
    verdicts = [judged(n) for n in range(40) if n % 3]
    done = render(tmp_path, [question(n, text) for n, text in enumerate(texts)], answers, verdicts)
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "s.parquet").to_pylist()}
    assert list(rows) == [f"set/file:{n}#thinking.0" for n in range(40) if n % 3 and n % 5]
    typesetter = Typesetter(RenderConfig(**STYLE), 42)
    for n, text in enumerate(texts):
        if row := rows.get(f"set/file:{n}#thinking.0"):
            (page,) = typesetter.render(text, row["id"]).pages
            assert row["images"] == [{"bytes": page.bytes, "path": "page_1.png"}]
            assert str(n) in row["messages"][1]["content"]
    rejects = pq.read_table(tmp_path / "r.parquet").to_pylist()
    why = {0: "length", 1: "missing_glyph", 2: "missing_glyph"}
    assert [(each["row"], each["reason"]) for each in rejects] == [
        (n, why[n % 3]) for n in range(40) if not (n % 3 and n % 5)
    ]


def test_a_long_question_has_a_tag_for_each_of_its_pages(tmp_path):
    render(tmp_path, [question(0, "Read this carefully. " * 60)], [answer(0)], [judged(0)], max_pixels=90000)
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    pages = len(row["images"])
    assert pages > 1
    assert row["messages"][0]["content"] == "<image>\n" * pages + ENGLISH
    assert [image["path"] for image in row["images"]] == [f"page_{n}.png" for n in range(1, pages + 1)]


def test_the_same_bytes_with_any_number_of_processes_and_size_of_batches(tmp_path):
    numbers = list(range(9))
    asked = [question(n, f"How is $x^{n}$ read? " * (1 + 9 * n)) for n in numbers]
    drawn = []
    for name, threads, size in (("one", 1, 9), ("three", 3, 9), ("small", 2, 5)):
        pages = {}
        for start in range(0, 9, size):
            folder = tmp_path / f"{name}{start}"
            folder.mkdir()
            some = numbers[start : start + size]
            done = render(
                folder,
                asked[start : start + size],
                [answer(n) for n in some],
                [judged(n) for n in some],
                threads=threads,
                format="mixed",
            )
            assert done.returncode == 0, done.stderr
            rows = pq.read_table(folder / "s.parquet").to_pylist()
            pages |= {row["id"]: row["images"] for row in rows}
        drawn.append(pages)
    assert len(drawn[0]) == 9
    assert drawn[0] == drawn[1] == drawn[2]


def test_what_is_drawn_without_its_markup_is_told(tmp_path):
    done = render(tmp_path, [question(0, r"Is $\foo$ or $x^2$?")], [answer(0)], [judged(0)])
    assert r"set/file:0#thinking.0: drawn as written: $\foo$" in done.stderr


def scored(count: int = 6, text: str = r"Is {} $\foo$ or $x^2$?") -> tuple[list, list, list]:
    """Questions with the scores 3, 4, 5 by turns, each with a formula that is shown as written."""
    numbers = range(count)
    asked = [question(n, text.replace("{}", str(n))) for n in numbers]
    return asked, [answer(n) for n in numbers], [judged(n, score=3 + n % 3) for n in numbers]


@pytest.fixture
def undrawable(tmp_path: Path) -> list[str]:
    """Fonts with which no page can be drawn."""
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    return [str(tmp_path / "bad.ttf")]


def read_outputs(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("s.parquet", "r.parquet", "s.json")]


def test_a_higher_threshold_draws_no_page(tmp_path, undrawable):
    first = render(tmp_path, *scored())
    second = render(tmp_path, *scored(), min_score=4, fonts=undrawable)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    for number in range(6):
        told = rf"set/file:{number}#thinking.0: drawn as written: $\foo$"
        assert (told in first.stderr, told in second.stderr) == (True, number % 3 > 0)
    found = read_outputs(tmp_path)
    assert [row["score"] for row in pq.read_table(tmp_path / "s.parquet").to_pylist()] == [4, 5, 4, 5]
    (tmp_path / "s.parquet").unlink()
    assert render(tmp_path, *scored(), min_score=4).returncode == 0
    assert read_outputs(tmp_path) == found


def test_a_lower_threshold_draws_what_was_not_drawn(tmp_path, undrawable):
    render(tmp_path, *scored(), min_score=5)
    assert render(tmp_path, *scored(), fonts=undrawable).returncode == 1
    assert render(tmp_path, *scored()).returncode == 0
    found = read_outputs(tmp_path)
    (tmp_path / "s.parquet").unlink()
    assert render(tmp_path, *scored()).returncode == 0
    assert read_outputs(tmp_path) == found


def change_question(path: Path) -> dict:
    return {"batch": scored(text="Why is {} so?")}


def change_drawing(path: Path) -> dict:
    return {"drawing": "another"}


def cut(path: Path) -> dict:
    path.write_bytes(path.read_bytes()[:-100])
    return {}


def break_pages(path: Path) -> dict:
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * (len(content) // 2) + content[4 + len(content) // 2 :])
    return {}


def damage_a_picture(path: Path) -> dict:
    """Change bytes of a page that is stored as it is; the file can be read as before."""
    page = pq.read_table(path).to_pylist()[0]["images"][0]["bytes"]
    content = path.read_bytes()
    assert content.count(page[100:140]) == 1
    path.write_bytes(content.replace(page[100:140], bytes(40)))
    assert len(pq.read_table(path)) == 6
    return {}


def write_something_else(path: Path) -> dict:
    parquet.write_rows(path, [], VERDICTS)
    return {}


@pytest.mark.parametrize(
    "change",
    [
        *(change_question, change_drawing),
        *(cut, break_pages, damage_a_picture, write_something_else, Path.unlink),
    ],
)
def test_pages_are_drawn_again_where_those_that_stand_cannot_be_taken(tmp_path, undrawable, change):
    render(tmp_path, *scored())
    changed = change(tmp_path / "s.parquet") or {}
    given = changed.pop("batch", scored())
    broken = (tmp_path / "s.parquet").read_bytes() if (tmp_path / "s.parquet").exists() else None
    assert render(tmp_path, *given, fonts=undrawable, **changed).returncode == 1
    after = (tmp_path / "s.parquet").read_bytes() if (tmp_path / "s.parquet").exists() else None
    assert after == broken
    assert render(tmp_path, *given, **changed).returncode == 0
    found = read_outputs(tmp_path)
    (tmp_path / "s.parquet").unlink()
    assert render(tmp_path, *given, **changed).returncode == 0
    assert read_outputs(tmp_path) == found


def batch(count: int) -> tuple[list, list, list]:
    numbers = range(count)
    return [question(n) for n in numbers], [answer(n) for n in numbers], [judged(n) for n in numbers]


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_nothing_is_left_in_the_temporary_folder(tmp_path, temporary):
    assert render(tmp_path, *batch(40)).returncode == 0
    assert list(temporary.iterdir()) == []
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    done = render(tmp_path, *batch(2), fonts=[str(tmp_path / "bad.ttf")])
    assert (done.returncode, list(temporary.iterdir())) == (1, [])


@pytest.mark.parametrize("ending", ["terminated", "killed", "killed with its processes"])
def test_programs_that_are_ended_do_not_pile_up_temporary_folders(tmp_path, temporary, ending):
    words = [str(word) for word in command(tmp_path, *batch(4000))]
    with subprocess.Popen(words, env={**os.environ, "PATH": PATH}) as running:
        until(lambda: len(list(temporary.iterdir())) == 4, 60)
        assert running.poll() is None
        processes = psutil.Process(running.pid).children(recursive=True)
        if ending == "terminated":
            running.terminate()
        else:
            running.kill()
        if ending == "killed with its processes":
            for process in processes:
                process.kill()
    assert psutil.wait_procs(processes, timeout=60)[1] == []
    assert len(list(temporary.iterdir())) == (0 if ending == "terminated" else 4)
    assert render(tmp_path, *batch(1)).returncode == 0
    assert list(temporary.iterdir()) == []
