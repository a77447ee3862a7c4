"""A shard is fetched whole and as it was listed, or not at all; what has come once does not come again."""

import contextlib
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import fetch_shard
from hub_server import Hub, launch, sha256, undisturbed
from prep.runtime.program import UserError

REPO = "lmms-lab/LLaVA-OneVision-Data"
SHARD = "ai2d(cauldron,llava_format)/train-00000-of-00001.parquet"
RAW = "raw/ai2d_cauldron_llava_format/train-00000-of-00001.parquet"
SIZE = 2_000_000
TOKEN = "hf_averysecrettoken"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("hub") / REPO / SHARD
    file.parent.mkdir(parents=True)
    file.write_bytes(random.Random(1).randbytes(SIZE))
    return file.parent.parent.parent.parent


@pytest.fixture
def hub(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    undisturbed(monkeypatch, tmp_path)
    with Hub(corpus) as server:
        yield server


def arguments(folder: Path, hub: Hub, mirror: Path | None = None) -> list[str]:
    """The program's flags, for a listing that is written here."""
    file = hub.root / REPO / SHARD
    entry = {"file": SHARD, "bytes": SIZE, "sha256": sha256(file), "rows": 5, "take": None}
    commit = None if mirror else hub.commit(REPO)
    listing = {"source": "ai2d", "repo": REPO, "revision": "main", "commit": commit, "files": [entry]}
    where = {"mirror": mirror and str(mirror), "endpoint": hub.endpoint}
    for name, value in {"listing.json": listing, "hub.json": where}.items():
        (folder / name).write_text(json.dumps(value))
    flags = "--listing listing.json --hub hub.json --summary out/summary.json --raw"
    return ["fetch_shard.py", *flags.split(), RAW]


def left(folder: Path) -> list[str]:
    """What stands in a folder now besides the program's own input."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(set(found) - {"listing.json", "hub.json"})


def list_open_files(pid: int) -> list[str]:
    """The files that a process has open now."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            found.append(os.readlink(descriptor))
    return found


def test_a_shard_is_found_by_its_name() -> None:
    files = [{"file": f"data/{name}"} for name in ("a.parquet", "b.parquet", "b.parquet")]
    listing = {"repo": REPO, "files": [*files, {"file": "old/c.parquet"}]}
    assert fetch_shard.find_file(listing, "a.parquet") == {"file": "data/a.parquet"}
    assert fetch_shard.find_file(listing, "c.parquet") == {"file": "old/c.parquet"}
    for name, count in (("b.parquet", 2), ("d.parquet", 0), ("data/a.parquet", 0)):
        with pytest.raises(UserError, match=f"lists {count} files named {name}"):
            fetch_shard.find_file(listing, name)


def test_the_program_fetches_a_shard(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    hub.gated, hub.tokens = {REPO: {TOKEN}}, {TOKEN}
    program = launch(tmp_path, *arguments(tmp_path, hub), HF_TOKEN=TOKEN)
    said = "".join(program.communicate(timeout=30))
    assert program.returncode == 0, said
    assert left(tmp_path) == ["out/summary.json", RAW]
    assert (tmp_path / RAW).read_bytes() == (corpus / REPO / SHARD).read_bytes()
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    raw = {"path": SHARD, "bytes": SIZE, "sha256": sha256(corpus / REPO / SHARD)}
    assert summary == {"files": {"raw": raw}}
    assert TOKEN not in said
    assert [made.path.split("/")[1] for made in hub.requests] == ["datasets", "lfs"]


def test_the_program_links_a_mirrored_shard(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    program = launch(tmp_path, *arguments(tmp_path, hub, mirror=corpus))
    assert program.wait(timeout=30) == 0, program.communicate()
    assert left(tmp_path) == ["out/summary.json", RAW]
    assert (tmp_path / RAW).readlink() == (corpus / REPO / SHARD).resolve()
    assert hub.requests == []


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_stopped_download_goes_on_where_it_was(hub: Hub, corpus: Path, tmp_path: Path, how: str) -> None:
    over = threading.Event()
    stalled = hub.fault("/lfs/", cut=SIZE // 2, stall=over)
    program = launch(tmp_path, *arguments(tmp_path, hub))
    assert stalled.stalled.wait(30), program.communicate()
    part = tmp_path / RAW
    part = part.with_name(f".{part.name}.{sha256(corpus / REPO / SHARD)[:16]}.part")
    while not part.exists() or part.stat().st_size < SIZE // 3:
        assert program.poll() is None
    getattr(program, how)()
    program.communicate(timeout=30)
    over.set()
    come = part.stat().st_size
    assert SIZE // 3 <= come <= SIZE // 2
    assert left(tmp_path) == [part.relative_to(tmp_path).as_posix()]

    program = launch(tmp_path, *arguments(tmp_path, hub))
    assert program.wait(timeout=30) == 0, program.communicate()
    assert left(tmp_path) == ["out/summary.json", RAW]
    assert (tmp_path / RAW).read_bytes() == (corpus / REPO / SHARD).read_bytes()
    again = hub.seen("/lfs/")[1:]
    assert [(made.range, made.sent) for made in again] == [(f"bytes={come}-", SIZE - come)]


def test_a_job_of_a_killed_run_and_its_successor_do_not_write_into_one_part(
    hub: Hub, corpus: Path, tmp_path: Path
) -> None:
    over = threading.Event()
    stalled = hub.fault("/lfs/", cut=SIZE // 2, stall=over)
    first = launch(tmp_path, *arguments(tmp_path, hub))
    assert stalled.stalled.wait(30), first.communicate()
    second = launch(tmp_path, *arguments(tmp_path, hub))
    while not any(path.endswith(".part") for path in list_open_files(second.pid)):
        assert second.poll() is None
    over.set()
    for program in (first, second):
        assert program.wait(timeout=30) == 0, program.communicate()
    assert left(tmp_path) == ["out/summary.json", RAW]
    assert (tmp_path / RAW).read_bytes() == (corpus / REPO / SHARD).read_bytes()


@pytest.mark.parametrize("wrong", ["hash", "gone", "gated", "busy"])
def test_the_program_fails_with_one_clear_line(hub: Hub, tmp_path: Path, wrong: str) -> None:
    command = arguments(tmp_path, hub)
    match wrong:
        case "hash":
            hub.fault("/lfs/", flip=True)
            line = "the hub lists"
        case "gone":
            listing = json.loads((tmp_path / "listing.json").read_text())
            (tmp_path / "listing.json").write_text(json.dumps(listing | {"commit": "0" * 40}))
            line = "has no such revision"
        case "gated":
            hub.gated = {REPO: {TOKEN}}
            line = "is gated: accept its terms on its page, then set HF_TOKEN"
        case "busy":
            hub.fault("/resolve/", status=429, headers={"Retry-After": "0"}, times=100)
            line = "answers 429 as the test asks, 5 times; run again later"
    program = launch(tmp_path, *command)
    err = program.communicate(timeout=30)[1]
    assert program.returncode == 1, err
    last = err.splitlines()[-1]
    assert last.startswith(f"error: {REPO} ({SHARD}) at {hub.endpoint}")
    assert line in last
    assert "Traceback" not in err
    # An empty part may stand, for the next run to go on with.
    assert [(tmp_path / path).stat().st_size for path in left(tmp_path)] in ([], [0])
    assert not os.path.lexists(tmp_path / RAW)
