"""How many rows repeat others: exact for any rows, within an artifact and between artifacts."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import count_duplicates
from prep.deduplication.fingerprint import KINDS, count_repeats
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.schema import TRAINING
from running import run
from scenery import encode, training_row
from workflow import Build, config

DIGESTS = st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=4)


@given(DIGESTS)
def test_a_row_repeats_the_first_one_with_its_digest(given: list[list[int]]) -> None:
    names = [f"a{number}" for number in range(len(given))]
    parts = [np.array(part, np.uint64) for part in given]
    found = count_repeats(dict.fromkeys(KINDS, parts), names)
    first: dict[int, tuple[str, int]] = {}
    for name, part in zip(names, given, strict=True):
        repeats = []
        for row, digest in enumerate(part):
            if digest in first:
                repeats.append((row, first[digest]))
            first.setdefault(digest, (name, row))
        within = sum(of == name for _, (of, _) in repeats)
        others = [of for _, (of, _) in repeats if of != name]
        expected = {"within": within, "of_others": {of: others.count(of) for of in names if of in others}}
        assert found[name]["rows"] == len(part)
        assert found[name]["repeats"] == dict.fromkeys(KINDS, expected)
        assert [(pair["row"], (pair["of"], pair["of_row"])) for pair in found[name]["pairs"]] == repeats[:3]


def write_artifact(path: Path, name: str, rows: list[tuple[int, str]]) -> None:
    """An artifact of rows, each the picture of a seed and a text."""
    drawn = (training_row(encode(seed), text, f"{name}:{place}") for place, (seed, text) in enumerate(rows))
    parquet.write_rows(path, drawn, TRAINING)


def test_artifacts_are_counted_as_their_rows_say(tmp_path: Path) -> None:
    rows = {
        "first": [(30, "A cat."), (60, "A dog."), (30, "A cat."), (30, "Other.")],
        "second": [(60, "a DOG."), (90, "A bird.")],
    }
    for name, own in rows.items():
        write_artifact(tmp_path / f"{name}.parquet", name, own)
        done = run(
            *("fingerprint_rows.py", "--artifact", tmp_path / f"{name}.parquet", "--threads", 1),
            *("--fingerprints", tmp_path / f"{name}.f.parquet", "--summary", tmp_path / f"{name}.json"),
        )
        assert done.returncode == 0, done.stderr
    done = run(
        *("count_duplicates.py", "--names", *rows, "--duplicates", tmp_path / "duplicates.json"),
        *("--artifacts", *(tmp_path / f"{name}.parquet" for name in rows)),
        *("--fingerprints", *(tmp_path / f"{name}.f.parquet" for name in rows)),
    )
    assert done.returncode == 0, done.stderr
    found = read_json(tmp_path / "duplicates.json")
    none, of_first = {"within": 0, "of_others": {}}, {"within": 0, "of_others": {"first": 1}}
    pictures = {"within": 2, "of_others": {}}
    assert found["first"] == {
        "rows": 4,
        "repeats": {"bytes": pictures, "look": pictures, "row": none | {"within": 1}},
        "pairs": [{"id": "first:2", "repeats": "first:0"}],
    }
    assert found["second"] == {
        "rows": 2,
        "repeats": dict.fromkeys(KINDS, of_first),
        "pairs": [{"id": "second:0", "repeats": "first:1"}],
    }


def test_the_target_compares_every_artifact_of_stages_1_and_2(tmp_path: Path) -> None:
    build = Build(tmp_path, config("http://127.0.0.1:1", onevision={"configs": ["iiit5k", "sroie"]}))
    planned = build.run("count_duplicates", "--dry-run")
    assert planned.returncode == 0, planned.output
    assert {"fingerprint_rows", "count_duplicates", "assemble_artifact"} <= set(planned.jobs)
    assert not {"answer_text", "answer_image"} & set(planned.jobs)


def test_lines_say_how_many_rows_repeat_others() -> None:
    repeats = {kind: {"within": 1, "of_others": {"b": 2}} for kind in KINDS}
    (line,) = count_duplicates.list_lines({"a": {"rows": 12, "repeats": repeats, "pairs": []}})
    assert line == (
        "a: of 12 rows the same pictures 3 (25 %), pictures that look the same 3 (25 %),"
        " and the same text 3 (25 %)"
    )
