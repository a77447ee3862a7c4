"""Source files in other containers than Parquet, for the tests."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path


def write_lines(path: Path, rows: Iterable[dict | str]) -> Path:
    """JSON Lines; a text is a line as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_array(path: Path, rows: Iterable[dict]) -> Path:
    """A JSON array over many lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*rows], indent=2), encoding="utf-8")
    return path


def write_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as file:
        for name, data in members:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            file.addfile(about, io.BytesIO(data))
    return path
