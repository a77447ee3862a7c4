"""Model servers as the jobs that use them see them: environment, resources, and files."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_lib.teachers import askers_of

JOBS_AT_ONCE = (4, 8)
"""Fewest and most jobs at each server, unless the run says otherwise."""
FIRST_PRIORITY = {"text": 40, "image": 20}
"""Priorities of jobs that need a server begin here; all other jobs have 0."""


@dataclass(frozen=True)
class ServerSettings:
    """A server of the config, and the checkout that its environment is found in."""

    name: str
    settings: dict[str, Any]
    base: Path

    @property
    def probe(self) -> str:
        """What the client adapts to."""
        return f"work/servers/{self.name}/probe.json"

    @property
    def environment(self) -> str:
        """The conda environment of the jobs that use it: its own when they start it, else the base.

        The embedded server comes with the requirements, so its jobs stay in the environment of Snakemake: it
        is "", since a variant of a rule keeps the environment of that rule where its own is None.
        """
        envs = {"managed": self.settings["conda_env"], "external": "envs/base.yaml", "embedded": ""}
        env = envs[self.settings["mode"]]
        # Snakemake reads braces in the path of an environment as wildcards.
        return env and str(self.base / env).replace("{", "{{").replace("}", "}}")

    @property
    def launcher(self) -> list[str]:
        """The command that starts it, from the environment that `make envs` made, where it did."""
        program, *arguments = self.settings["launcher"]
        made = self.base / ".envs" / Path(self.settings["conda_env"]).stem / "bin" / program
        return [str(made) if made.is_file() else program, *arguments]

    @property
    def gpus(self) -> int:
        """The GPUs of a job that starts it: replicas x tensor x pipeline x data parallel, by vLLM's flags."""
        if self.settings["mode"] != "managed":
            return 0
        flags = " ".join(self.settings["args"]).replace("_", "-")
        count = self.settings["replicas"]
        for kind, letters in (("tensor", "tp"), ("pipeline", "pp"), ("data", "dp")):
            found = re.search(rf"(?:--{kind}-parallel-size|-{letters})[ =](\d+)", flags)
            count *= int(found[1]) if found else 1
        return count

    @property
    def jobs_at_once(self) -> int:
        """How many jobs ask it at a time: others fill what the last answers of one leave.

        A server of many GPUs holds more requests than one batch has, so it takes one for each GPU.
        """
        fewest, most = JOBS_AT_ONCE
        return most if self.settings["mode"] == "external" else max(fewest, min(most, self.gpus))

    @property
    def threads(self) -> int:
        """The cores of a job that uses it: one to ask, and two more for each GPU."""
        return 1 + 2 * self.gpus

    @property
    def probe_minutes(self) -> int:
        """The time that its probe takes: an hour beside the time in which it may start."""
        start = self.settings["start_timeout"] if self.settings["mode"] == "managed" else 0
        return 60 + math.ceil(start / 60)

    def job_resources(self, share: Callable[[int, int], Any]) -> dict[str, Any]:
        """What one of the jobs that use it takes, where so many may share what it needs."""
        shared = {
            key: share(self.resources[key], self.jobs_at_once) for key in ("gpu", "mem_mb") if self.gpus
        }
        return self.resources | shared

    @property
    def resources(self) -> dict[str, int]:
        """What a job that uses it takes: a slot of `server_NAME`, memory, time, GPUs when it starts it."""
        taken = {f"server_{self.name}": 1, "mem_mb": 8000, "runtime": 2880}
        if self.settings["mode"] == "managed":
            # On one node: Slurm may spread GPUs over several, and a server's processes share a machine.
            taken |= {"gpu": self.gpus, "nodes": 1, "mem_mb": 64000 * self.settings["replicas"]}
        return taken


def job_priorities(config: dict[str, Any]) -> dict[tuple[str, str], int]:
    """The priority of each rule's jobs at a server: text before pictures, one server after the other.

    So servers that need the same GPUs do not take them from each other in turns. A judge that is the only
    teacher's server goes first: a batch is done early, and is drawn while others are asked.
    """
    found = {}
    for what, first in FIRST_PRIORITY.items():
        task = config[f"{what}_reasoning"]
        teachers = list(askers_of(config, f"{what}_reasoning"))
        found |= {(f"answer_{what}", name): first - number for number, name in enumerate(teachers)}
        is_alone = teachers == [task["judge"]]
        found[f"judge_{what}", task["judge"]] = first + 1 if is_alone else first - len(teachers)
    return found
