"""`make try`: first rows become what a build makes of them, no file is fetched whole, errors name the key."""

import contextlib
import io
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT

import nasty
import try_sources
from containers import write_array, write_tar, write_zip
from fault_server import FaultServer
from hub_server import Hub, undisturbed
from prep.hub.remote import Remote
from prep.hub.remote_file import BLOCK, RemotePath
from prep.runtime.program import UserError
from prep.storage.atomic import read_json
from running import Done
from teachers import teach
from workflow import Build, config
from workflow_lib import try_settings
from workflow_lib.config import read_config

PICTURE = nasty.plain()
TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
SHARED = {"repo": "org/mine", "revision": "main", "stage": 2}
OFF = dict.fromkeys(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["sources"])
CAPTIONS = SHARED | {
    "form": "caption",
    "columns": {"image": "picture", "text": "txt"},
    "prompts": ["Describe it.", "What is there?"],
}
CHAT = SHARED | {
    "form": "llava",
    "files": ["chat.json"],
    "pictures": {"files": ["images.zip"], "folder": "a"},
}
TAR = SHARED | {
    "form": "caption",
    "files": ["shards/*.tar"],
    "columns": {"image": "jpg", "text": "txt"},
    "prompts": ["Q?"],
}
SUMS = {"repo": "org/sums", "revision": "main", "files": ["main/*.parquet"]} | {
    "question": ["problem"],
    "reference": "solution",
}
SOURCES = {"captions": CAPTIONS, "ours/chat": CHAT, "tarred": TAR}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror whose files are megabytes, of which the first rows are few."""
    hub = tmp_path_factory.mktemp("try") / "hub"
    mine, chance = hub / "org/mine", random.Random(1)
    for number in range(2):
        pictures = [None if row == 1 else PICTURE for row in range(30)]
        padding = [chance.randbytes(200_000) for _ in range(30)]
        table = {"picture": pictures, "txt": [f"Text {row}." for row in range(30)], "other": padding}
        write(mine / f"data/train-{number:05d}-of-00002.parquet", table)
    rows = [{"id": f"{row}", "image": f"{row}.jpg", "conversations": TURNS} for row in range(40)]
    rows[1]["image"], rows[2]["conversations"] = "gone.jpg", TURNS[:1]
    write_array(mine / "chat.json", [*rows, {"padding": "x" * 6_000_000}])
    padding = {f"b/{number}.bin": chance.randbytes(1_000_000) for number in range(6)}
    write_zip(mine / "images.zip", {**{f"a/{row}.jpg": PICTURE for row in range(40)}, **padding})
    members = [
        (f"{row}.{kind}", data) for row in range(40) for kind, data in [("jpg", PICTURE), ("txt", b"T.")]
    ]
    write_tar(mine / "shards/0.tar", [*members, ("z.bin", chance.randbytes(6_000_000))])
    asked = {"problem": [f"What is {row}?" for row in range(30)], "solution": ["It is."] * 30}
    write(hub / "org/sums/main/train.parquet", asked)
    return hub


def write(path: Path, columns: dict[str, list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=10)


def call(main: Callable[[], None], *flags: object) -> Done:
    """Run a program in this process: its exit code, and what it prints."""
    out, code = io.StringIO(), 0
    with mock.patch.object(sys, "argv", ["program", *map(str, flags)]), contextlib.redirect_stdout(out):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Done(int(code != 0), out.getvalue(), code if isinstance(code, str) else "")


def settings(folder: Path, *flags: str, **changes: Any) -> Done:
    """Write what is tried into the folder, as `make try` does."""
    given = {"onevision": None, "sources": OFF | SOURCES, "text_reasoning": {"sources": [SUMS]}} | changes
    (folder / "my.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    files = ("--configfile", folder / "my.yaml")
    return call(try_settings.main, "--folder", folder, "--rows", 20, *files, *flags)


def run_try(folder: Path, *flags: str, **changes: Any) -> Done:
    """What `make try` prints."""
    given = settings(folder, *flags, **changes)
    assert given.returncode == 0, given.stderr
    return call(try_sources.main, "--sources", folder / "sources.json", "--rows", 20)


SUMMARIES = [
    "captions: 20 rows = 19 kept + 1 rejected (image_missing 1)",
    "ours/chat: 20 rows = 18 kept + 2 rejected (image_missing 1, odd_turns 1)",
    "tarred: 20 rows = 20 kept + 0 rejected",
    "sums: 20 rows = 20 kept + 0 rejected",
]


def test_each_source_has_its_records_its_rejects_and_a_line(hub: Path, tmp_path: Path) -> None:
    done = run_try(tmp_path, hub={"mirror": str(hub)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("In all:\n" + "\n".join(SUMMARIES) + "\n")
    assert "== ours/chat: llava → data/ours/chat.parquet" in done.stdout
    assert "  row 0 of data/train-00000-of-00002.parquet\n    picture    JPEG" in done.stdout
    assert "    user       <image>\n               What?\n    assistant  A cat." in done.stdout
    assert "row 1 of chat.json: no file a/gone.jpg in images.zip; there are " in done.stdout
    assert "    question   What is 0?\n    reference  It is." in done.stdout


def test_they_are_what_a_build_makes_of_the_same_rows(hub: Path, tmp_path: Path) -> None:
    done = run_try(tmp_path, "--source", "captions", hub={"mirror": str(hub)})
    one = OFF | {"captions": CAPTIONS | {"max_samples": 20}}
    built = Build(tmp_path / "build", config("http://127.0.0.1:1/v1", sources=one, onevision=None))
    built.config |= {"hub": {"mirror": str(hub)}, "text_reasoning": {"sources": []}}
    assert built.run("stage2", "--quiet", "progress").returncode == 0
    rows = pq.read_table(built.folder / "data/captions.parquet").to_pylist()
    assert len(rows) == 19
    for row in rows[:3]:
        for message in row["messages"]:
            assert message["content"].replace("\n", "\n" + " " * 15) in done.stdout
    assert "captions: 20 rows = 19 kept + 1 rejected (image_missing 1)" in done.stdout


@pytest.fixture
def remote(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    undisturbed(monkeypatch, tmp_path)
    with Hub(hub) as server:
        yield server


def test_at_the_hub_no_file_is_fetched_whole(remote: Hub, tmp_path: Path) -> None:
    done = run_try(tmp_path, hub={"endpoint": remote.endpoint})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("In all:\n" + "\n".join(SUMMARIES) + "\n")
    size = 6_000_000  # of each large file
    for name in ("train-00000-of-00002", "chat.json", "images.zip", "0.tar"):
        sent = sum(made.sent for made in remote.seen(f"GET .*{name}") if made.status in (200, 206))
        assert 0 < sent < size / 2, name
    assert not remote.seen("train-00001-of-00002")
    assert "MB were fetched" in done.stdout


def test_blocks_are_fetched_once_and_those_side_by_side_in_one_request(remote: Hub) -> None:
    dataset = Remote(remote.endpoint, "org/mine")
    commit = dataset.commit("main")
    [file] = dataset.files(commit, ["images.zip"])
    data = (remote.root / "org/mine/images.zip").read_bytes()
    path = dataset.locate(commit, file, 10**9)
    with path.open() as opened:
        assert opened.read(10) == data[:10]
        opened.seek(BLOCK // 2)
        assert opened.read(3 * BLOCK) == data[BLOCK // 2 : BLOCK // 2 + 3 * BLOCK]
        opened.seek(-10, 2)
        assert opened.read(20) == data[-10:]
    ranges = [made.range for made in remote.seen("GET .*images.zip")]
    assert len(ranges) == 3
    assert ranges[0] == f"bytes=0-{BLOCK - 1}"
    assert path.fetched <= 5 * BLOCK


def test_a_server_that_leaves_ranges_alone_is_read_all_the_same(remote: Hub) -> None:
    remote.fault("GET .*images.zip", times=9, whole=True)
    dataset = Remote(remote.endpoint, "org/mine")
    commit = dataset.commit("main")
    [file] = dataset.files(commit, ["images.zip"])
    data = (remote.root / "org/mine/images.zip").read_bytes()
    assert dataset.locate(commit, file, 10**9).read(5, BLOCK + 5) == data[5 : BLOCK + 5]


def test_no_more_is_fetched_than_is_allowed() -> None:
    path = RemotePath("a/big.tar", 10 * BLOCK, lambda start, stop: bytes(stop - start), 2 * BLOCK)
    assert len(path.read(0, 2 * BLOCK)) == 2 * BLOCK
    with pytest.raises(UserError, match=r"a/big\.tar: more than 2 MB of it would have to be fetched"):
        path.read(0, 3 * BLOCK)


def test_archives_that_were_not_listed_to_their_end_are_told(tmp_path: Path) -> None:
    mine, pictures = tmp_path / "hub/org/mine", {"1.jpg": PICTURE, "2.jpg": PICTURE}
    for number in range(2):
        write_tar(mine / f"images-{number}.tar", pictures.items())
        write_zip(mine / f"images-{number}.zip", pictures)
    write_array(mine / "chat.json", [{"id": "0", "image": "1.jpg", "conversations": TURNS}])
    files = {"tars": "images-*.tar", "zips": "images-*.zip", "zip": "images-0.zip"}
    chats = {name: CHAT | {"pictures": {"files": [glob]}} for name, glob in files.items()}
    done = run_try(tmp_path, hub={"mirror": str(tmp_path / "hub")}, sources=OFF | chats)
    kept, tail = "1 rows = 1 kept + 0 rejected", try_sources.NOT_LISTED
    for line in (f"tars: {kept}{tail}", f"zips: {kept}{tail}", f"zip: {kept}"):
        assert f"\n{line}\n" in done.stdout


def test_a_loose_picture_that_is_not_there_is_told_with_the_repository(tmp_path: Path) -> None:
    mine = tmp_path / "hub/org/mine"
    write_array(mine / "chat.json", [{"id": "0", "image": "gone.jpg", "conversations": TURNS}])
    (mine / "1.jpg").write_bytes(PICTURE)
    chat = {"chat": CHAT | {"pictures": {"files": ["*.jpg"]}}}
    done = run_try(tmp_path, hub={"mirror": str(tmp_path / "hub")}, sources=OFF | chat)
    assert "row 0 of chat.json: no file gone.jpg in org/mine; there are 1, such as 1.jpg" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repo": "org/none"}, r"sources.captions.repo: org/none: no folder "),
        ({"files": ["*.parquet"]}, "sources.captions.files: no file of org/mine@main matches *.parquet"),
        ({"files": ["*.parquet"]}, "; it has chat.json, images.zip, data/train-00000-of-00002.parquet"),
        ({"columns": {"image": "picture"}}, "sources.captions.columns.text: "),
        ({"columns": {"image": "picture"}}, "no column text (it has: picture, txt, other)"),
        ({"columns": {"image": "txt", "text": "txt"}}, "sources.captions.columns.image: "),
        (
            {"columns": {"text": "txt"}, "pictures": {"files": ["none/*.jpg"]}},
            "sources.captions.pictures: no file of",
        ),
    ],
)
def test_an_error_is_one_line_with_entry_and_key(
    changes: dict[str, Any], said: str, hub: Path, tmp_path: Path
) -> None:
    changed = {"hub": {"mirror": str(hub)}, "sources": OFF | SOURCES | {"captions": CAPTIONS | changes}}
    done = run_try(tmp_path, **changed)
    assert done.returncode == 1
    [line] = {line for line in done.stdout.splitlines() if line.startswith("error: ")}
    assert said in line
    assert SUMMARIES[1] in done.stdout  # the other sources are tried all the same


def test_a_source_none_of_whose_rows_is_kept_is_an_error(hub: Path, tmp_path: Path) -> None:
    lost = {"lost": CHAT | {"pictures": {"files": ["images.zip"], "folder": "b"}}}
    done = run_try(tmp_path, hub={"mirror": str(hub)}, sources=OFF | lost)
    assert done.returncode == 1
    assert "error: sources.lost: none of 20 rows is kept; image_missing: no file b/0.jpg in" in done.stdout


def test_rows_without_ids_are_told_how_to_be_read(tmp_path: Path) -> None:
    write_array(tmp_path / "hub/org/mine/chat.json", [{"image": "0.jpg", "conversations": TURNS}])
    write_zip(tmp_path / "hub/org/mine/images.zip", {"a/0.jpg": PICTURE})
    mirror = {"mirror": str(tmp_path / "hub")}
    done = run_try(tmp_path, hub=mirror, sources=OFF | {"chat": CHAT})
    assert "error: sources.chat.columns.id: " in done.stdout
    assert "; where rows have no ids, write id: null" in done.stdout
    done = run_try(tmp_path, hub=mirror, sources=OFF | {"chat": CHAT | {"columns": {"id": None}}})
    assert "chat: 1 rows = 1 kept + 0 rejected" in done.stdout


def test_more_rows_than_there_are_are_all(hub: Path, tmp_path: Path) -> None:
    given = settings(tmp_path, "--rows", "9" * 18, "--teachers", "--source", "sums", hub={"mirror": str(hub)})
    assert given.returncode == 0, given.last
    read_config(ROOT, [tmp_path / "config.json"])
    done = call(try_sources.main, "--sources", tmp_path / "sources.json", "--rows", "9" * 18)
    assert (done.returncode, done.last) == (0, "")
    assert " rows = " in done.stdout


def test_what_the_config_cannot_say_is_told_before_anything_is_read(hub: Path, tmp_path: Path) -> None:
    mirror = {"hub": {"mirror": str(hub)}}
    for flags, said in (
        (["--source", "caption"], "SOURCE=caption: there is no such source; allowed: captions, "),
        (["--config", "seed=1"], "make try reads --configfile alone"),
        (["--rows", "0"], "N=0: is no whole number of 1 or more, of 18 digits at the most"),
        (["--rows", "9" * 5000], "N=99"),
        (["--rows", "²"], "N=²: is no whole number"),
        (["--teachers", "--source", "captions"], "no teacher is asked about captions"),
    ):
        done = settings(tmp_path, *flags, **mirror)
        assert done.returncode == 1
        assert said in done.last
        assert len(done.last) < 300
    (tmp_path / "latin.yaml").write_bytes(b"seed: 1 # \xe9")
    done = settings(tmp_path, "--configfile", str(tmp_path / "latin.yaml"), **mirror)
    assert "latin.yaml is not UTF-8" in done.last


def test_teachers_answer_the_first_rows_in_a_small_build(hub: Path, tmp_path: Path) -> None:
    chat = {"ours/chat": CHAT | {"image_reasoning": True}}
    with FaultServer(teach) as server:
        servers = config(server.base_url)["servers"]
        changes = {"hub": {"mirror": str(hub)}, "sources": OFF | SOURCES | chat, "servers": servers}
        done = settings(tmp_path, "--teachers", **changes)
        assert done.returncode == 0, done.stderr
        limited = read_json(tmp_path / "config.json")
        assert limited["text_reasoning"]["max_questions"] == 20
        limited["text_reasoning"]["max_questions"] = limited["image_reasoning"]["samples_per_config"] = 4
        build = Build(tmp_path, limited)
        built, planned = build.run("all", "--quiet", "progress"), build.run("plan")
    assert built.returncode == 0, built.output[-3000:]
    assert pq.read_metadata(tmp_path / "data/ours/chat.parquet").num_rows == 18
    assert pq.read_metadata(tmp_path / "data/image_thinking.parquet").num_rows == 4
    assert (tmp_path / "data/report.html").is_file()
    assert "What a million questions would take of each task" in planned.output
    assert (
        "image_thinking: 4 rows of 4 questions so far; a million would give about 1,000,000" in planned.output
    )
