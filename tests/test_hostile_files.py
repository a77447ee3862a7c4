"""Source files that anyone may have altered: each row is kept or has a reason, or the file is one line.

Valid files of each container are altered in a few places, and go through what the convert programs call.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import at_most
from hypothesis import given
from hypothesis import strategies as st
from test_rows import FIRST, FORMS, SECOND, convert, sample

import converted
import nasty
from child import Child
from containers import write_zip
from mutations import encode_json, mutate_bytes, mutate_json
from prep.records.reason import Reason
from prep.runtime.program import UserError
from prep.storage.atomic import read_json

FEW = 10
"""Examples of a property that writes files, without `make fuzz`."""

REASONS = {reason.value for reason in Reason}


def check(made: Callable[[], converted.Converted]) -> str:
    """What came of a file: its rows are all accounted for, or it is refused in one line."""
    try:
        out = made()
    except UserError as error:
        line = str(error)
        assert line
        assert len(line) < 3000
        return "refused"
    state = next(iter(next(iter(read_json(out.summary)["sources"].values())).values()))
    if state["state"] == "bad":
        assert out.rejected == []
        return "bad"
    fates = out.fates  # fails unless each row is in one of the two files
    assert {fate for fate in fates if fate} <= REASONS
    for row in out.rows:
        assert converted.broken_invariants(row) == []
    return "read"


def json_tree(form: str) -> dict[str, Any]:
    """A row of a form that names its picture, and another one's beside it."""
    return {"image": "1.png", "id": 7} | FORMS[form]["row"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two pictures, one name that is not UTF-8, and one that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    write_zip(folder / "a.zip", {"in/1.png": FIRST, "in/2.png": SECOND, "in/cut.png": b"PNG"})
    return folder / "a.zip"


@pytest.mark.parametrize("form", ["llava", "caption", "qa"])
@at_most(FEW)
@given(st.data())
def test_any_json_rows(
    form: str, pictures: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(mutate_json([json_tree(form)]), min_size=1, max_size=4))
    whole = [encode_json(json_tree(form)), *map(encode_json, rows)]
    as_array = data.draw(st.booleans())
    written = b"[" + b",\n".join(whole) + b"]" if as_array else b"\n".join(whole) + b"\n"
    if data.draw(st.booleans()):
        written = data.draw(mutate_bytes([written]))
    folder = tmp_path_factory.mktemp("any")
    raw = folder / "train.jsonl"
    raw.write_bytes(written)
    check(lambda: convert(raw, folder, form, [pictures], source_id="id"))


@cache
def tar_of(form: str, names: tuple[str, ...]) -> bytes:
    """A WebDataset of a form, with samples of these keys."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for key in names:
            for name, content in sample(form, key):
                about = tarfile.TarInfo(name)
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
    return file.getvalue()


NAMES = ("a/1", "a/2", "../b", "/c", "d\udcff", "e\x1b[2J", "f" * 200, "g.h", "a/1", "i\n", "\u202ej")


@pytest.mark.parametrize("form", ["llava", "caption"])
@at_most(FEW)
@given(st.data())
def test_any_webdataset(form: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
    written = tar_of(form, tuple(names))
    if data.draw(st.booleans()):
        written = data.draw(mutate_bytes([written]))
    folder = tmp_path_factory.mktemp("any")
    raw = folder / "train.tar"
    raw.write_bytes(written)
    fields = [
        pa.field(each, pa.binary()) if isinstance(each, str) else each for each in FORMS[form]["columns"]
    ]
    columns = [field.with_name(f"json.{field.name}") for field in fields]
    about = {"image": "jpg;png", "columns": columns, "source_id": "__key__"}
    check(lambda: convert(raw, folder, form, [], **about))


@cache
def zip_of(names: tuple[str, ...]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(f"in/{name}.png", FIRST)
    return file.getvalue()


ZIP_NAMES = ("1", "2", "\u202e", "e\x1b[2J", "../1", "f" * 200, "\u4e00")


@at_most(FEW)
@given(st.data())
def test_any_zip_of_pictures(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(ZIP_NAMES), min_size=1, max_size=4, unique=True))
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.zip").write_bytes(data.draw(mutate_bytes([zip_of(tuple(names))], near_end=400)))
    asked = [*names, "\ud800", "no\udcff", "\0", ".."]
    rows = [{"image": f"{name}.png"} | FORMS["caption"]["row"] for name in asked]
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    check(lambda: convert(folder / "train.jsonl", folder, "caption", [folder / "a.zip"]))


# Parquet, which is parsed in C++: in a child process, whose crash would be seen.


@cache
def parquet_files(layout: str) -> tuple[bytes, ...]:
    """Small valid files of a layout, as several writers would have written them."""
    if layout == "llava":
        good = [("human", "<image>\nWhat?"), ("gpt", "A cat.")]
        table = nasty.llava([(nasty.plain(), good)] * 3 + [(None, good), (nasty.plain(), [])])
    else:
        page = nasty.pages()[0].ground_truth
        table = nasty.synthdog([(nasty.plain(), page)] * 3 + [(b"", page), (nasty.plain(), "{")])
    ways: list[dict[str, Any]] = [
        {"compression": "none", "row_group_size": 2},
        {"compression": "snappy", "data_page_version": "2.0"},
        {"compression": "zstd", "use_dictionary": False, "write_page_index": True},
        {"compression": "gzip", "data_page_size": 64, "write_page_checksum": True},
        {"compression": "none", "use_dictionary": False, "store_schema": False},
    ]
    found = []
    for how in ways:
        file = io.BytesIO()
        pq.write_table(table, file, **how)
        found.append(file.getvalue())
    return tuple(found)


def convert_parquet(folder: str, layout: str, on_bad_shard: str) -> str:
    """Convert the file in a folder, in a child process; what came of it."""
    path = Path(folder)
    program = getattr(converted, layout)
    how = {"on_bad_shard": on_bad_shard, "check": "header", "threads": 1}
    return check(partial(program, path / "raw.parquet", path, **how))


@pytest.fixture(scope="module")
def child() -> Any:
    with Child() as found:
        yield found


@pytest.mark.parametrize("layout", ["llava", "synthdog"])
@at_most(FEW)
@given(st.data())
def test_any_parquet(
    layout: str, child: Child, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    written = data.draw(mutate_bytes(parquet_files(layout), near_end=1200))
    (folder / "raw.parquet").write_bytes(written)
    on_bad_shard = data.draw(st.sampled_from(["fail", "reject"]))
    child.call(convert_parquet, str(folder), layout, on_bad_shard)
