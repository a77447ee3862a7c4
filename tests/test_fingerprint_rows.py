"""Fingerprints of rows: which rows share one, and that each row of an artifact has one."""

import pytest

import fingerprint_rows
from prep.deduplication.fingerprint import FINGERPRINTS, KINDS, take_fingerprint
from prep.storage import parquet
from prep.storage.schema import TRAINING
from scenery import encode, training_row


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (training_row(encode(50)), {"bytes", "look", "row"}),
        (training_row(encode(50), "a  CAT."), {"bytes", "look", "row"}),
        (training_row(encode(50), "A dog."), {"bytes", "look"}),
        (training_row(encode(50, 80)), {"look", "row"}),
        (training_row(encode(150)), set()),
    ],
)
def test_rows_share_what_is_the_same_of_them(other: dict, shared: set[str]) -> None:
    one, two = take_fingerprint(training_row(encode(50))), take_fingerprint(other)
    assert {kind for kind in KINDS if one[kind] == two[kind]} == shared


def test_every_row_of_an_artifact_has_its_fingerprint_in_order(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fingerprint_rows, "ROWS_AT_ONCE", 2)
    rows = [training_row(encode(number), f"Number {number}.", f"a:{number}") for number in range(5)]
    parquet.write_rows(tmp_path / "a.parquet", rows, TRAINING)
    files = {"artifact": "a.parquet", "fingerprints": "f.parquet", "summary": "f.json"}
    flags = [each for name, file in files.items() for each in (f"--{name}", str(tmp_path / file))]
    monkeypatch.setattr("sys.argv", ["fingerprint_rows.py", *flags, "--threads", "2"])
    fingerprint_rows.main()
    assert list(parquet.read_rows(tmp_path / "f.parquet")) == [take_fingerprint(each) for each in rows]
    assert FINGERPRINTS.names == list(KINDS)
