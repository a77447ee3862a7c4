"""Converting a shard: every row that was read is kept or rejected, and pictures come out as they went in."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import converted
import nasty
from converted import FILE, Converted, broken_invariants, outputs, raw_summary, spelled
from prep.containers.rows import open_rows
from prep.convert import shard
from prep.convert.llava import LLAVA
from prep.convert.shard import Conversion
from prep.records.reason import Reason
from prep.storage import parquet, schema
from prep.storage.atomic import read_json, sha256
from prep.storage.summary import SplitRows, write_summary
from running import PATH, run

GOOD = [("human", "<image>\nWhat?"), ("gpt", "A cat.")]


def written(table: pa.Table, folder: Path, **how: object) -> Path:
    path = folder / "raw.parquet"
    pq.write_table(table, path, **how)
    return path


def pictures_of(table: pa.Table) -> list[bytes | None]:
    return pc.struct_field(table.column("image"), "bytes").to_pylist()


@pytest.mark.parametrize("missing_tag", ["prepend", "reject"])
@pytest.mark.parametrize("check", ["decode", "header"])
def test_every_nasty_cell_has_its_fate_in_every_shape(check: str, missing_tag: str, tmp_path: Path) -> None:
    table, fates = nasty.whole_llava(check, missing_tag)
    source, pictures = table.column("id").cast(pa.binary()).to_pylist(), pictures_of(table)
    # How a column is stored does not matter to decoders, which take most of the time.
    shapes = nasty.shapes(table) if check == "header" else {"as it is": table}
    for name, shaped in shapes.items():
        raw = written(shaped, tmp_path, row_group_size=30)
        out = converted.llava(raw, tmp_path / name, missing_tag, check=check)
        assert out.fates == spelled(fates), name
        kept = [row for row, fate in enumerate(fates) if fate is None]
        rows = out.rows
        assert [row["id"] for row in rows] == [f"NAME/train-00000-of-00001:{row}" for row in kept]
        assert [row["source_id"] for row in rows] == [source[row] and source[row].decode() for row in kept]
        assert [row["images"][0]["bytes"] for row in rows] == [pictures[row] for row in kept]
        assert [broken_invariants(row) for row in rows] == [[]] * len(kept)
        assert {row["source_file"] for row in out.rejected} == {FILE}
        ids = [f"NAME/train-00000-of-00001:{row['row']}" for row in out.rejected]
        assert [row["id"] for row in out.rejected] == ids


def test_the_answer_is_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    """Rows, rejects and the files' sha256: a part is not made anew because a machine has more cores."""
    table, _ = nasty.whole_llava("decode", "prepend")
    for size in (7, len(table)):
        raw = written(table, tmp_path, row_group_size=size)
        outs = [converted.llava(raw, tmp_path / str(threads), threads=threads) for threads in (1, 2, 5)]
        assert len({out.summary.read_text() for out in outs}) == 1, size


@pytest.mark.parametrize("held", [0, 5000, 10**8])
def test_rows_stay_in_order_whatever_may_be_on_its_way(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Larger rows are looked at by the program itself, others by its processes."""
    monkeypatch.setattr(shard, "HELD_BYTES", held)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1)
    table, fates = nasty.whole_llava("decode", "prepend")
    assert converted.llava(written(table, tmp_path), tmp_path / "out").fates == spelled(fates)


def test_a_large_row_is_on_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on its way stays within the limit, and is nothing at all while a larger row is looked at."""
    rows = [(nasty.plain() + bytes(size), GOOD) for size in (10, 10, 90_000, 10, 20_000, 20_000, 20_000)]
    raw = written(nasty.llava(rows), tmp_path)
    monkeypatch.setattr(shard, "HELD_BYTES", 50_000)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1)
    monkeypatch.setattr(parquet, "READ_BYTES", 1)
    monkeypatch.setattr(parquet, "FEW_ROWS", 1)
    on_the_way, most, alone = 0, [], []

    class Pool(Executor):
        def submit(self, function: Callable, job: Conversion, given: shard.Rows) -> Future:
            nonlocal on_the_way
            on_the_way += given.nbytes
            most.append(on_the_way)
            future = Future()
            result = future.result

            def taken() -> object:
                nonlocal on_the_way
                on_the_way -= given.nbytes
                return result()

            future.result = taken
            future.set_result(function(job, given))
            return future

    def look(job: Conversion, given: shard.Rows) -> SplitRows:
        if given.nbytes > 50_000:
            alone.append(on_the_way)
        return [], []

    monkeypatch.setattr(shard, "convert_rows", look)
    source = open_rows(raw, "image", ["id", LLAVA.column("conversations")])
    about = {"raw": raw, "sha256": "", "take": None, "columns": (), "check": "decode", "image": "image"}
    about |= {"source_id": None, "build_messages": list}
    job = Conversion(name="a", file="b", max_pixels=1, threads=2, **about)
    assert len(list(shard.convert_batches(job, source.batches(), Pool()))) == len(rows)
    assert alone == [0]
    assert max(most) <= 50_000 + 25_000
    assert on_the_way == 0


def test_a_rejected_row_says_why(tmp_path: Path) -> None:
    raw = written(nasty.llava([(nasty.plain(), GOOD), (nasty.SVG, GOOD), (None, GOOD)]), tmp_path)
    assert converted.llava(raw, tmp_path).rejected[0] == {
        "id": "NAME/train-00000-of-00001:1",
        "source_file": FILE,
        "row": 1,
        "reason": "image_unreadable",
        "detail": "UnidentifiedImageError: cannot identify image file",
    }


def test_the_pictures_fault_comes_before_the_texts(tmp_path: Path) -> None:
    raw = written(nasty.llava([(None, None), ({"bytes": b"", "path": b"\xff"}, None)]), tmp_path)
    assert converted.llava(raw, tmp_path).fates == [Reason.IMAGE_MISSING, Reason.TEXT_NOT_UTF8]


@pytest.mark.parametrize(("take", "read"), [(None, 9), (0, 0), (1, 1), (4, 4), (5, 5), (9, 9), (99, 9)])
def test_take_counts_rows_that_are_read(take: int | None, read: int, tmp_path: Path) -> None:
    cells = [(nasty.plain(), GOOD), (None, GOOD), (nasty.plain(), GOOD)] * 3
    raw = written(nasty.llava(cells), tmp_path, row_group_size=4)
    fates = [None, "image_missing", None] * 3
    assert converted.llava(raw, tmp_path, take=take).fates == fates[:read]


def test_a_shard_without_rows_is_fine(tmp_path: Path) -> None:
    out = converted.llava(written(nasty.llava([]), tmp_path), tmp_path / "out")
    assert (out.rows, out.rejected, out.state) == ([], [], {"state": "read"})
    assert pq.read_schema(out.shard).equals(schema.KEPT)


def test_a_shard_whose_rows_are_all_rejected_gives_an_empty_part(tmp_path: Path) -> None:
    out = converted.llava(written(nasty.llava([(None, None)] * 3), tmp_path), tmp_path / "out")
    assert (out.rows, len(out.rejected)) == ([], 3)
    assert pq.read_schema(out.shard).equals(schema.KEPT)


def test_the_summary_tells_a_changed_part(tmp_path: Path) -> None:
    out = converted.llava(written(nasty.llava([(nasty.plain(), GOOD)]), tmp_path), tmp_path / "out")
    footer = (tmp_path / "raw.parquet").read_bytes()
    footer = footer[-8 - int.from_bytes(footer[-8:-4], "little") :]
    assert read_json(out.summary) == {
        "sources": {"NAME": {FILE: {"state": "read"}}},
        "raw": {
            "path": str(tmp_path / "raw.parquet"),
            "sha256": "the sha256 listed",
            "footer_sha256": hashlib.sha256(footer).hexdigest(),
            "image": "image",
        },
        "files": {
            name: {"rows": pq.read_metadata(path).num_rows, "sha256": sha256(path)}
            for name, path in (("shard", out.shard), ("rejects", out.rejects))
        },
    }


def test_a_part_may_have_no_training_rows(tmp_path: Path) -> None:
    rejects = parquet.write_rows(tmp_path / "r.parquet", [], schema.REJECTS)
    write_summary(tmp_path / "r.json", {"shard": None, "rejects": rejects}, sources={"a": {}})
    files = {"shard": None, "rejects": {"rows": 0, "sha256": rejects.sha256}}
    assert read_json(tmp_path / "r.json") == {"files": files, "sources": {"a": {}}}


@pytest.mark.parametrize("name", nasty.BAD_SHARDS)
def test_a_bad_shard_can_be_left_out_whole(name: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw.parquet"
    nasty.BAD_SHARDS[name](raw, nasty.llava([(nasty.plain(), GOOD)] * 10))
    with pytest.raises(parquet.BadShard):
        converted.llava(raw, tmp_path / "failed")
    assert list((tmp_path / "failed").glob("*")) == []
    out = converted.llava(raw, tmp_path / "out", on_bad_shard="reject")
    assert (out.rows, out.rejected) == ([], [])
    assert out.state["state"] == "bad"
    assert out.state["detail"]
    assert str(tmp_path) not in out.state["detail"]


def test_a_missing_file_is_no_bad_shard(tmp_path: Path) -> None:
    """It may be there on the next try: to leave its rows out would lose them."""
    with pytest.raises(FileNotFoundError):
        converted.llava(tmp_path / "none.parquet", tmp_path, on_bad_shard="reject")


def flags(raw: Path, out: Converted, **changes: object) -> list[object]:
    given = {
        **{"raw": raw, "raw-summary": raw_summary(raw), "name": "NAME", "missing-tag": "prepend"},
        "columns": '{"image": "image", "id": "id", "turns": "conversations"}',
        **{"check": "decode", "max-pixels": 89_478_485, "on-bad-shard": "fail", "threads": 2},
        **{"shard": out.shard, "rejects": out.rejects, "summary": out.summary},
        **changes,
    }
    return [word for flag, value in given.items() for word in (f"--{flag}", value)]


@pytest.mark.parametrize(
    "name", ["no footer", "no such column", "broken row group", "column of another type", "name not utf-8"]
)
def test_the_program_ends_in_one_line_that_names_the_bad_file(name: str, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw.parquet", outputs(tmp_path / "out")
    nasty.BAD_SHARDS[name](raw, nasty.llava([(nasty.plain(), GOOD)] * 2000))
    done = run("convert_llava.py", *flags(raw, out))
    assert done.returncode == 1
    assert done.last.startswith(f"error: {raw}: ")
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    assert list((tmp_path / "out").glob("*")) == []


def test_the_program_leaves_a_bad_file_out_and_says_so(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw.parquet", outputs(tmp_path / "out")
    nasty.BAD_SHARDS["no footer"](raw, nasty.llava([(nasty.plain(), GOOD)]))
    done = run("convert_llava.py", *flags(raw, out, **{"on-bad-shard": "reject"}))
    assert done.returncode == 0
    assert f"rejected the whole shard: {raw}: cannot be opened" in done.stderr
    assert (out.rows, out.rejected, out.state["state"]) == ([], [], "bad")


def test_a_killed_process_is_told_with_the_shard_and_the_key(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw.parquet", outputs(tmp_path / "out")
    large = nasty.encoded(nasty.photograph(1000, 1000), "PNG")
    pq.write_table(nasty.llava([(large, GOOD)] * 60), raw, row_group_size=10)
    words = [str(word) for word in ("convert_llava.py", *flags(raw, out))]
    running = subprocess.Popen(words, env={**os.environ, "PATH": PATH}, stderr=subprocess.PIPE, text=True)
    while len(decoders := psutil.Process(running.pid).children()) < 2:
        assert running.poll() is None
        time.sleep(0.01)
    decoders[-1].kill()
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert said.splitlines()[-1].startswith(f"error: {raw}: a process crashed or was killed; ")
    assert "--set-resources convert_llava:mem_mb=" in said
    assert "Traceback" not in said
    assert list((tmp_path / "out").iterdir()) == []


def test_a_stopped_program_leaves_nothing_behind(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw.parquet", outputs(tmp_path / "out")
    large = nasty.encoded(nasty.photograph(1000, 1000), "PNG")
    pq.write_table(nasty.llava([(large, GOOD)] * 60), raw, row_group_size=10)
    words = [str(word) for word in ("convert_llava.py", *flags(raw, out))]
    running = subprocess.Popen(words, env={**os.environ, "PATH": PATH}, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out").glob(".part.parquet.*")):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM
    assert said.endswith("terminated\n")
    assert list((tmp_path / "out").iterdir()) == []
