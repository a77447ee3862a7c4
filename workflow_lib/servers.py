"""Model servers as the jobs that use them see them: environment, resources, and files."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
    def threads(self) -> int:
        """The cores of a job that uses it: one to ask, and two more for each GPU."""
        return 1 + 2 * self.gpus

    @property
    def probe_resources(self) -> dict[str, int]:
        """What its probe takes: as a job that uses it, and an hour beside the time in which it may start."""
        start = self.settings["start_timeout"] if self.settings["mode"] == "managed" else 0
        return self.resources | {"runtime": 60 + math.ceil(start / 60)}

    @property
    def resources(self) -> dict[str, int]:
        """What a job that uses it takes: a slot of `server_NAME`, memory, time, GPUs when it starts it."""
        taken = {f"server_{self.name}": 1, "mem_mb": 8000, "runtime": 2880}
        if self.settings["mode"] == "managed":
            # On one node: Slurm may spread GPUs over several, and a server's processes share a machine.
            taken |= {"gpu": self.gpus, "nodes": 1, "mem_mb": 64000 * self.settings["replicas"]}
        return taken
