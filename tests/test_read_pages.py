"""Pages of the artifact are read again, and what OCR gets wrong is counted by kind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import read_pages
from prep.rendering.typeset import Typesetter
from prep.storage import parquet
from prep.storage.schema import QUESTIONS, REASONED
from render_config import RENDER

ENGLISH = "Name three rivers in Europe and say into which sea each of them flows."
CHINESE = "请用三句话介绍一下孔子的主要思想。中国最长的河流是哪一条？"
LONG = "Explain how the tides follow the moon, and why there are two of them a day. " * 26
FORMULA = "Find $x$ if $\\frac{x^2 + 7}{4} = 9$ and $\\sqrt{y} = 12$, where $y$ is a whole number."
TABLE = "| Region | Sales in 2021 |\n|---|---|\n| North | 4710 |\n| East and west | 388 |\n\nWho sold most?"
CODE = "What does this print?\n\n```python\nfor number in range(10):\n    print(number ** 2)\n```"
APART = [
    "Что такое река?",
    "これは何ですか。",
    "123 + 4",
    "Что значит $x^2$?",
    "$$x^2 = 4y$$",
    "Why is this **so**?",
]


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    return Typesetter(RENDER, 42)


def build(folder: Path, typesetter: Typesetter, asked: list[str], drawn: list[str]) -> None:
    """Questions, and the artifact whose rows show what is drawn of each."""
    blank = dict.fromkeys(QUESTIONS.names)
    origin = {"source": "a", "source_file": "f", "row": 0, "reference": ""}
    questions = [blank | origin | {"id": f"a/f:{n}", "question": text} for n, text in enumerate(asked)]
    parquet.write_rows(folder / "questions.parquet", questions, QUESTIONS)
    blank = dict.fromkeys(REASONED.names)
    rows = []
    for number, text in enumerate(drawn):
        pages = typesetter.render(text, str(number)).pages
        images = [{"bytes": page.bytes, "path": None} for page in pages]
        rows.append(blank | {"id": f"a/f:{number}#thinking.0", "messages": [], "images": images})
    parquet.write_rows(folder / "text2image.parquet", rows, REASONED)


def run(folder: Path, *questions: str) -> list[dict]:
    command = [sys.executable, ROOT / "scripts/read_pages.py", "--artifact", "text2image.parquet"]
    command += ["--questions", *questions, "--max-pixels", str(RENDER.max_pixels)]
    command += ["--seed", "42", "--threads", "2"]
    subprocess.run([*command, "--legibility", "out.json"], cwd=folder, check=True)
    return json.loads((folder / "out.json").read_text())


def test_plain_questions_are_read_whole_by_language(tmp_path: Path, typesetter: Typesetter) -> None:
    texts = [ENGLISH, *APART, CHINESE, LONG]
    build(tmp_path, typesetter, texts, texts)
    english, chinese = run(tmp_path, "questions.parquet")
    assert (english["kind"], english["questions"], english["bar"]) == ("English", 2, 2.0)
    assert (chinese["kind"], chinese["questions"], chinese["bar"]) == ("Chinese", 1, 3.0)
    assert english["pages"] > 2
    assert english["characters"] == len("".join((ENGLISH + LONG).split()))
    assert chinese["characters"] == len(CHINESE)
    assert all(100 * read["wrong"] <= read["bar"] * read["characters"] for read in (english, chinese))


def test_a_page_that_does_not_show_its_question_misses_the_bar(
    tmp_path: Path, typesetter: Typesetter
) -> None:
    build(tmp_path, typesetter, [ENGLISH], [ENGLISH.replace("flows", "drains")])
    (read,) = run(tmp_path, "questions.parquet")
    assert 100 * read["wrong"] > read["bar"] * read["characters"]
    assert read["wrong"] >= 4


def test_formulas_tables_and_code_are_read(tmp_path: Path, typesetter: Typesetter) -> None:
    texts = [CODE, TABLE, FORMULA, FORMULA.replace("12", "34")]
    build(tmp_path, typesetter, texts, [CODE, TABLE, FORMULA, FORMULA])
    formula, table, code = run(tmp_path, "questions.parquet")
    assert [read["kind"] for read in (formula, table, code)] == ["formula", "table", "code"]
    assert table["characters"] == len("RegionSalesin2021North4710Eastandwest388Whosoldmost")
    assert all(100 * read["wrong"] <= read["bar"] * read["characters"] for read in (table, code))
    assert formula["worst"]["id"] == "a/f:3#thinking.0"
    assert formula["worst"]["row"] == 3
    assert formula["worst"]["wrong"] >= 2


def test_without_a_question_in_english_or_chinese_nothing_is_read(
    tmp_path: Path, typesetter: Typesetter
) -> None:
    build(tmp_path, typesetter, APART, APART)
    assert run(tmp_path, "questions.parquet") == []


def test_the_smallest_hashes_are_read_and_no_more_than_wanted(tmp_path: Path, typesetter: Typesetter) -> None:
    texts = [f"{ENGLISH} {number}" for number in range(read_pages.QUESTIONS + 9)]
    build(tmp_path, typesetter, texts, texts)
    files = (tmp_path / "text2image.parquet", [tmp_path / "questions.parquet"])
    sampled = read_pages.sample_questions(*files, 42)
    assert sampled["Chinese"] == []
    assert len(sampled["English"]) == read_pages.QUESTIONS
    assert all(sample.text == texts[sample.position] for sample in sampled["English"])
    assert read_pages.sample_questions(*files, 42) == sampled
    assert read_pages.sample_questions(*files, 43) != sampled


def test_without_any_source_of_questions_nothing_is_read(tmp_path: Path, typesetter: Typesetter) -> None:
    build(tmp_path, typesetter, [], [])
    assert run(tmp_path) == []
