"""What make hands to Snakemake: a config file or a folder that cannot be used ends in one line."""

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

NO_FILE = "error: config: no file {}; --configfile or CONFIG= names one that stands"


def make(target: str, *words: str) -> list[str]:
    """What a target of make that fails says, but for make's own line."""
    command = ["make", "--silent", target, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    *lines, last = done.stderr.splitlines()
    assert last.startswith("make: ***")
    return lines


@pytest.mark.parametrize("target", ["plan", "targets", "build", "refresh", "probe", "calibrate"])
def test_a_config_file_that_is_not_there_is_one_line(target: str) -> None:
    assert make(target, "ARGS=--configfile nope.yaml") == [NO_FILE.format("nope.yaml")]


@pytest.mark.parametrize("target", ["pages", "selection"])
def test_so_it_is_where_it_is_named_by_config(target: str) -> None:
    assert make(target, "CONFIG=nope.yaml") == [NO_FILE.format("nope.yaml")]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("--cores 2 --configfile config.yaml scripts", NO_FILE.format("scripts")),
        ("--configfiles {}/latin.yaml", "error: config: {}/latin.yaml is not UTF-8: *; save it as UTF-8"),
        ("--configfile {}/list.yaml", "error: config: {}/list.yaml has no keys"),
        ("--configfile {}/torn.yaml", "error: config: {}/torn.yaml is no YAML: *"),
        ("--configfile", "error: argument --configfile/--configfiles: expected at least one argument"),
        ("--directory /dev/null", "error: config: --directory /dev/null is no folder; name one"),
        ("-d {}/list.yaml/build", "error: config: --directory {}/list.yaml/build is no folder; name one"),
        ("--directory /proc/x", "error: config: --directory /proc/x: *; name a folder that can be written"),
    ],
)
def test_what_snakemake_cannot_read_is_one_line(args: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"seed: 1 # \xe9")
    (tmp_path / "list.yaml").write_text("[]\n")
    (tmp_path / "torn.yaml").write_text("hub: [\n")
    (said,) = make("plan", f"ARGS={args.format(tmp_path)}")
    first, _, last = line.format(tmp_path, tmp_path).partition("*")
    assert said.startswith(first)
    assert said.endswith(last)


@pytest.mark.parametrize("target", ["plan", "try"])
def test_a_flag_without_a_value_is_one_line(target: str) -> None:
    line = "error: argument --configfile/--configfiles: expected at least one argument"
    assert make(target, "ARGS=--configfile") == [line]
