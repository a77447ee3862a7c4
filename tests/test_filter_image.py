"""Of questions about pictures those go whose text and picture both repeat an earlier one's."""

import hashlib
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nasty import encoded
from prep.deduplication.contamination import EvaluationPictures
from prep.deduplication.duplicates import Rows
from prep.deduplication.filtering import QuestionFilter
from prep.records.question import Question
from prep.records.reason import Reason
from prep.storage import parquet
from prep.storage.atomic import write_json
from prep.storage.schema import QUESTIONS
from running import run
from scenery import paint

ONE, SMALLER, OTHER, EVALUATED = (
    encoded(paint(1), "PNG"),
    encoded(paint(1).resize((240, 180)), "JPEG"),
    encoded(paint(2), "PNG"),
    encoded(paint(3), "PNG"),
)
WHICH, WHERE = "<image>\nWhich of these animals lives in water?", "<image>\nWhere in the picture is the sun?"
ASKED = [
    (WHICH, ONE),
    (WHICH.upper().replace("IMAGE", "image"), ONE),
    (WHICH, SMALLER),
    (WHERE, ONE),
    (WHICH, OTHER),
    (WHERE, EVALUATED),
]


def rows() -> list[dict]:
    return [
        {"id": f"s/f:{row}", "source": "s", "source_file": "f.parquet", "row": row, "question": text}
        | {"image_sha256": hashlib.sha256(data).hexdigest(), "image": {"bytes": data, "path": None}}
        for row, (text, data) in enumerate(ASKED)
    ]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("keep", [None] * 5),
        ("exact", [None, "s/f:0", None, None, None]),
        ("near", [None, "s/f:0", "s/f:0", None, None]),
    ],
)
def test_text_and_picture_must_both_agree(how: str, expected: list[str | None]) -> None:
    pictures = EvaluationPictures([("eval/a.jpg", encoded(paint(3), "JPEG"))])
    found = QuestionFilter(how, Rows(io.BytesIO()), None, pictures)
    for row in rows():
        image = row.pop("image")
        found.add(Question(**row, source_id=None, reference=None, image=image["bytes"]))
    out = found.find_twins()
    assert [found.explain(row)[1] if out[row] else None for row in range(6)] == [*expected, "eval/a.jpg"]
    assert found.explain(5)[0] == Reason.CONTAMINATED


def test_pictures_are_not_decoded_where_their_bytes_decide() -> None:
    """With `exact` and no evaluation pictures the programs read texts and checksums alone."""
    assert not QuestionFilter("exact", Rows(io.BytesIO()), None, None).reads_pictures
    assert QuestionFilter("near", Rows(io.BytesIO()), None, None).reads_pictures


def test_the_program_keeps_pictures_byte_for_byte(tmp_path: Path) -> None:
    parquet.write_rows(tmp_path / "s.parquet", rows(), QUESTIONS)
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/a.png").write_bytes(EVALUATED)
    write_json(tmp_path / "e.json", {"questions": {}, "pictures": {"eval": str(tmp_path / "eval")}})
    settings = json.dumps({"duplicates": "near", "evaluation": {"sha256": "of the folder"}})
    flags = ["--settings", settings, "--evaluation-files", tmp_path / "e.json", "--folder", tmp_path / "out"]
    # A name may have folders in it.
    done = run("filter_image.py", "--questions", tmp_path / "s.parquet", "--names", "in/s", *flags)
    assert done.returncode == 0, done.stderr
    kept = pq.read_table(tmp_path / "out/in/s.parquet")
    assert kept.schema.equals(QUESTIONS)
    assert kept.to_pylist() == [
        row | {"source_id": None, "reference": None} for row in rows() if row["row"] in (0, 3, 4)
    ]
    dropped = pq.read_table(tmp_path / "out/in/s.rejects.parquet").to_pylist()
    assert [(row["row"], row["reason"], row["detail"]) for row in dropped] == [
        *((1, "duplicate", "s/f:0"), (2, "duplicate", "s/f:0"), (5, "contaminated", "eval/a.png"))
    ]
