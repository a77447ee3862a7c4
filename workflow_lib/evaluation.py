"""Evaluation sets of `decontaminate`: files, and settings that decide which questions are left out."""

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from workflow_lib.config_error import fail

KINDS = {"text_reasoning": "questions", "image_reasoning": "pictures"}
"""Which evaluation sets the questions of a task are compared with."""


def check_evaluation(config: dict[str, Any]) -> None:
    """Fail where a file of evaluation questions, or a folder of evaluation pictures, is not there."""
    for key, is_there, what in (("questions", os.path.isfile, "file"), ("pictures", os.path.isdir, "folder")):
        for path in config["decontaminate"][key]:
            if not is_there(path):
                fail(f"decontaminate.{key}: no {what} {path}")


def name_paths(paths: list[str]) -> dict[str, str]:
    """Each path by its name in `detail`: what follows the folder that all are in."""
    parents = [os.path.dirname(path) for path in paths]
    return {os.path.relpath(path, os.path.commonpath(parents)): path for path in paths}


def evaluation_files(config: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The evaluation sets of each kind by name, as programs take them."""
    return {kind: name_paths(config["decontaminate"][kind]) for kind in KINDS.values()}


def filter_settings(config: dict[str, Any], task: str) -> dict[str, Any] | None:
    """What decides which questions of a task are left out; None where none are."""
    given, kind = config["decontaminate"], KINDS[task]
    evaluation: dict[str, Any] = {}
    if given[kind]:
        evaluation["sha256"] = evaluation_sha256(kind, tuple(given[kind]))
        if kind == "questions":
            evaluation |= {"ngram": given["ngram"], "columns": given["columns"]}
    if not evaluation and config[task]["duplicates"] == "keep":
        return None
    return {"duplicates": config[task]["duplicates"], "evaluation": evaluation}


def is_filtered(config: dict[str, Any], task: str) -> bool:
    """Whether questions of a task may be left out; unlike `filter_settings` this reads no file."""
    return bool(config[task]["duplicates"] != "keep" or config["decontaminate"][KINDS[task]])


@cache
def evaluation_sha256(kind: str, paths: tuple[str, ...]) -> str:
    """A digest of the names and bytes of evaluation files; of a folder, of all files in it."""
    digest = hashlib.sha256()
    try:
        for name, path in name_paths(list(paths)).items():
            for file in [Path(path)] if os.path.isfile(path) else list_files(Path(path)):
                own = os.path.join(name, os.path.relpath(file, path))
                with file.open("rb") as opened:
                    digest.update(f"{own}\n{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    except OSError as error:
        fail(f"decontaminate.{kind}: {error.filename}: {error.strerror}")
    return digest.hexdigest()


def list_files(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, in an order that no file system decides."""
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.as_posix())
