"""A hub that lies: no listed name leads out of its folder, no answer is a traceback, no listing endless."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_server import Hub, launch, undisturbed
from mutations import catch, encode_json, mutate_bytes, mutate_json
from prep.hub.listing import HubFile, is_path_within
from prep.hub.remote import Remote, parse_commit, parse_files
from prep.runtime.program import UserError
from prep.storage.atomic import write_json

REPO = "org/set"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "0" * 64
TREE = [
    {"type": "directory", "path": "in", "size": 0, "oid": COMMIT},
    {"type": "file", "path": "in/a.png", "size": 9, "oid": COMMIT},
    {"type": "file", "path": "b.parquet", "size": 9, "lfs": {"oid": SHA256, "size": 9, "pointerSize": 120}},
]
OUTSIDE = {
    "parent": "../a.png",
    "parent within": "in/../../a.png",
    "dot": "./a.png",
    "absolute": "/tmp/a.png",
    "empty part": "in//a.png",
    "ends in a slash": "in/",
    "empty": "",
    "nul": "in/a\0.png",
    "half of a character": "in/\ud800.png",
    "parent alone": "..",
}
REFUSED = (UserError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What Remote turns into one line."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    undisturbed(monkeypatch, tmp_path)
    (tmp_path / "hub" / REPO / "in").mkdir(parents=True)
    (tmp_path / "hub" / REPO / "in/a.png").write_bytes(b"a picture")
    with Hub(tmp_path / "hub") as server:
        yield server


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_its_folder_is_one_line(name: str, hub: Hub) -> None:
    tree = [{"type": "file", "path": OUTSIDE[name], "size": 9, "lfs": None}]
    hub.fault("/tree/", body=json.dumps(tree).encode())
    with pytest.raises(UserError, match="which is no path within a repository"):
        Remote(hub.endpoint, REPO).files(hub.commit(REPO), ["*", "*/*", "*/*/*"])


def test_pictures_with_such_names_are_never_fetched(hub: Hub, tmp_path: Path) -> None:
    """The program that puts files at their paths, from a listing that the program before it made."""
    tree = [{"type": "file", "path": "in/../../../../../escaped.png", "size": 9, "lfs": None}]
    hub.fault("/tree/", times=9, body=json.dumps(tree).encode())
    write_json(tmp_path / "hub.json", {"mirror": None, "endpoint": hub.endpoint, "keep": False})
    program = launch(
        tmp_path,
        "list_shards.py",
        *("--hub", tmp_path / "hub.json", "--source", "s", "--repo", REPO, "--revision", hub.commit(REPO)),
        *("--resolved", "--patterns", "*/*/*/*/*/*/*", "--holds", "pictures", "--incomplete", "fail"),
        *("--connections", 1, "--listing", tmp_path / "listing.json"),
    )
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 1
    assert stderr.splitlines()[-1].startswith("error: the hub lists a file 'in/../../../../../escaped.png'")
    assert not (tmp_path / "listing.json").exists()


@pytest.mark.parametrize(
    "item",
    [
        {"size": -1},
        {"size": True},
        {"size": "9"},
        {"size": None},
        {"size": 1e9},
        {"lfs": {"oid": "../../../../etc/x"}},
        {"lfs": {"oid": SHA256[:-1]}},
        {"lfs": {"oid": 7}},
        {"lfs": "x"},
        {"path": None},
    ],
)
def test_a_listed_file_has_bytes_and_a_digest_or_the_hub_is_none(item: dict, hub: Hub) -> None:
    hub.fault("/tree/", body=json.dumps([TREE[1] | item]).encode())
    with pytest.raises(UserError, match=r"check hub\.endpoint or HF_ENDPOINT"):
        Remote(hub.endpoint, REPO).files(hub.commit(REPO), ["*/*"])


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"sha": "../.."}', b'{"sha": 7}', b'{"sha": null}'])
def test_a_commit_is_one_or_the_hub_is_none(body: bytes, hub: Hub) -> None:
    hub.fault("/revision/", body=body)
    with pytest.raises(UserError, match="answers, but not as a hub does"):
        Remote(hub.endpoint, REPO).commit("main")


@pytest.mark.parametrize(
    "body", [b"[]", b'"no"', b"7", b'{"error": 7}', b"[" * 100_000, b"\xff", b'{"error": []}']
)
@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_error_of_any_body_is_one_line(status: int, body: bytes, hub: Hub) -> None:
    hub.fault("/revision/", status=status, body=body)
    with pytest.raises(UserError, match=REPO):
        Remote(hub.endpoint, REPO).commit("main")


def test_a_listing_whose_pages_go_in_a_circle_ends(hub: Hub) -> None:
    link = f'<{hub.endpoint}/api/datasets/{REPO}/tree/{hub.commit(REPO)}?recursive=true&cursor=1>; rel="next"'
    hub.fault("/tree/", times=9, status=200, body=json.dumps(TREE).encode(), headers={"Link": link})
    with pytest.raises(UserError, match="lists its files in a circle"):
        Remote(hub.endpoint, REPO).files(hub.commit(REPO), ["*"])


@given(mutate_json([TREE]))
def test_any_tree_is_files_within_a_repository_or_refused(tree: object) -> None:
    found = catch(lambda: parse_files(tree), *REFUSED)
    if isinstance(found, list):
        for file in found:
            assert isinstance(file, HubFile)
            assert is_path_within(file.path)
            assert isinstance(file.bytes, int)
            assert file.bytes >= 0


@given(mutate_bytes([encode_json(TREE), encode_json({"sha": COMMIT})]))
def test_any_body_is_files_a_commit_or_refused(body: bytes) -> None:
    for parse in (parse_files, parse_commit):
        catch(lambda parse=parse: parse(json.loads(body)), *REFUSED)


@given(st.text(st.sampled_from("./\\a\0\ud800\n")))
def test_a_path_within_stays_there(path: str) -> None:
    if is_path_within(path):
        folder = Path("/here")
        assert (folder / path).is_relative_to(folder)
        assert ".." not in (folder / path).parts
