"""The documents name only what exists, and describe every sub-package and folder."""

import re
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT
from test_layers import LAYERS

from config_reference import format_reference, read_yaml
from prep.report.formatting import MEANINGS

OTHERS = {
    "was unexpected": "jsonschema",
    "No space left on device": "the operating system",
    "Directory cannot be locked": "Snakemake",
    "MissingInputException": "Snakemake",
    "MissingRuleException": "Snakemake",
}
"""Messages that docs/troubleshooting.md explains and others say."""

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


def test_where_each_thing_is_decided_names_functions_that_are_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Where each thing is decided")[2].partition("\n## ")[0]
    named = [
        (path, name)
        for path, names in re.findall(r"`([\w/.]+)`: ((?:`\w+`(?:, )?)+)", table)
        for name in re.findall(r"\w+", names)
    ]
    assert len(named) >= 20
    for path, name in named:
        assert re.search(rf"(?:def|class) {name}\b", (ROOT / path).read_text(encoding="utf-8")), (path, name)


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


def test_the_config_reference_is_that_of_the_schema() -> None:
    text = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    assert text == format_reference(read_yaml("config.schema.yaml"), read_yaml("config.yaml"))


def test_troubleshooting_explains_messages_as_they_are() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    sources = [*ROOT.glob("scripts/**/*.py"), *ROOT.glob("workflow_lib/*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    cells = re.findall(r"^\| (`.*?) \| ", text, re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 25
    said = [part.strip(" ,") for message in messages for part in message.split("…") if part.strip(" ,")]
    assert [part for part in said if part not in code and part not in OTHERS] == []


def test_every_reason_of_rejects_is_told() -> None:
    text = (ROOT / "docs/artifacts.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| (.*) \|$", text.partition("## Reasons")[2], re.MULTILINE)
    assert told == [(reason.value, meaning) for reason, meaning in MEANINGS.items()]
