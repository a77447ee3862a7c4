"""A batch of planted answers: which rows it takes, what its files hold, and the same bytes each time."""

from pathlib import Path
from typing import Any

import pytest

import nasty
from batch import question
from prep.reasoning.calibration import Kind
from prep.records.ids import parse_answer_id
from prep.storage import parquet
from prep.storage.atomic import read_json, sha256
from prep.storage.schema import ANSWERS, QUESTIONS, REASONED
from running import Done, run


def row(number: int, mode: str = "thinking", sample: int = 0) -> dict[str, Any]:
    """A training row that was made of question `number`."""
    answer = f"<think>\nhm\n</think>\n\n{number} + 0 = {number}. The answer is {number}."
    return dict.fromkeys(REASONED.names) | {
        "id": f"set/file:{number}#{mode}.{sample}",
        "messages": [{"content": "<image>", "role": "user"}, {"content": answer, "role": "assistant"}],
        "images": [],
    }


def plant(folder: Path, questions: list[dict], rows: list[dict], samples: int = 100, files: int = 1) -> Done:
    """Run the program in a folder; the questions stand in so many files."""
    named = []
    for part in range(files):
        named.append(folder / f"questions{part}.parquet")
        parquet.write_rows(named[-1], questions[part::files], QUESTIONS)
    parquet.write_rows(folder / "artifact.parquet", rows, REASONED)
    return run(
        *("plant_errors.py", "--artifact", folder / "artifact.parquet", "--questions", *named),
        *("--samples", samples, "--seed", 42, "--asked", folder / "asked.parquet"),
        *("--answers", folder / "answers.parquet", "--summary", folder / "summary.json"),
    )


def asked(count: int) -> list[dict]:
    return [question(number) | {"reference": str(number)} for number in range(1, count + 1)]


def test_a_sample_of_kept_answers_is_replaced_by_kind(tmp_path: Path) -> None:
    rows = [row(number, mode) for number in range(1, 21) for mode in ("thinking", "no_thinking")]
    done = plant(tmp_path, asked(30), rows, samples=8)
    assert done.returncode == 0, done.stderr
    questions = list(parquet.read_rows(tmp_path / "asked.parquet"))
    answers = list(parquet.read_rows(tmp_path / "answers.parquet"))
    assert parquet.pq.read_schema(tmp_path / "answers.parquet").names == ANSWERS.names
    assert len(questions) == 8
    assert {each["row"] for each in questions} <= set(range(1, 21))
    # In the order of the questions, as a judging program reads them.
    assert list(dict.fromkeys(each["question_id"] for each in answers)) == [each["id"] for each in questions]
    for answer in answers:
        parts = parse_answer_id(answer["id"])
        assert (parts.question_id, parts.mode, parts.sample) == (answer["question_id"], answer["mode"], 0)
        assert answer["reason"] is None
        assert "hm" not in answer["text"]
    kinds = [Kind(each["mode"]) for each in answers if each["question_id"] == questions[0]["id"]]
    assert kinds == [kind for kind in Kind if kind in kinds]
    assert {Kind.ANOTHER_NUMBER, Kind.INSTRUCTION, Kind.REFERENCE, Kind.WRONG_REASONING} <= set(kinds)
    assert f"in the place of 8 kept answers: 8 {Kind.ANOTHER_NUMBER}, 0 {Kind.ANOTHER_CHOICE}" in done.last
    summary = read_json(tmp_path / "summary.json")["files"]
    assert {name: file["rows"] for name, file in summary.items()} == {"asked": 8, "answers": len(answers)}


def test_the_order_of_rows_and_files_makes_no_difference(tmp_path: Path) -> None:
    digests = set()
    for number, (step, files) in enumerate([(1, 1), (-1, 3)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert (
            plant(folder, asked(12)[::step], list(map(row, range(1, 13)))[::step], 6, files).returncode == 0
        )
        digests.add((sha256(folder / "asked.parquet"), sha256(folder / "answers.parquet")))
    assert len(digests) == 1


def test_questions_keep_their_pictures(tmp_path: Path) -> None:
    pictures = [nasty.encoded(nasty.photograph(30 + number, 20), "PNG") for number in range(3)]
    questions = [
        question(number, "<image>\nHow many?", image) | {"reference": str(number + 5)}
        for number, image in enumerate(pictures)
    ]
    assert plant(tmp_path, questions, [row(number) for number in range(3)]).returncode == 0
    found = {each["row"]: each for each in parquet.read_rows(tmp_path / "asked.parquet")}
    assert [found[number] for number in range(3)] == questions


@pytest.mark.parametrize("rows", [[], [row(1)]])
def test_where_nothing_can_be_planted_the_files_are_empty(tmp_path: Path, rows: list[dict]) -> None:
    done = plant(tmp_path, [question(1) | {"reference": None}], rows)
    assert done.returncode == 0, done.stderr
    assert list(parquet.read_rows(tmp_path / "answers.parquet")) == []
    assert list(parquet.read_rows(tmp_path / "asked.parquet")) == []
