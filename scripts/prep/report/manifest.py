"""An artifact's manifest: its source files, and its row counts by reason."""

from typing import Any

from prep.reasoning.funnel import merge_lines
from prep.records.reason import Reason
from prep.runtime.program import UserError


def build_manifest(name: str, summary: dict, listings: list[dict], states: list[dict]) -> dict[str, Any]:
    """Build the manifest of the artifact `name` from its assembly's summary.

    `listings` name every file of its sources, in the order in which they are shown; `states`, summaries
    again, say what became of each file that was to be read. Raises UserError when the counts do not add up
    or no state names such a file.
    """
    check_counts(name, summary)
    counts, artifact = summary["rejected"], summary["files"]["artifact"]
    found = {
        "name": name,
        "file": artifact["path"],
        "rows": artifact["rows"],
        "bytes": artifact["bytes"],
        **{key: artifact[key] for key in ("sha256", "files") if key in artifact},
        "read": summary["read"],
        "kept": summary["kept"],
        "rejected": {reason.value: counts[reason] for reason in Reason if counts.get(reason)},
        "empty": artifact["rows"] == 0,
        "sources": list_sources(name, listings, states),
    }
    if summary.get("funnel"):
        found["funnel"] = merge_lines(summary["funnel"])
    if summary.get("notice"):
        found["notice"] = summary["notice"]
    return found


def check_counts(name: str, summary: dict) -> None:
    """Raise UserError unless every row that was read is in the artifact or has a reason of ours."""
    artifact = summary["files"]["artifact"]
    read, kept, rejected = (summary[key] for key in ("read", "kept", "rejected"))
    if strange := sorted(set(rejected) - set(Reason)):
        raise UserError(f"{name}: rows are rejected for reasons that nobody knows: {', '.join(strange)}")
    if artifact["rows"] != kept:
        raise UserError(f"{name}: {artifact['path']} has {artifact['rows']} rows, but {kept} were kept")
    if read != kept + sum(rejected.values()):
        raise UserError(
            f"{name}: {read} rows were read, but {kept} kept and {sum(rejected.values())} rejected"
        )


def list_sources(name: str, listings: list[dict], states: list[dict]) -> list[dict[str, Any]]:
    """One entry for each listed file: its identity, its rows, and whether it was read, unneeded or bad.

    After a source's files come those that are missing.
    """
    seen: dict[tuple[str, str], dict] = {}
    for state in states:
        for source, files in state["sources"].items():
            seen.update({(source, file): was for file, was in files.items()})
    found = []
    for listing in listings:
        for file in listing["files"]:
            was = seen.get((listing["source"], file["file"]))
            if listing.get("holds") == "pictures":
                was = {"state": "read"}
            if file["take"] == 0:
                was = {"state": "unneeded"}
            if was is None:
                raise UserError(f"{name}: nothing says what became of {listing['repo']}/{file['file']}")
            found.append(describe_file(listing, file, was))
        unknown = dict.fromkeys(("bytes", "sha256", "rows"))
        for file in listing["missing"]:
            found.append(describe_file(listing, {"file": file, **unknown}, {"state": "missing"}))
    return found


def describe_file(listing: dict, file: dict, was: dict) -> dict[str, Any]:
    """A listed file's entry; its rows are those counted when it was read, else those listed."""
    rows = was.get("rows")
    return {
        **{key: listing[key] for key in ("repo", "revision", "commit")},
        **{key: file[key] for key in ("file", "bytes", "sha256")},
        "rows": file["rows"] if rows is None else rows,
        "state": was["state"],
        **({"detail": was["detail"]} if was["state"] == "bad" else {}),
    }
