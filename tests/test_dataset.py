"""Mirror and hub give the same files; the hub's are whole, checked, and cost no more than they must."""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from hub_server import SIGNATURE, Hub, closed_port, undisturbed
from prep.hub import retry
from prep.hub.dataset import open_dataset
from prep.hub.listing import HubFile, find_folder, matches_any
from prep.hub.mirror import Mirror
from prep.hub.remote import Remote
from prep.runtime.program import UserError

REPO = "lmms-lab/LLaVA-OneVision-Data"
ODD = ["ai2d(cauldron,llava_format)", "GeoQA+(MathV360K)", "with space", "100%, 中文 #1"]
SHARD = "iiit5k/train-00000-of-00001.parquet"
SIZE = 300_000
TOKEN = "hf_averysecrettoken"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub's; only names and bytes count here."""
    root = tmp_path_factory.mktemp("hub")
    chance = random.Random(1)
    for folder in ["iiit5k", *ODD]:
        file = root / REPO / folder / "train-00000-of-00001.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(chance.randbytes(SIZE))
    (root / REPO / "README.md").write_text("# a card\n")
    (root / REPO / "empty.jsonl").touch()
    return root


@pytest.fixture
def hub(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    undisturbed(monkeypatch, tmp_path)
    with Hub(corpus) as server:
        yield server


class Pauses:
    """Takes down how long a pause would be, and does not pause."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, state: retry.RetryCallState) -> float:
        self.taken.append(retry.choose_pause(state))
        return 0


def remote(hub: Hub, repo: str = REPO, pause: retry.Pause | None = None) -> Remote:
    return Remote(hub.endpoint, repo, pause or Pauses())


def listed(dataset: Remote, pattern: str = SHARD) -> tuple[str, HubFile]:
    commit = dataset.commit("main")
    return commit, dataset.files(commit, [pattern])[0]


def failure(call, *args) -> str:
    """The line that a call fails with."""
    with pytest.raises(UserError) as caught:
        call(*args)
    return str(caught.value)


def content(corpus: Path, path: str = SHARD) -> bytes:
    return (corpus / REPO / path).read_bytes()


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("data/train-0.parquet", "data/train-*.parquet", True),
        ("data/train-.parquet", "data/train-*.parquet", True),
        ("data/validation-0.parquet", "data/train-*.parquet", False),
        ("data/Train-0.parquet", "data/train-*.parquet", False),
        ("data/train-0.parquet.part", "data/train-*.parquet", False),
        ("data/old/train-0.parquet", "data/train-*.parquet", False),
        ("data/old/train-0.parquet", "data/train-*", False),
        ("train-0.parquet", "data/train-*.parquet", False),
        ("a.jsonl", "*.jsonl", True),
        ("data/a.jsonl", "*.jsonl", False),
        ("data/a.jsonl", "*/*.jsonl", True),
        ("GeoQA+(MathV360K)/train-0.parquet", "GeoQA+(MathV360K)/train-*.parquet", True),
        ("GeoQA(MathV360K)/train-0.parquet", "GeoQA+(MathV360K)/train-*.parquet", False),
        ("ai2d(gpt4v)/train-0.parquet", "ai2d(cauldron,llava_format)/train-*.parquet", False),
    ],
)
def test_a_pattern_holds_part_by_part(path: str, pattern: str, expected: bool) -> None:
    assert matches_any(path, [pattern]) is expected


@pytest.mark.parametrize(
    ("patterns", "folder"),
    [
        (["data/train-*.parquet"], "data"),
        (["data/train-*.parquet", "data/*.jsonl"], "data"),
        (["a/b/*.parquet"], "a/b"),
        (["ai2d(cauldron,llava_format)/train-*"], "ai2d(cauldron,llava_format)"),
        (["*.jsonl"], ""),
        (["data/train-*.parquet", "train-*.parquet"], ""),
        ([".hidden/*"], ".hidden"),
        (["*/train-*.parquet"], ""),
        (["data-?/*", "data-?/*.jsonl"], ""),
    ],
)
def test_the_folder_that_is_listed(patterns: list[str], folder: str) -> None:
    assert find_folder(patterns) == folder


def test_the_mirror_is_chosen_where_there_is_one(corpus: Path) -> None:
    assert isinstance(open_dataset(REPO, str(corpus), "http://127.0.0.1:9"), Mirror)
    assert isinstance(open_dataset(REPO, None, "http://127.0.0.1:9"), Remote)


def test_mirror_and_hub_list_and_give_the_same(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    patterns = ["*/train-*.parquet", "*.jsonl", "README.md"]
    mirror, dataset = Mirror(corpus, REPO), remote(hub)
    commit = dataset.commit("main")
    here, there = mirror.files(None, patterns), dataset.files(commit, patterns)
    assert [(file.path, file.bytes) for file in here] == [(file.path, file.bytes) for file in there]
    assert len(here) == len(ODD) + 3
    for number, (linked, loaded) in enumerate(zip(here, there, strict=True)):
        expected = hashlib.sha256(content(corpus, loaded.path)).hexdigest()
        assert mirror.sha256(None, linked) == (loaded.sha256 or dataset.sha256(commit, loaded)) == expected
        for length in (0, 1, 1000, SIZE, SIZE + 1):
            tails = mirror.tail(None, linked, length), dataset.tail(commit, loaded, length)
            assert tails[0] == tails[1] == content(corpus, loaded.path)[-length or SIZE :]
        to = tmp_path / f"{number}.parquet"
        dataset.fetch(commit, HubFile(loaded.path, loaded.bytes, expected), to)
        assert to.read_bytes() == content(corpus, loaded.path)
        mirror.fetch(None, linked, to)
        assert to.is_symlink()
        assert to.read_bytes() == content(corpus, loaded.path)


def test_a_mirror_is_only_read(corpus: Path, tmp_path: Path) -> None:
    source = tmp_path / REPO / SHARD
    source.parent.mkdir(parents=True)
    source.write_bytes(b"a shard")
    source.chmod(0o440)
    before = source.stat()
    mirror = Mirror(tmp_path, REPO)
    for _ in range(2):
        mirror.fetch(None, mirror.files(None, [SHARD])[0], tmp_path / "raw" / "train.parquet")
    assert (source.stat().st_mode, source.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert os.listdir(tmp_path / "raw") == ["train.parquet"]


def test_a_mirrored_file_that_changed_since_it_was_listed_fails(tmp_path: Path) -> None:
    source = tmp_path / REPO / SHARD
    source.parent.mkdir(parents=True)
    source.write_bytes(b"a shard")
    mirror = Mirror(tmp_path, REPO)
    (file,) = mirror.files(None, [SHARD])
    source.write_bytes(b"another shard")
    assert "changed since it was listed" in failure(mirror.fetch, None, file, tmp_path / "raw")
    source.unlink()
    assert "is gone" in failure(mirror.fetch, None, file, tmp_path / "raw")
    assert not os.path.lexists(tmp_path / "raw")
    assert "check hub.mirror" in failure(Mirror, tmp_path, "no/such")


def test_the_server_of_these_tests_is_one_to_huggingface_hub_itself(hub: Hub, corpus: Path) -> None:
    hub.page = 2
    api = huggingface_hub.HfApi(endpoint=hub.endpoint)
    dataset = remote(hub)
    commit = api.repo_info(REPO, repo_type="dataset").sha
    assert commit == dataset.commit("main")
    tree = api.list_repo_tree(REPO, recursive=True, revision=commit, repo_type="dataset")
    files = {item.path: item for item in tree if isinstance(item, huggingface_hub.hf_api.RepoFile)}
    ours = dataset.files(commit, ["*/train-*.parquet"])
    assert [(file.path, file.bytes, file.sha256) for file in ours] == [
        (path, item.size, item.lfs.sha256) for path, item in sorted(files.items()) if item.lfs and item.size
    ]
    for path in (SHARD, "README.md"):
        got = huggingface_hub.hf_hub_download(REPO, path, repo_type="dataset", endpoint=hub.endpoint)
        assert Path(got).read_bytes() == content(corpus, path)
    assert hub.seen("^HEAD .*/resolve/")


def test_a_branch_is_asked_for_once_and_a_commit_never(hub: Hub) -> None:
    hub.branches.add("refs/convert/parquet")
    commit = remote(hub).commit("refs/convert/parquet")
    assert commit == hub.commit(REPO)
    assert len(hub.requests) == 1
    assert remote(hub).commit(commit) == commit
    assert len(hub.requests) == 1


def test_listing_goes_page_by_page_through_one_folder(hub: Hub) -> None:
    hub.page = 4
    dataset = remote(hub)
    commit = dataset.commit("main")
    assert len(dataset.files(commit, ["*/train-*.parquet"])) == len(ODD) + 1
    assert [made.path.split("&")[1:] for made in hub.seen("/tree/")] == [[], ["cursor=4"], ["cursor=8"]]
    hub.requests.clear()
    for folder in ODD:
        assert [file.path for file in dataset.files(commit, [f"{folder}/train-*.parquet"])] == [
            f"{folder}/train-00000-of-00001.parquet"
        ]
    assert [made.path.split("?recursive")[0] for made in hub.requests] == [
        f"/api/datasets/{REPO}/tree/{commit}/{folder}" for folder in ODD
    ]


def test_a_file_takes_one_request_and_leaves_nothing_else(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    dataset = remote(hub)
    dataset.fetch(*listed(dataset), tmp_path / "raw" / "a.parquet")
    assert (tmp_path / "raw" / "a.parquet").read_bytes() == content(corpus)
    assert os.listdir(tmp_path / "raw") == ["a.parquet"]
    assert os.listdir(tmp_path) == ["raw"]
    assert [made.sent for made in hub.seen("/resolve/|/lfs/")] == [0, SIZE]
    assert not hub.seen("^HEAD|xet|agent")


@pytest.mark.parametrize("reset", [False, True])
def test_a_download_that_is_cut_goes_on_from_there(
    hub: Hub, corpus: Path, tmp_path: Path, reset: bool
) -> None:
    hub.fault("/lfs/", cut=SIZE // 2, reset=reset)
    pauses = Pauses()
    dataset = remote(hub, pause=pauses)
    dataset.fetch(*listed(dataset), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content(corpus)
    assert [made.range for made in hub.seen("/lfs/")] == ["bytes=0-", f"bytes={SIZE // 2}-"]
    assert sum(made.sent for made in hub.seen("/lfs/")) == SIZE
    assert pauses.taken == []


def test_tries_are_counted_anew_once_something_has_come(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    dataset = remote(hub)
    for _ in range(retry.TRIES):
        hub.fault("/lfs/", status=503, times=retry.TRIES - 1)
        hub.fault("/lfs/", cut=1000)
    dataset.fetch(*listed(dataset), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content(corpus)
    assert sum(made.sent for made in hub.seen("/lfs/") if made.status == 206) == SIZE


def test_a_hub_that_goes_silent_is_asked_again(
    hub: Hub, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    over = threading.Event()
    hub.fault("/tree/", cut=10, stall=over)
    hub.fault("/lfs/", cut=SIZE // 3, stall=over)
    dataset = remote(hub)
    dataset.fetch(*listed(dataset), tmp_path / "a")
    over.set()
    assert (tmp_path / "a").read_bytes() == content(corpus)
    assert [made.range for made in hub.seen("/lfs/")] == ["bytes=0-", f"bytes={SIZE // 3}-"]


def test_a_server_without_ranges_does_as_well(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    hub.fault("/lfs/", cut=SIZE // 2)
    hub.fault("/lfs/", whole=True, times=2)
    dataset = remote(hub)
    commit, file = listed(dataset)
    dataset.fetch(commit, file, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content(corpus)
    assert dataset.tail(commit, file, 100) == content(corpus)[-100:]


def test_wrong_bytes_are_thrown_away(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    dataset = remote(hub)
    commit, file = listed(dataset)
    hub.fault("/lfs/", flip=True)
    line = failure(dataset.fetch, commit, file, tmp_path / "raw" / "a")
    assert SHARD in line
    assert file.sha256 in line
    assert os.listdir(tmp_path / "raw") == []
    dataset.fetch(commit, file, tmp_path / "raw" / "a")
    assert (tmp_path / "raw" / "a").read_bytes() == content(corpus)


@pytest.mark.parametrize("left", [SIZE // 2, SIZE, SIZE + 5])
def test_what_an_earlier_run_left_is_not_trusted(hub: Hub, corpus: Path, tmp_path: Path, left: int) -> None:
    dataset = remote(hub)
    commit, file = listed(dataset)
    (tmp_path / f".a.{file.sha256[:16]}.part").write_bytes(bytes(left))
    dataset.fetch(commit, file, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content(corpus)
    assert sum(made.sent for made in hub.seen("/lfs/")) == SIZE + max(SIZE - left, 0)


def test_the_part_of_a_replaced_file_goes_with_the_next(hub: Hub, tmp_path: Path) -> None:
    old, other = tmp_path / ".a[1].0123456789abcdef.part", tmp_path / ".a[12].0123456789abcdef.part"
    old.write_bytes(b"half of what stood there before")
    other.write_bytes(b"half of another shard")
    dataset = remote(hub)
    dataset.fetch(*listed(dataset), tmp_path / "a[1]")
    assert sorted(os.listdir(tmp_path)) == [".a[12].0123456789abcdef.part", "a[1]"]


def test_what_was_kept_is_checked_and_not_downloaded_again(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    dataset = Remote(hub.endpoint, REPO, Pauses(), keep=True)
    commit, file = listed(dataset)
    target = tmp_path / "raw/shard.parquet"
    dataset.fetch(commit, file, target)
    asked = len(hub.requests)
    target.unlink()
    dataset.fetch(commit, file, target)
    assert target.read_bytes() == content(corpus)
    assert len(hub.requests) == asked
    (kept,) = target.parent.glob(".*.part")
    assert kept.samefile(target)
    target.unlink()
    kept.write_bytes(bytes(file.bytes))
    dataset.fetch(commit, file, target)
    assert target.read_bytes() == content(corpus)
    assert len(hub.requests) > asked


def test_another_size_than_listed_fails_before_the_download(hub: Hub, tmp_path: Path) -> None:
    dataset = remote(hub)
    commit, file = listed(dataset)
    other = HubFile(file.path, file.bytes + 1, file.sha256)
    line = failure(dataset.fetch, commit, other, tmp_path / "a")
    assert f"has {SIZE} bytes, and had {SIZE + 1} when listed" in line
    assert not (tmp_path / "a").exists()


def test_pauses_are_what_the_server_asks_for_or_growing(hub: Hub) -> None:
    for headers in (
        {"Retry-After": "7"},
        {"RateLimit": '"api";r=0;t=55'},
        {"Retry-After": "86400"},
        {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "RateLimit": '"api";r=3;t=55'},
    ):
        hub.fault("/revision/", status=429, headers=headers)
    pauses = Pauses()
    assert remote(hub, pause=pauses).commit("main") == hub.commit(REPO)
    assert pauses.taken[:3] == [7, 55, retry.LONGEST_PAUSE]
    assert 8 <= pauses.taken[3] <= 9


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_so_often_and_no_more(hub: Hub, status: int) -> None:
    hub.fault("/revision/", status=status, times=retry.TRIES - 1, headers={"Retry-After": "0"})
    assert remote(hub).commit("main") == hub.commit(REPO)
    assert len(hub.requests) == retry.TRIES
    hub.fault("/revision/", status=status, times=100)
    line = failure(remote(hub).commit, "main")
    assert f"answers {status} as the test asks, {retry.TRIES} times; run again later" in line
    assert REPO in line
    assert len(hub.requests) == 2 * retry.TRIES


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("revision", "has no such revision"),
        ("folder", "has no such file or folder"),
        ("file", "has no such file or folder"),
        ("repo", "is no dataset, or a private one: check the repo's name, or set HF_TOKEN"),
    ],
)
def test_what_is_not_there_is_asked_for_once(hub: Hub, path: str, line: str) -> None:
    dataset = remote(hub)
    commit = hub.commit(REPO)
    calls = {
        "revision": lambda: dataset.commit("no-such-branch"),
        "folder": lambda: dataset.files(commit, ["no such/*"]),
        "file": lambda: dataset.tail(commit, HubFile("no such.parquet", 10, None), 5),
        "repo": lambda: remote(hub, "no/such").commit("main"),
    }
    assert line in failure(calls[path])
    assert len(hub.requests) == 1


def test_a_private_dataset_takes_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.private, hub.tokens = {REPO}, {TOKEN}
    assert "set HF_TOKEN" in failure(remote(hub).commit, "main")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert remote(hub).commit("main") == hub.commit(REPO)
    monkeypatch.setenv("HF_TOKEN", "hf_revoked")
    line = failure(remote(hub).commit, "main")
    assert "answers 401 Invalid credentials in Authorization header; set HF_TOKEN" in line
    assert "revoked" not in line


def test_a_gated_dataset_takes_a_token_that_was_admitted(
    hub: Hub, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated, hub.tokens = {REPO: {TOKEN}}, {TOKEN, "hf_stranger"}
    dataset = remote(hub)
    commit, file = listed(dataset)
    for token in ("", "hf_stranger"):
        monkeypatch.setenv("HF_TOKEN", token)
        line = failure(dataset.fetch, commit, file, tmp_path / "a")
        assert "is gated: accept its terms on its page, then set HF_TOKEN" in line
        assert "stranger" not in line
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    dataset.fetch(commit, file, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content(corpus)
    assert {made.token for made in hub.seen("/lfs/")} == {None}


def test_a_signed_address_is_not_shown(hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="prep")
    hub.fault("/lfs/", status=403)
    dataset = remote(hub)
    commit, file = listed(dataset)
    line = failure(dataset.fetch, commit, file, tmp_path / "a")
    hub.fault("/lfs/", status=503)
    hub.fault("/lfs/", cut=5)
    dataset.fetch(commit, file, tmp_path / "a")
    said = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("prep."))
    assert "503" in said
    assert "cut at 5 of" in said
    assert hub.seen(SIGNATURE)
    assert SIGNATURE not in line + said


def test_a_hub_that_cannot_be_reached_gives_one_line(hub: Hub) -> None:
    pauses = Pauses()
    line = failure(Remote(f"http://127.0.0.1:{closed_port()}", REPO, pauses).commit, "main")
    assert "cannot be reached" in line
    assert "hub.mirror" in line
    assert 15 <= sum(pauses.taken[: retry.TRIES - 1]) < 20


def test_an_offline_environment_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in failure(remote(hub).commit, "main")
    assert hub.requests == []


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b'{"id": 1}', b"null"])
def test_what_is_no_hub_is_said_so(hub: Hub, body: bytes) -> None:
    hub.fault("/revision/", body=body)
    assert "answers, but not as a hub does; check hub.endpoint" in failure(remote(hub).commit, "main")
    assert "404" in failure(Remote(f"{hub.endpoint}/elsewhere", REPO).commit, "main")


def test_an_endpoint_is_an_address_and_its_password_is_not_shown(hub: Hub) -> None:
    for wrong in ("hub.example.org", "ftp://hub.example.org", "https://"):
        assert "hub.endpoint" in failure(Remote, wrong, REPO)
    guarded = hub.endpoint.replace("http://", "http://user:password@")
    line = failure(Remote(guarded + "/", REPO, Pauses()).commit, "no-such-branch")
    assert f"at {hub.endpoint} has no such revision" in line
