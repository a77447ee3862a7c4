"""The end of a build: a table of its artifacts, and what to do with them."""

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
REPEATED = {
    *("--configfile", "--configfiles", "--config", "--directory", "-d", "--profile", "--workflow-profile"),
    *("--cores", "-c", "--jobs", "-j", "--sdm", "--software-deployment-method", "--snakefile", "-s"),
}
"""Flags of Snakemake that say which build is meant, and how it runs."""


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
    steps = {"look": f"open {shlex.quote(str(report))}"} if report.exists() else {}
    steps["verify"] = command.replace("snakemake", "snakemake verify", 1)
    if any(artifact.get("notice") for artifact in manifests.values()):
        return steps
    steps["upload"] = f"hf upload ORG/NAME {shlex.quote(str(data))} --repo-type dataset"
    configs = sorted((data / "llamafactory").glob("*.yaml"))
    if configs:
        config = configs[0].relative_to(data.parent)
        enter = f"cd {shlex.quote(str(data.parent))} && " if str(data.parent) != "." else ""
        steps["train"] = f"{enter}llamafactory-cli train {shlex.quote(str(config))}"
        if len(configs) > 1:
            steps["train"] += f"   (then {', '.join(path.name for path in configs[1:])})"
    return steps


def repeat_command(arguments: Sequence[str]) -> str:
    """Return the call of Snakemake with these arguments again, without targets and what only this run had."""
    kept, keeps = ["snakemake"], False
    for word in arguments:
        if word.startswith("-"):
            keeps = word.partition("=")[0] in REPEATED
        if keeps:
            kept.append(word)
    return shlex.join(kept)
