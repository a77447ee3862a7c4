"""Parts become one file, in order, and their rejects another; nothing is lost on the way."""

import io
import random
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import converted
import nasty
from assemble_artifact import append_batches, join_pictures, merge_sources, read_stored
from prep.records.reason import Reason
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.atomic import read_json, sha256, write_json
from prep.storage.schema import KEPT, REASONED, REASONED_BY, REJECTS, TRAINING
from prep.storage.summary import write_summary
from running import Done, run


def training(row: int, size: int = 10) -> dict:
    """A training row with a picture of so many bytes."""
    return {
        "id": f"a/s:{row}",
        "source_id": None if row % 3 else f"{row}",
        "messages": [{"content": "<image>", "role": "user"}, {"content": f"{row}", "role": "assistant"}],
        "images": [{"bytes": random.Random(row).randbytes(size), "path": None if row % 2 else "a.jpg"}],
    }


def reject(row: int, reason: Reason = Reason.IMAGE_MISSING) -> dict:
    return {"id": f"a/s:{row}", "source_file": "s.parquet", "row": row, "reason": reason, "detail": "null"}


def part(
    folder: Path,
    name: str,
    rows: list[dict] | None,
    rejects: list[dict],
    state: str = "read",
    schema: pa.Schema = TRAINING,
) -> Path:
    """A part's files; gives its summary."""
    shard = None if rows is None else parquet.write_rows(folder / f"{name}.parquet", rows, schema)
    dropped = parquet.write_rows(folder / f"{name}.rejects.parquet", rejects, REJECTS)
    states = {"a": {f"{name}.parquet": {"state": state} | ({"detail": "cut"} if state == "bad" else {})}}
    write_summary(folder / f"{name}.json", {"shard": shard, "rejects": dropped}, sources=states, raw=None)
    return folder / f"{name}.json"


def assemble(
    folder: Path, parts: list[Path], kind: str = "converted", notice: str = "", shard_bytes: int = 0
) -> Done:
    out = folder / "data"
    return run(
        *("assemble_artifact.py", "--parts", *parts, "--kind", kind, "--notice", notice),
        *("--may-be-empty", folder / "allow_empty.json"),
        *("--shard-bytes", shard_bytes, "--artifact", out / ("a" if shard_bytes else "a.parquet")),
        *("--rejects", out / "rejects/a.parquet", "--summary", folder / "summary.json"),
    )


def test_an_artifact_that_lost_every_answer_is_an_error_unless_it_may_be_empty(tmp_path: Path) -> None:
    questions = part(tmp_path, "q", None, [reject(0, Reason.QUESTION_EMPTY)])
    lost = [reject(1, Reason.ANSWER_MALFORMED)]
    write_json(tmp_path / "allow_empty.json", [])
    for kind, schema in (("reasoned_by", REASONED_BY), ("reasoned", REASONED)):
        answers = part(tmp_path, "b", [], lost, schema=schema)
        done = assemble(tmp_path, [questions, answers], kind)
        assert done.returncode == 1
        assert "would be empty, since every answer was rejected: answer_malformed 1." in done.last
    assert not list(tmp_path.glob("data/**/*.parquet"))
    assert assemble(tmp_path, [questions], "reasoned").returncode == 0
    write_json(tmp_path / "allow_empty.json", ["a"])
    assert assemble(tmp_path, [questions, answers], "reasoned").returncode == 0


def test_parts_are_put_together_in_order(tmp_path: Path) -> None:
    parts = [
        part(tmp_path, "b", [training(0), training(2)], [reject(1)]),
        part(tmp_path, "a", [], [reject(0), reject(1, Reason.ODD_TURNS)]),
        part(tmp_path, "empty", [], [], state="bad"),
        part(tmp_path, "c", [training(7)], []),
    ]
    done = assemble(tmp_path, parts)
    assert done.returncode == 0, done.stderr
    artifact = tmp_path / "data/a.parquet"
    assert pq.read_table(artifact).to_pylist() == [training(0), training(2), training(7)]
    rejects = pq.read_table(tmp_path / "data/rejects/a.parquet").to_pylist()
    assert rejects == [reject(1), reject(0), reject(1, Reason.ODD_TURNS)]
    size = artifact.stat().st_size
    sums = [sha256(file) for file in (artifact, tmp_path / "data/rejects/a.parquet")]
    assert read_json(tmp_path / "summary.json") == {
        "files": {
            "artifact": {"path": str(artifact), "rows": 3, "bytes": size, "sha256": sums[0]},
            "rejects": {"rows": 3, "sha256": sums[1]},
        },
        "read": 6,
        "kept": 3,
        "rejected": {"image_missing": 2, "odd_turns": 1},
        "sources": {
            "a": {
                "b.parquet": {"state": "read"},
                "a.parquet": {"state": "read"},
                "empty.parquet": {"state": "bad", "detail": "cut"},
                "c.parquet": {"state": "read"},
            }
        },
        "notice": None,
        "funnel": [],
    }


def test_shards_are_numbered_files_in_a_folder(tmp_path: Path) -> None:
    parts = [part(tmp_path, f"p{n}", [training(n, 5_000)], [reject(n)]) for n in range(7)]
    (tmp_path / "data/a").mkdir(parents=True)
    (tmp_path / "data/a/a-00000-of-00009.parquet").touch()  # of an earlier run
    (tmp_path / "data/.a.killed.parts").mkdir()
    done = assemble(tmp_path, parts, shard_bytes=15_000)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "data/a"
    names = [f"a-0000{n}-of-00004.parquet" for n in range(4)]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["a", "rejects"]
    assert [row["id"] for row in parquet.read_rows(folder)] == [f"a/s:{n}" for n in range(7)]
    assert list(parquet.read_rows_at(folder, [1, 2, 6])) == [training(n, 5_000) for n in (1, 2, 6)]
    assert parquet.count_rows(folder) == 7
    artifact = read_json(tmp_path / "summary.json")["files"]["artifact"]
    sizes = [(folder / name).stat().st_size for name in names]
    assert max(sizes) <= 15_000
    assert artifact == {
        "path": str(folder),
        "rows": 7,
        "bytes": sum(sizes),
        "files": [
            {
                "file": str(folder / name),
                "rows": rows,
                "bytes": size,
                "sha256": sha256(folder / name),
            }
            for name, rows, size in zip(names, (2, 2, 2, 1), sizes, strict=True)
        ],
    }


def test_no_rows_are_one_shard(tmp_path: Path) -> None:
    assert assemble(tmp_path, [part(tmp_path, "b", [], [reject(0)])], shard_bytes=1).returncode == 0
    assert pq.read_metadata(tmp_path / "data/a/a-00000-of-00001.parquet").num_rows == 0


def test_a_broken_part_leaves_no_shard(tmp_path: Path) -> None:
    parts = [part(tmp_path, "b", [training(0, 5_000)], []), part(tmp_path, "c", [training(1)], [])]
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    assert assemble(tmp_path, parts, shard_bytes=1_000).returncode == 1
    assert not (tmp_path / "data/a").exists()
    assert not list((tmp_path / "data").glob(".a*"))


def test_schema_and_features_are_the_artifacts(tmp_path: Path) -> None:
    assert assemble(tmp_path, [part(tmp_path, "b", [training(0)], [])]).returncode == 0
    found = pq.read_schema(tmp_path / "data/a.parquet")
    assert found.equals(TRAINING)
    assert found.metadata[b"huggingface"] == TRAINING.metadata[b"huggingface"]
    assert b"notice" not in found.metadata
    assert pq.read_schema(tmp_path / "data/rejects/a.parquet").equals(REJECTS)


def test_a_notice_is_in_the_file_and_the_summary(tmp_path: Path) -> None:
    row = training(0) | {"source": "s", "mode": "thinking", "score": 4}
    row |= {"rule": "agrees", "pass_rate": 1.0, "votes": 1, "needs_picture": None}
    made = part(tmp_path, "b", [row], [], schema=REASONED)
    assert assemble(tmp_path, [made], "reasoned", "Not for training.").returncode == 0
    for file in ("a.parquet", "rejects/a.parquet"):
        assert pq.read_schema(tmp_path / "data" / file).metadata[b"notice"] == b"Not for training."
    assert pq.read_table(tmp_path / "data/a.parquet").to_pylist() == [row]
    assert read_json(tmp_path / "summary.json")["notice"] == "Not for training."


def test_a_part_may_have_rejects_alone(tmp_path: Path) -> None:
    parts = [part(tmp_path, "q", None, [reject(4)]), part(tmp_path, "b", [training(0)], [])]
    assert assemble(tmp_path, parts).returncode == 0
    summary = read_json(tmp_path / "summary.json")
    assert (summary["read"], summary["kept"], summary["rejected"]) == (2, 1, {"image_missing": 1})


def test_nothing_gives_an_empty_artifact(tmp_path: Path) -> None:
    assert assemble(tmp_path, []).returncode == 0
    assert pq.read_table(tmp_path / "data/a.parquet").num_rows == 0
    assert read_json(tmp_path / "summary.json")["read"] == 0


def test_row_groups_stay_small_and_small_parts_are_gathered(tmp_path: Path) -> None:
    parts = [part(tmp_path, f"p{n}", [training(n)], []) for n in range(5)]
    parts.append(part(tmp_path, "large", [training(n) for n in range(5, 1005)], []))
    assert assemble(tmp_path, parts).returncode == 0
    about = pq.read_metadata(tmp_path / "data/a.parquet")
    sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
    assert sum(sizes) == 1005
    assert max(sizes) <= parquet.GROUP_ROWS
    assert len(sizes) <= 4


@pytest.mark.parametrize("spoilt", ["b.parquet", "b.rejects.parquet"])
@pytest.mark.parametrize("fault", ["other columns", "cut", "missing"])
def test_a_part_that_is_not_ours_stops_it_and_is_named(fault: str, spoilt: str, tmp_path: Path) -> None:
    parts = [part(tmp_path, "a", [training(0)] * 600, []), part(tmp_path, "b", [training(1)], [reject(2)])]
    file = tmp_path / spoilt
    if fault == "other columns":
        pq.write_table(pq.read_table(file).drop_columns("id"), file)
    elif fault == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    else:
        file.unlink()
    done = assemble(tmp_path, parts)
    assert done.returncode == 1
    assert done.last.startswith("error: ")
    assert str(file) in done.last
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "data").rglob("*.parquet"))
    assert not (tmp_path / "summary.json").exists()


def test_append_counts_reasons_where_there_are_any(tmp_path: Path) -> None:
    part(tmp_path, "a", [training(0)], [reject(1), reject(2), reject(3, Reason.ODD_TURNS)])
    with parquet.open_writer(tmp_path / "r.parquet", REJECTS) as writer:
        found = append_batches(writer, read_stored(tmp_path / "a.rejects.parquet", REJECTS))
        assert found == {"image_missing": 2, "odd_turns": 1}
    with parquet.open_writer(tmp_path / "t.parquet", TRAINING) as writer:
        assert append_batches(writer, read_stored(tmp_path / "a.parquet", TRAINING)) == {}
        assert append_batches(writer, read_stored(tmp_path / "a.parquet", TRAINING)) == {}
    assert writer.rows == 2


def test_append_wants_the_same_columns(tmp_path: Path) -> None:
    part(tmp_path, "a", [], [])
    with (
        pytest.raises(UserError, match="delete it"),
        parquet.open_writer(tmp_path / "t.parquet", REASONED) as writer,
    ):
        append_batches(writer, read_stored(tmp_path / "a.parquet", REASONED))


def picture(row: int) -> dict:
    return {"bytes": b"picture %d" % row, "path": b"a.jpg" if row % 2 else None}


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 9), st.integers(1, 9))
def test_every_kept_row_gets_its_own_picture(fates: list[bool], raw_batch: int, kept_batch: int) -> None:
    rows, kept = len(fates), [row for row, fate in enumerate(fates) if fate]
    raw = pa.table({"image": [[picture(row)] for row in range(rows)]}, pa.schema([parquet.pictures("image")]))
    texts = [{"row": row, "id": f"{row}", "source_id": None, "messages": []} for row in kept]
    texts = pa.Table.from_pylist(texts, KEPT)
    found = join_pictures(iter(texts.to_batches(kept_batch)), iter(raw.to_batches(raw_batch)))
    table = pa.Table.from_batches(found, TRAINING)
    table.validate(full=True)
    assert table.column("id").to_pylist() == [f"{row}" for row in kept]
    wanted = [[{"bytes": b"picture %d" % row, "path": "a.jpg" if row % 2 else None}] for row in kept]
    assert table.column("images").to_pylist() == wanted


@pytest.mark.parametrize("rows", [0, 3, 4])
def test_no_kept_row_is_left_out_where_pictures_end_early(rows: int) -> None:
    texts = [{"row": row, "id": f"{row}", "source_id": None, "messages": []} for row in (1, 4)]
    kept = pa.Table.from_pylist(texts, KEPT).to_batches(1)
    raw = pa.table({"image": [[picture(row)] for row in range(rows)]}, pa.schema([parquet.pictures("image")]))
    with pytest.raises(UserError, match=f"ends after {rows} rows"):
        list(join_pictures(iter(kept), iter(raw.to_batches(2))))


def converted_nasty(folder: Path) -> converted.Converted:
    table, _ = nasty.whole_llava("decode", "prepend")
    pq.write_table(table, folder / "raw.parquet", row_group_size=30)
    return converted.llava(folder / "raw.parquet", folder / "work")


def test_pictures_come_from_the_raw_shard_byte_for_byte(tmp_path: Path) -> None:
    out = converted_nasty(tmp_path)
    assert assemble(tmp_path, [out.summary]).returncode == 0
    image = pq.read_table(tmp_path / "raw.parquet").column("image")
    pictures = pc.struct_field(image, "bytes").to_pylist()
    rows = pq.read_table(tmp_path / "data/a.parquet").to_pylist()
    assert len(rows) > 20
    for row in rows:
        assert row["images"][0]["bytes"] == pictures[int(row["id"].rpartition(":")[2])]


def test_a_raw_shard_that_was_replaced_stops_it_and_is_named(tmp_path: Path) -> None:
    """Its pictures would stand beside the texts of others."""
    out = converted_nasty(tmp_path)
    raw = tmp_path / "raw.parquet"
    pq.write_table(pq.read_table(raw).slice(1), raw, row_group_size=30)
    done = assemble(tmp_path, [out.summary])
    assert done.returncode == 1
    assert done.last == f"error: {raw}: was replaced after it was converted; delete {out.shard} and run again"


def test_a_raw_shard_that_broke_stops_it_and_is_named(tmp_path: Path) -> None:
    out = converted_nasty(tmp_path)
    raw = tmp_path / "raw.parquet"
    data = bytearray(raw.read_bytes())
    data[4:2000] = bytes(1996)
    raw.write_bytes(data)
    done = assemble(tmp_path, [out.summary])
    assert done.returncode == 1
    assert done.last.startswith(f"error: {raw}: row group 0 cannot be read")
    assert "Traceback" not in done.stderr


def test_a_trainers_map_leaves_the_bytes_of_pictures_alone(tmp_path: Path) -> None:
    """LLaMA-Factory aligns rows so; a decoded picture would be encoded again, as JPEG of quality 75."""
    assert assemble(tmp_path, [converted_nasty(tmp_path).summary]).returncode == 0
    file = tmp_path / "data/a.parquet"
    read = datasets.load_dataset(
        "parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )
    aligned = read.map(
        lambda row: {"_images": row["images"], "_prompt": row["messages"][:1]},
        remove_columns=read.column_names,
    )
    stored = [row["images"] for row in pq.read_table(file).to_pylist()]
    assert [row["_images"] for row in aligned] == stored
    assert len(stored) > 20


def test_datasets_reads_the_pictures(tmp_path: Path) -> None:
    assert assemble(tmp_path, [converted_nasty(tmp_path).summary]).returncode == 0
    file = tmp_path / "data/a.parquet"
    read = datasets.load_dataset(
        "parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert read.features["images"].feature == datasets.Image(decode=False)
    rows = pq.read_table(file).to_pylist()
    decoded = read.cast_column("images", [datasets.Image()])
    for row, stored_row in zip(decoded, rows, strict=True):
        with Image.open(io.BytesIO(stored_row["images"][0]["bytes"])) as image:
            assert row["images"][0].size in (image.size, image.size[::-1])
        assert row["messages"] == [dict(message) for message in stored_row["messages"]]
    assert [row["images"] for row in read] == [row["images"] for row in rows]


def test_states_are_merged_by_source_in_order() -> None:
    read, bad = {"state": "read"}, {"state": "bad", "detail": "cut"}
    parts = [{"a": {"1": read}}, {"b": {"1": bad}}, {}, {"a": {"0": bad, "2": read}}]
    found = merge_sources(parts)
    assert found == {"a": {"1": read, "0": bad, "2": read}, "b": {"1": bad}}
    assert list(found["a"]) == ["1", "0", "2"]
    assert merge_sources([]) == {}
