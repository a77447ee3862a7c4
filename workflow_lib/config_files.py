"""Config files as they are written: read as Snakemake reads them, with keys that stand twice refused."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from workflow_lib.config_error import fail, place_of

WrittenConfig = tuple[Path, Any]
"""A config file, and what it gives."""
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's loader in C, ten times as fast, where PyYAML was built with it."""
MERGE_TAG = "tag:yaml.org,2002:merge"
"""The tag of the key `<<`, which may stand twice."""


def read_config_files(base: Path, files: Iterable[str | Path]) -> list[WrittenConfig]:
    """The config of the checkout at `base` and those that are merged over it, in order."""
    own = base / "config.yaml"
    named = [own, *(Path(file) for file in files if Path(file) != own)]
    return [(file, read_config_file(file)) for file in named if file.is_file()]


def read_own(file: Path) -> Any:
    """What a YAML file of the checkout gives."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=Loader)


def read_config_file(file: Path) -> Any:
    """What a file of JSON or YAML gives. Fails where it is neither, is not UTF-8, or has a key twice."""
    try:
        text = file.read_bytes().decode()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}; mend that")
    except UnicodeDecodeError as error:
        fail(f"{file} is not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8")

    def gather(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        gathered: dict[str, Any] = {}
        for key, value in pairs:
            if key in gathered:
                fail(f"{file}: {key} stands twice in one object; leave one out")
            gathered[key] = value
        return gathered

    try:
        return json.loads(text, object_pairs_hook=gather)
    except ValueError:
        pass  # it is YAML
    try:
        check_unique(file, yaml.compose(text, Loader=Loader), [], set())
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        fail(f"{file} is no YAML: {' '.join(str(error).split())}")


def check_unique(file: Path, node: yaml.Node | None, path: list[str], seen: set[int]) -> None:
    """Fail where a key stands twice in one mapping: YAML forbids it, and its reader takes the last.

    `seen` holds the nodes that were looked at, since an alias may lead back.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            check_unique(file, each, [*path, str(number)], seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, str(key.value)
            if (key.tag, name) in lines and key.tag != MERGE_TAG:
                place, first = place_of([*path, name]), lines[key.tag, name]
                fail(f"{file}: {place} stands twice, in line {first} and in line {line}; leave one out")
            lines[key.tag, name] = line
            check_unique(file, value, [*path, name], seen)
