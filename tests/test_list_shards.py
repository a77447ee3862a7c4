"""A listing knows each shard and how much of it is read, and costs the hub little more than footers."""

import json
import os
import random
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import list_shards
from hub_server import Hub, closed_port, launch, sha256, undisturbed
from list_shards import Footer
from prep.hub.listing import HubFile
from prep.hub.mirror import Mirror
from prep.hub.remote import Remote
from prep.runtime.program import UserError

REPO = "lmms-lab/LLaVA-ReCap-CC12M"
SHARDS = 30
ROWS = 10
TOKEN = "hf_averysecrettoken"
CONNECTIONS = 8
listing_of = partial(list_shards.list_files, connections=CONNECTIONS)


def shard(file: Path, rows: int, cell: bytes = b"", **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": pa.array([cell] * rows, pa.binary()), "id": pa.array(range(rows))})
    pq.write_table(table, file, compression="none", use_dictionary=False, **options)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small shards, and a few of eight megabytes."""
    root = tmp_path_factory.mktemp("hub")
    for number in range(SHARDS):
        shard(root / REPO / "data" / f"train-{number:05d}-of-{SHARDS:05d}.parquet", ROWS)
    for number in range(3):
        shard(root / "some/large" / f"train-{number}.parquet", 80, bytes(100_000))
    return root


@pytest.fixture
def hub(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    undisturbed(monkeypatch, tmp_path)
    with Hub(corpus) as server:
        yield server


@pytest.mark.parametrize(
    ("rows", "limit", "expected"),
    [
        ([], 5, []),
        ([3, 4], None, [(3, None), (4, None)]),
        ([3, None, 4], None, [(3, None), (None, None), (4, None)]),
        ([3, 4], 100, [(3, None), (4, None)]),
        ([3, 4, 5], 7, [(3, None), (4, None)]),
        ([3, 4, 5], 6, [(3, None), (4, 3)]),
        ([3, 4, 5], 8, [(3, None), (4, None), (5, 1)]),
        ([3, 4], 3, [(3, None)]),
        ([3, 4], 1, [(3, 1)]),
        ([0, 3, 0, 4], 3, [(0, None), (3, None)]),
        ([None, 3, 4], 3, [(None, None), (3, None)]),
        ([3, 4], 0, [(3, 0)]),
    ],
)
def test_rows_are_taken_in_source_order_up_to_the_limit(
    rows: list[int | None], limit: int | None, expected: list
) -> None:
    found = list_shards.limit_rows(map(Footer, rows), limit)
    assert [(footer.rows, take) for footer, take in found] == expected


@given(st.lists(st.integers(0, 20)), st.integers(0, 100))
def test_as_many_rows_are_taken_as_there_are_or_the_limit_says(rows: list[int], limit: int) -> None:
    left = map(Footer, rows)
    found = list(list_shards.limit_rows(left, limit))
    taken = [footer.rows if take is None else take for footer, take in found]
    assert sum(taken) == min(limit, sum(rows))
    assert [footer.rows for footer in [*(footer for footer, _ in found), *left]] == rows


def test_the_listing_of_a_mirror_and_of_the_hub_say_the_same(hub: Hub, corpus: Path) -> None:
    patterns = ["data/train-*.parquet"]
    here = listing_of(Mirror(corpus, REPO), "main", patterns, None)
    there = listing_of(Remote(hub.endpoint, REPO), "main", patterns, None)
    assert here["commit"] is None
    assert there["commit"] == hub.commit(REPO)
    assert here["files"] == there["files"]
    assert len(here["files"]) == SHARDS
    for file in here["files"]:
        path = corpus / REPO / file["file"]
        assert file["bytes"] == path.stat().st_size
        assert file["sha256"] == sha256(path)
        assert (file["rows"], file["take"]) == (ROWS, None)
        assert file["group_bytes"] == pq.read_metadata(path).row_group(0).total_byte_size
    assert len(hub.seen("/revision/")) == 1


@pytest.mark.parametrize("limit", [1, 45, 50])
def test_footers_are_read_only_as_far_as_the_limit_needs(hub: Hub, corpus: Path, limit: int) -> None:
    needed = -(-limit // ROWS)
    hub.requests.clear()
    found = listing_of(Remote(hub.endpoint, REPO), "main", ["data/train-*.parquet"], limit)["files"]
    assert len(found) == SHARDS
    assert [file["rows"] for file in found] == [ROWS] * needed + [None] * (SHARDS - needed)
    last = limit % ROWS or None
    assert [file["take"] for file in found] == [None] * (needed - 1) + [last] + [0] * (SHARDS - needed)
    assert [file["sha256"] for file in found] == [sha256(corpus / REPO / file["file"]) for file in found]
    assert needed <= len(hub.seen("/lfs/")) <= needed + CONNECTIONS
    mirrored = listing_of(Mirror(corpus, REPO), "main", ["data/train-*.parquet"], limit)["files"]
    assert [file["take"] for file in mirrored] == [file["take"] for file in found]
    assert [file["sha256"] is None for file in mirrored] == [file["take"] == 0 for file in mirrored]


def test_footers_are_read_side_by_side(hub: Hub) -> None:
    over = threading.Event()
    first = hub.fault("/lfs/.*/train-00000-", cut=1, stall=over)
    others = [hub.fault(f"/lfs/.*/train-{n:05d}-", cut=1, stall=over) for n in (1, 7)]
    found = []
    listing = threading.Thread(
        target=lambda: found.append(listing_of(Remote(hub.endpoint, REPO), "main", ["data/*"], None))
    )
    listing.start()
    waited = [fault.stalled.wait(5) for fault in (first, *others)]
    over.set()
    listing.join()
    assert waited == [True, True, True]
    assert [file["rows"] for file in found[0]["files"]] == [ROWS] * SHARDS


def test_rows_cost_a_small_share_of_the_shards(hub: Hub) -> None:
    found = listing_of(Remote(hub.endpoint, "some/large"), "main", ["train-*.parquet"], None)
    assert [file["rows"] for file in found["files"]] == [80] * 3
    assert sum(made.sent for made in hub.requests) < 0.04 * sum(file["bytes"] for file in found["files"])
    assert len(hub.seen("/resolve/")) == 3


def test_a_footer_of_any_length_is_read(hub: Hub, corpus: Path) -> None:
    shard(corpus / "some/groups" / "a.parquet", 3000, row_group_size=1)
    shard(corpus / "some/groups" / "b.parquet", 0)
    found = listing_of(Remote(hub.endpoint, "some/groups"), "main", ["*.parquet"], None)["files"]
    assert [file["rows"] for file in found] == [3000, 0]
    lengths = [made.sent for made in hub.seen("/lfs/.*a.parquet")]
    assert lengths[0] == list_shards.FOOTER < lengths[1] < found[0]["bytes"]
    assert len(hub.seen("/lfs/.*b.parquet")) == 1


@pytest.mark.parametrize("harm", ["empty", "short", "cut", "garbage", "length"])
def test_a_shard_with_a_broken_footer_is_listed_without_rows(tmp_path: Path, harm: str) -> None:
    file = tmp_path / REPO / "a.parquet"
    shard(file, 5)
    data = file.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    broken = {
        "empty": b"",
        "short": b"PAR1",
        "cut": data[:-10],
        "garbage": data[: -footer - 8] + b"\xff" * footer + data[-8:],
        "length": data[:-8] + b"\xff\xff\xff\x7fPAR1",
    }
    file.write_bytes(broken[harm])
    (listed,) = listing_of(Mirror(tmp_path, REPO), "main", ["*.parquet"], 3)["files"]
    assert (listed["rows"], listed["take"], listed["bytes"]) == (None, None, len(broken[harm]))
    assert listed["sha256"] == sha256(file)
    assert listed["group_bytes"] is None


def test_whatever_a_footer_holds_the_file_is_listed(tmp_path: Path) -> None:
    file = tmp_path / REPO / "a.parquet"
    shard(file, 12, row_group_size=5, store_schema=False)
    whole = file.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")
    known = set()
    for seed in range(300):
        chance, data = random.Random(seed), bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data) - 8 - footer, len(data) - 8)] = chance.choice((0, 127, 255))
        file.write_bytes(data)
        (listed,) = listing_of(Mirror(tmp_path, REPO), "main", ["*.parquet"], 10)["files"]
        assert (listed["rows"] is None) == (listed["group_bytes"] is None)
        assert listed["rows"] is None or listed["rows"] >= 0
        known.add(listed["rows"])
    assert known >= {None, 12}


def test_rows_are_not_counted_where_no_footer_is() -> None:
    found = list_shards.read_footer(None, None, HubFile("distill.jsonl", 10, "aa"))
    assert (found.rows, found.group_bytes) == (None, None)


def test_a_small_file_that_the_hub_has_no_sha256_of_gets_one(hub: Hub, corpus: Path) -> None:
    card = corpus / REPO / "README.md"
    card.write_text("# a card\n")
    (listed,) = listing_of(Remote(hub.endpoint, REPO), "main", ["README.md"], None)["files"]
    assert listed["sha256"] == sha256(card)


def test_a_source_must_have_files_and_one_of_each_name(tmp_path: Path) -> None:
    for folder in ("", "data"):
        shard(tmp_path / REPO / folder / "train-0.parquet", 1)
    dataset = Mirror(tmp_path, REPO)
    with pytest.raises(UserError, match=r"no file of .*CC12M@main matches \*\.jsonl"):
        listing_of(dataset, "main", ["*.jsonl"], None)
    with pytest.raises(UserError, match=r"one name.*: data/train-0\.parquet and train-0\.parquet; leave"):
        listing_of(dataset, "main", ["data/*.parquet", "*.parquet"], None)
    (tmp_path / REPO / "train-0.jsonl").write_text("{}\n")  # whose rows would have the same ids
    with pytest.raises(UserError, match=r"one name.*: train-0\.jsonl and train-0\.parquet; leave"):
        listing_of(dataset, "main", ["train-0.*"], None)


@pytest.mark.parametrize("name", ["a{x}.parquet", "<b>.parquet"])
def test_a_name_that_snakemake_reads_otherwise_is_one_line(tmp_path: Path, name: str) -> None:
    shard(tmp_path / REPO / "data" / name, 1)
    with pytest.raises(UserError, match=rf"names have brackets that Snakemake reads: data/{re.escape(name)}"):
        listing_of(Mirror(tmp_path, REPO), "main", ["data/*.parquet"], None)


def arguments(folder: Path, endpoint: str | None, mirror: Path | None = None, repo: str = REPO) -> list:
    """The program's flags, but for the rows."""
    (folder / "hub.json").write_text(json.dumps({"mirror": mirror and str(mirror), "endpoint": endpoint}))
    flags = {"source": "cc12m", "repo": repo, "revision": "main", "hub": "hub.json", "listing": "out/a.json"}
    flags["connections"] = CONNECTIONS
    pairs = [word for name, value in flags.items() for word in (f"--{name}", value)]
    pairs.append("--resolved")
    return [
        "list_shards.py",
        *pairs,
        "--incomplete",
        "fail",
        "--patterns",
        "data/train-*.parquet",
        "*.jsonl",
        "--take",
    ]


def test_the_program_writes_the_listing(hub: Hub, tmp_path: Path) -> None:
    hub.tokens = {TOKEN}
    hub.private = {REPO}
    program = launch(tmp_path, *arguments(tmp_path, None), 15, HF_TOKEN=TOKEN, HF_ENDPOINT=hub.endpoint)
    said = "".join(program.communicate(timeout=30))
    assert program.returncode == 0, said
    text = (tmp_path / "out" / "a.json").read_text()
    listing = json.loads(text)
    assert list(listing) == ["source", "repo", "revision", "commit", "files", "missing"]
    assert listing["commit"] == hub.commit(REPO)
    assert [file["take"] for file in listing["files"][:3]] == [None, 5, 0]
    assert TOKEN not in said + text
    assert {made.token for made in hub.requests if not made.at_storage} == {TOKEN}
    assert sorted(os.listdir(tmp_path)) == ["hub.json", "out"]


@pytest.mark.parametrize("wrong", ["unreachable", "offline", "private", "mirror"])
def test_the_program_fails_with_one_clear_line(hub: Hub, tmp_path: Path, wrong: str) -> None:
    endpoint, mirror, more = hub.endpoint, None, {"HF_TOKEN": TOKEN}
    match wrong:
        case "unreachable":
            endpoint = f"http://127.0.0.1:{closed_port()}"
            line = f"at {endpoint} cannot be reached"
        case "offline":
            more = {"HF_HUB_OFFLINE": "1"}
            line = "HF_HUB_OFFLINE is set"
        case "private":
            hub.private = {REPO}
            line = "set HF_TOKEN"
        case "mirror":
            mirror = tmp_path / "nowhere"
            line = f"{REPO}: no folder {mirror / REPO} in the mirror; check hub.mirror"
    program = launch(tmp_path, *arguments(tmp_path, endpoint, mirror), 100, **more)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 1, err
    last = err.splitlines()[-1]
    assert last.startswith(f"error: {REPO}")
    assert line in last
    assert "Traceback" not in err
    assert TOKEN not in out + err
    assert sorted(os.listdir(tmp_path)) == ["hub.json"]


CASES = ROOT.parent / "shared/cases/hub/lmms-lab/LLaVA-OneVision-Data"
ANY = ["data/train-*.parquet"]


def gap(root: Path) -> list[str]:
    """A set of three with a gap, as a mirror below `root`: the names of what is there."""
    folder = root / "some/set/data"
    folder.mkdir(parents=True)
    files = sorted((CASES / "gap").glob("*.parquet"))
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    return [f"data/{file.name}" for file in files]


@pytest.mark.parametrize("at", ["mirror", "hub"])
def test_an_incomplete_set_is_one_line_from_mirror_and_hub_alike(at, tmp_path, monkeypatch) -> None:
    there = gap(tmp_path / "root")
    undisturbed(monkeypatch, tmp_path)
    with Hub(tmp_path / "root") as server:
        mirror, remote = Mirror(tmp_path / "root", "some/set"), Remote(server.endpoint, "some/set")
        dataset = mirror if at == "mirror" else remote
        line = r"some/set@main: files are missing: data/train-00001-of-00003.parquet; .*incomplete: accept"
        with pytest.raises(UserError, match=line):
            listing_of(dataset, "main", ANY, None)
        assert not server.seen("resolve")  # nothing of a shard was read
        found = listing_of(dataset, "main", ANY, None, incomplete="accept")
    assert [file["file"] for file in found["files"]] == there
    assert found["missing"] == ["data/train-00001-of-00003.parquet"]


def test_two_generations_are_one_line_that_names_both(tmp_path: Path) -> None:
    for count in (2, 3):
        for number in range(2):
            shard(tmp_path / f"some/set/data/train-{number:05}-of-{count:05}.parquet", 1)
    with pytest.raises(
        UserError, match=r"read twice: data/train-\*-of-00002 \(2\) and data/train-\*-of-00003 \(2\)"
    ):
        listing_of(Mirror(tmp_path, "some/set"), "main", ANY, None)
    found = listing_of(Mirror(tmp_path, "some/set"), "main", ANY, None, incomplete="accept")
    assert len(found["files"]) == 4
    assert found["missing"] == ["data/train-00002-of-00003.parquet"]


@pytest.mark.parametrize("leads_to", ["nothing", "itself", "a pipe"])
def test_a_name_that_leads_to_no_file_is_one_line(leads_to: str, tmp_path: Path) -> None:
    shard(tmp_path / "some/set/data/train-00000-of-00002.parquet", 3)
    link = tmp_path / "some/set/data/train-00001-of-00002.parquet"
    if leads_to == "a pipe":
        os.mkfifo(link)
    else:
        link.symlink_to(link if leads_to == "itself" else tmp_path / "blobs/gone")
    with pytest.raises(
        UserError, match=r"data/train-00001-of-00002.parquet: no file there, but a dangling link"
    ):
        listing_of(Mirror(tmp_path, "some/set"), "main", ANY, None)
    found = listing_of(Mirror(tmp_path, "some/set"), "main", ANY, None, incomplete="accept")
    assert [file["rows"] for file in found["files"]] == [3]
    assert found["missing"] == ["data/train-00001-of-00002.parquet"]


def test_a_name_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    shard(tmp_path / "some/set/data/train-a.parquet", 3)
    os.rename(
        tmp_path / "some/set/data/train-a.parquet",
        os.fsencode(tmp_path) + b"/some/set/data/train-\xff.parquet",
    )
    with pytest.raises(UserError, match=r"the name 'data/train-\\udcff.parquet' is not UTF-8"):
        listing_of(Mirror(tmp_path, "some/set"), "main", ANY, None)


def test_a_source_of_dangling_links_alone_is_said_to_be_missing(tmp_path: Path) -> None:
    link = tmp_path / "some/set/data/train-00000-of-00001.parquet"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"every file is missing.*: data/train-00000-of-00001.parquet"):
        listing_of(Mirror(tmp_path, "some/set"), "main", ANY, None, incomplete="accept")
