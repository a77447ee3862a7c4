"""A batch of stage 3 for the tests: questions in a file, a server, and a program run on them."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fault_server import FaultServer
from prep.storage import parquet
from prep.storage.atomic import sha256, write_json, write_text
from prep.storage.schema import OUTCOMES, QUESTIONS
from running import Done, run
from server_config import server_config

CONFIG = server_config(
    "teacher", "external", "model", concurrency=4, request_timeout=60, floor_rate=1000, max_failed_share=0.5
)


POLICY = {"min_score": 3, "disagree": "ask", "keep": "best", "keep_failed": False, "pass_rate": [0, 1]}
"""What the programs that select are told, as `--settings`."""


def prompt_flags(folder: Path, prompt: str) -> tuple[str | Path, ...]:
    """The flags that name a judge's prompt, which is written into a file."""
    path = folder / "prompt.md"
    write_text(path, prompt)
    return "--prompt", path, "--prompt-sha256", sha256(path)


def rule_flags(answers: Path, rules: dict[int, str], when: str = "always") -> tuple[str | Path, ...]:
    """The flags that name what rules say of answers: of some by their place, of the others cannot_tell."""
    rows = enumerate(parquet.read_rows(answers, ["id", "text"]))
    said = [{"id": row["id"], "rule": rules.get(at, "cannot_tell")} for at, row in rows if row["text"]]
    path = answers.with_name("outcomes.parquet")
    parquet.write_rows(path, said, OUTCOMES)
    return "--outcomes", path, "--when", when


def question(number: int, text: str | None = None, image: bytes | None = None) -> dict[str, Any]:
    """A row of QUESTIONS from line `number` of a file."""
    return {
        "id": f"set/file:{number}",
        "source": "org/set",
        "source_id": f"s{number}",
        "source_file": "data/file.parquet",
        "row": number,
        "question": text or f"What is {number}?",
        "reference": f"It is {number}.",
        "image_sha256": image and hashlib.sha256(image).hexdigest(),
        "image": image and {"bytes": image, "path": f"{number}.png"},
    }


class Batch:
    """A folder with the questions, and what the programs are told of the server."""

    def __init__(self, folder: Path, questions: list[dict[str, Any]], server: FaultServer, **changes: Any):
        self.folder = folder
        parquet.write_rows(folder / "questions.parquet", questions, QUESTIONS)
        config = replace(CONFIG, base_urls=[server.base_url], **changes)
        write_json(folder / "server.json", asdict(config))
        self.probe(schema=True)

    def probe(self, **found: Any) -> None:
        """Write down what the client is to adapt to."""
        write_json(self.folder / "probe.json", {"thinking": "content", "empty_think": True, **found})

    def flags(self) -> list[object]:
        """What every program that asks the server about the questions is told."""
        return [
            *("--questions", self.folder / "questions.parquet", "--server", self.folder / "server.json"),
            *("--settings", '{"model": "model", "max_model_len": 8192, "seed": 42}'),
            *("--probe", self.folder / "probe.json", "--journal", self.folder / "journal"),
            *("--progress", self.folder / "progress.json"),
            *("--longer-budget", 0, "--repetition", 0, "--summary", self.folder / "summary.json"),
        ]

    def ask(self, program: str, *arguments: object) -> Done:
        """Run a program that asks the server about the questions."""
        return run(program, *self.flags(), *arguments)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a file in the folder."""
        return pq.read_table(self.folder / name).to_pylist()
