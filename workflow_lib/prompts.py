"""The judge's prompt of each task: its text, and the digest by which versions of it are told apart."""

import hashlib
import os
from pathlib import Path
from typing import Any

from workflow_lib.config import fail


def prompt_text(config: dict[str, Any], task: str) -> str:
    """What the judge is told: the text decides verdicts, not the file's place or time."""
    path = Path(config[task]["judge_prompt"])
    if not os.path.isfile(path):  # unlike Path.is_file, no error where the name is too long
        fail(f"{task}.judge_prompt: no file {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        fail(f"{task}.judge_prompt: {path} is not UTF-8: {error}")
    for blank in ("{question}", "{reference}", "{answer}"):
        if blank not in text:
            fail(f"{task}.judge_prompt: {path} has no {blank}, and the judge must see it")
    return text


def prompt_sha256(config: dict[str, Any], task: str) -> str:
    """The sha256 of what the judge is told; its first digits are the prompt's version in card and docs."""
    return hashlib.sha256(prompt_text(config, task).encode()).hexdigest()


def describe_prompt(config: dict[str, Any], task: str) -> dict[str, str]:
    """The file and the version of a task's prompt."""
    return {"file": Path(config[task]["judge_prompt"]).name, "version": prompt_sha256(config, task)[:12]}
