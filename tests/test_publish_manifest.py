"""The one manifest: all of them by name, and the digest of the configuration."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import publish_manifest
from prep.runtime.program import UserError

DIGEST = "0123456789abcdef" * 4


def test_manifests_are_gathered_in_order() -> None:
    manifests = [{"name": "text2image", "rows": 1}, {"name": "llavaonevision_converted/iiit5k", "rows": 2}]
    found = publish_manifest.merge_manifests(manifests, DIGEST)
    assert list(found) == ["artifacts", "config_sha256"]
    assert list(found["artifacts"].items()) == [(m["name"], m) for m in manifests]
    assert found["config_sha256"] == DIGEST


def test_two_of_one_artifact_fail() -> None:
    with pytest.raises(UserError, match="two manifests are of text2image"):
        publish_manifest.merge_manifests([{"name": "text2image"}, {"name": "text2image"}], DIGEST)


@pytest.mark.parametrize("digest", ["", "abc", DIGEST.upper(), f"{DIGEST}0", f"{DIGEST}\n"])
def test_what_is_no_digest_fails(digest: str) -> None:
    with pytest.raises(UserError, match="64 hex digits"):
        publish_manifest.merge_manifests([], digest)


def test_program_publishes_and_installs_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name, "rows": 3}))
    command = [sys.executable, ROOT / "scripts" / "publish_manifest.py", "--manifests", "a.json", "b.json"]
    command += ["--config-sha256", DIGEST, "--publish", "work/publish/manifest.json", "--data", "data"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    published = (tmp_path / "work/publish/manifest.json").read_bytes()
    assert (tmp_path / "data/manifest.json").read_bytes() == published
    assert list(json.loads(published)["artifacts"]) == ["a", "b"]
