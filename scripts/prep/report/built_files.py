"""Reading a finished build, of which files may be broken: any such file is named in one line (UserError)."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
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
            _check_manifest(manifest)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise UserError(f"{path} {BROKEN}") from None
        found[manifest["name"]] = manifest
    return found


def _check_manifest(manifest: dict[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError where what is read of a manifest is not as it was written."""
    file = PurePosixPath(manifest["file"])
    if not isinstance(manifest["name"], str) or type(manifest["rows"]) is not int:
        raise TypeError("a name or a count is of another kind")
    if file.parts[:1] != ("data",) or ".." in file.parts:
        raise ValueError(f"{file} is outside of data/")


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
