"""The end of a run: manifests of artifacts that stand without one, and the registration of all."""

import json
from pathlib import Path

import pytest
from conftest import ROOT
from snakemake.exceptions import WorkflowError

from workflow_lib.manifests import lacks_manifest, register, write_manifest

NAME = "llavaonevision_converted/iiit5k"


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@pytest.fixture(autouse=True)
def assembled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder where an empty artifact was just assembled."""
    monkeypatch.chdir(tmp_path)
    artifact = {"path": f"data/{NAME}.parquet", "rows": 0, "bytes": 0, "sha256": "new"}
    summary = {"files": {"artifact": artifact}, "read": 0, "kept": 0, "rejected": {}, "sources": {}}
    write(f"data/{NAME}.parquet", "")
    write(f"work/assemble_artifact/{NAME}.json", json.dumps(summary))
    write("listing.json", json.dumps({"source": NAME, "files": [], "missing": []}))


def test_an_artifact_lacks_a_manifest_until_its_own_is_written() -> None:
    assert lacks_manifest(NAME, f"data/{NAME}.parquet")
    write(f"data/manifest/{NAME}.json", '{"sha256": "old"}')
    assert lacks_manifest(NAME, f"data/{NAME}.parquet")
    write_manifest(ROOT / "scripts", NAME, ["listing.json"], [])
    assert not lacks_manifest(NAME, f"data/{NAME}.parquet")
    assert json.loads(Path(f"data/manifest/{NAME}.json").read_text())["empty"] is True


def test_an_artifact_of_the_same_rows_lacks_one_where_more_was_rejected() -> None:
    write_manifest(ROOT / "scripts", NAME, ["listing.json"], [])
    summary = json.loads(Path(f"work/assemble_artifact/{NAME}.json").read_text())
    summary |= {"read": 1, "rejected": {"image_missing": 1, "odd_turns": 0}}
    write(f"work/assemble_artifact/{NAME}.json", json.dumps(summary))
    assert lacks_manifest(NAME, f"data/{NAME}.parquet")
    write_manifest(ROOT / "scripts", NAME, ["listing.json"], [])
    assert not lacks_manifest(NAME, f"data/{NAME}.parquet")


def test_a_summary_of_earlier_code_has_no_manifest_to_write() -> None:
    write(f"work/assemble_artifact/{NAME}.json", '{"files": {}, "sha256": "old"}')
    assert not lacks_manifest(NAME, f"data/{NAME}.parquet")


@pytest.mark.parametrize("torn", ["", '{"files": {', "[]"])
def test_a_torn_manifest_is_written_anew_and_a_torn_summary_ends_no_run(torn: str) -> None:
    write(f"data/manifest/{NAME}.json", torn)
    assert lacks_manifest(NAME, f"data/{NAME}.parquet")
    write(f"work/assemble_artifact/{NAME}.json", torn)
    assert not lacks_manifest(NAME, f"data/{NAME}.parquet")


@pytest.mark.parametrize("gone", [f"data/{NAME}.parquet", f"work/assemble_artifact/{NAME}.json"])
def test_what_does_not_stand_lacks_no_manifest(gone: str) -> None:
    Path(gone).unlink()
    assert not lacks_manifest(NAME, f"data/{NAME}.parquet")


def test_the_registration_names_every_artifact() -> None:
    register(ROOT / "scripts", [NAME, "text2image"], sharded=False)
    assert list(json.loads(Path("data/dataset_info.json").read_text())) == ["iiit5k", "text2image"]
    assert not Path("work/publish/dataset_info.json").exists()  # the rule's, which still has to run


def test_a_failure_is_the_programs_last_line_and_what_to_build_then() -> None:
    write("data/dataset_info.json", "no JSON")
    with pytest.raises(WorkflowError) as failure:
        register(ROOT / "scripts", [NAME], sharded=False)
    first, last = str(failure.value).splitlines()
    assert first.startswith("error: data/dataset_info.json is not a JSON object")
    assert last == "Once this is mended, build work/publish/dataset_info.json"
