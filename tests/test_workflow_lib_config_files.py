"""Config files: a key that stands twice, another encoding and what is no YAML are one line with the place."""

from pathlib import Path

import pytest
from conftest import ROOT
from snakemake.exceptions import WorkflowError

from workflow_lib.config import read_config
from workflow_lib.config_files import read_config_file, read_config_files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nhub: {}\nseed: 2\n", "seed stands twice, in line 1 and in line 3"),
        ("sources:\n  a: {stage: 1, stage: 2}\n", "sources.a.stage stands twice, in line 2 and in line 2"),
        ("sources: {a: null, 'a': {}}\n", "sources.a stands twice"),
        ("a: [{b: 1}, {b: 1, b: 2}]\n", "a.1.b stands twice"),
        ("5: 1\n5: 2\n", "5 stands twice"),
        ('{"a": {"b": 1, "b": 2}}', "b stands twice in one object"),
        ("a: [\n", "is no YAML: while parsing"),
        ("a: !!python/name:os.system x\n", "is no YAML: could not determine a constructor"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(WorkflowError, match=f"^config: {tmp_path}/my.yaml:? {said}") as error:
        read_config_file(tmp_path / "my.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "data", [b"hub: {mirror: \xfc}\n", "a: 字\n".encode("utf-16"), "a: ü".encode("latin-1")]
)
def test_a_file_that_is_not_utf_8_is_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_bytes(data)
    with pytest.raises(
        WorkflowError, match=f"^config: {tmp_path}/my.yaml is not UTF-8: .*; save it as UTF-8$"
    ):
        read_config_file(tmp_path / "my.yaml")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n", {"a": {"b": 1}, "c": {"b": 2}}),
        ("'5': 1\n5: 2\n", {"5": 1, 5: 2}),
        ('{\t"a": 1}', {"a": 1}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("", None),
        ("# nothing\n", None),
    ],
)
def test_what_is_no_duplicate_is_read(text: str, given: object, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    assert read_config_file(tmp_path / "my.yaml") == given


def test_an_alias_that_leads_back_ends(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("a: &x [*x]\n")
    [loop] = read_config_file(tmp_path / "my.yaml")["a"]
    assert loop[0] is loop


def test_the_checkouts_file_comes_first_and_once(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("seed: 1\n")
    read = read_config_files(ROOT, [tmp_path / "my.yaml", ROOT / "config.yaml", tmp_path / "none.yaml"])
    assert [file for file, _ in read] == [ROOT / "config.yaml", tmp_path / "my.yaml"]


def test_a_source_that_an_earlier_file_describes_can_be_null(tmp_path: Path) -> None:
    entry = "{repo: org/mine, revision: main, stage: 1, form: caption, prompts: [Describe it.]}"
    (tmp_path / "one.yaml").write_text(f"sources: {{mine: {entry}}}\n")
    (tmp_path / "two.yaml").write_text("sources: {mine: null, synthdog_en: null}\n")
    read_config(ROOT, [tmp_path / "one.yaml", tmp_path / "two.yaml"])
    with pytest.raises(WorkflowError, match=r"^config: sources.mine: is null, and there is no such source"):
        read_config(ROOT, [tmp_path / "two.yaml"])
