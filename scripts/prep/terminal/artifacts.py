"""Table of artifacts at the end of a build, and what to do with them."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tabulate import tabulate

from prep.report.formatting import format_share
from prep.storage.atomic import read_json

RED, PLAIN = "\x1b[31m", "\x1b[0m"
OTHER_COLUMNS = 46
"""What the columns besides the name take of a line."""
LISTS = ("--configfile", "--configfiles", "--config", "-C", "--sdm", "--software-deployment-method")
SINGLE = ("--directory", "--profile", "--workflow-profile", "--cores", "--jobs", "--snakefile")
SHORT = ("-d", "-c", "-j", "-s")
"""Flags that say which build is meant, and how it runs: with several values, with one, and short ones."""


def read_manifests(data: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read the manifests of those artifacts that stand under `data`."""
    manifests = {}
    for name in names:
        with suppress(OSError, ValueError):
            manifests[name] = read_json(data / f"manifest/{name}.json")
    return manifests


def format_artifacts(
    manifests: Mapping[str, Mapping[str, Any]], width: int | None = None, colour: bool = False
) -> str:
    """Format a line for each artifact: rows kept, rows rejected, size, and the share kept.

    With a `width`, names are cut in front to fit lines of so many characters. With `colour`, artifacts of
    which no row was kept are red.
    """
    lines = []
    for name, artifact in manifests.items():
        rows, rejected = artifact["rows"], sum(artifact["rejected"].values())
        room = len(name) if width is None else max(12, width - OTHER_COLUMNS)
        cells = [
            name if len(name) <= room else f"…{name[1 - room :]}",
            f"{rows:,}",
            f"{rejected:,}",
            f"{artifact['bytes'] / 1e6:,.2f}",
            format_share(rows, rows + rejected) if rows else "0 %",
        ]
        lines.append([f"{RED}{cell}{PLAIN}" for cell in cells] if colour and not rows else cells)
    headers = ["artifact", "rows", "rejected", "MB", "kept"]
    return tabulate(lines, headers=headers, disable_numparse=True, colalign=("left", *["right"] * 4))


def list_next_steps(data: Path, manifests: Mapping[str, Mapping[str, Any]], command: str) -> dict[str, str]:
    """What can be done with the artifacts under `data`, by a word for each; `command` runs this build again.

    Data that the demo's model made are to be looked at, and nothing else.
    """
    report = data / "report.html"
    steps = {"look": f"{report} (in a browser)"} if report.exists() else {}
    program, *flags = shlex.split(command)
    steps["verify"] = shlex.join([program, "verify", *flags])
    if any(artifact.get("notice") for artifact in manifests.values()):
        return steps
    hub = shlex.quote(str(Path(program).with_name("hf")))
    steps["upload"] = f"{hub} upload ORG/NAME {shlex.quote(str(data))} --repo-type dataset"
    configs = sorted((data / "llamafactory").glob("*.yaml"))
    if configs:
        config = configs[0].relative_to(data.parent)
        enter = f"cd {shlex.quote(str(data.parent))} && " if str(data.parent) != "." else ""
        steps["train"] = f"{enter}llamafactory-cli train {shlex.quote(str(config))}"
        if len(configs) > 1:
            steps["train"] += f"   (then {', '.join(path.name for path in configs[1:])})"
    return steps


def repeat_command(program: str, arguments: Sequence[str]) -> str:
    """Return the call of Snakemake with these arguments again, without targets and what only this run had."""
    kept, values = [program], 0
    for word in arguments:
        flag = word.partition("=")[0]
        if word.startswith("-"):
            is_long = flag in LISTS or flag in SINGLE
            is_kept = is_long or (not word.startswith("--") and word.startswith(SHORT))
            has_value = "=" in word or (not is_long and len(word) > 2)
            values = 0 if not is_kept or has_value else len(arguments) if flag in LISTS else 1
            if is_kept:
                kept.append(word)
        elif values:
            kept.append(word)
            values -= 1
    return shlex.join(kept)
