"""Reading a finished build, of which files may be broken: any such file is named in one line (UserError)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.atomic import read_json

BROKEN = "is broken: build it again, or copy it anew"


def read_manifests(data: Path) -> dict[str, dict[str, Any]]:
    """The manifests of a build by artifact; UserError where there is none, or what is there is none."""
    paths = sorted((data / "manifest").rglob("*.json"))
    if not paths:
        raise UserError(f"{data} is no build: it has no manifest/*.json; name the folder with the artifacts")
    found = {}
    for path in paths:
        try:
            manifest = read_json(path)
            found[manifest["name"]] = manifest
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{path} {BROKEN}") from None
    return found


def find_artifact(data: Path, manifest: dict[str, Any]) -> Path:
    """The file or folder of an artifact; UserError where it is gone."""
    path = data / Path(manifest["file"]).relative_to("data")
    if not path.exists():
        raise UserError(f"{path} is gone, though its manifest stands; build it again, or copy it anew")
    return path


def list_columns(file: Path) -> list[str]:
    """The names of a file's columns."""
    with parquet.explain_broken(file, lambda: BROKEN):
        return pq.read_schema(file).names


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict]:
    """The rows of a file or folder, as prep.storage.parquet reads them."""
    with parquet.explain_broken(path, lambda: BROKEN):
        yield from parquet.read_rows(path, columns)
