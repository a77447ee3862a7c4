"""The documents name only what exists, and describe every sub-package and folder."""

import re
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT
from test_layers import LAYERS

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "demo/README.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_and_link_of_a_document_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
    # A changelog tells what was there once.
    if document.name != "CHANGELOG.md":
        named = re.findall(r"`((?:scripts|rules|tests|docs|workflow_lib|envs|bench)/[\w/.-]+)`", text)
        assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_architecture_describes_every_sub_package_in_the_order_of_the_layers() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = text.partition("## The rooms")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", rooms, flags=re.M) == list(LAYERS)


def test_the_files_of_every_rule_are_described() -> None:
    text = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    rules = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("rules/*.smk"))
    folders = set(re.findall(r'"(?:work|data)/(\w+)/', rules))
    assert {folder for folder in folders if f"/{folder}/" not in text} == set()


def test_the_changelog_has_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", headings[1])
