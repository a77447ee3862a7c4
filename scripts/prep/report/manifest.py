"""An artifact's manifest: its source files, and its row counts by reason."""

from typing import Any

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
        "sha256": artifact["sha256"],
        "read": summary["read"],
        "kept": summary["kept"],
        "rejected": {reason.value: counts[reason] for reason in Reason if counts.get(reason)},
        "empty": artifact["rows"] == 0,
        "sources": list_sources(name, listings, states),
    }
    if summary.get("notice"):
        found["notice"] = summary["notice"]
    return found


def check_counts(name: str, summary: dict) -> None:
    """Raise UserError unless every row that was read is in the artifact or has a reason of ours."""
    artifact = summary["files"]["artifact"]
    read, kept, rejected = (summary[key] for key in ("read", "kept", "rejected"))
    strange = sorted(set(rejected) - set(Reason))
    if strange:
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
            unneeded = {"state": "unneeded"} if file["take"] == 0 else None
            was = unneeded or seen.get((listing["source"], file["file"]))
            if was is None:
                raise UserError(f"{name}: nothing says what became of {listing['repo']}/{file['file']}")
            found.append(describe_file(listing, file, was))
        unknown = {"bytes": None, "sha256": None, "rows": None}
        found += [
            describe_file(listing, {"file": path, **unknown}, {"state": "missing"})
            for path in listing["missing"]
        ]
    return found


def describe_file(listing: dict, file: dict, was: dict) -> dict[str, Any]:
    """A listed file's entry; its rows are those counted when it was read, else those listed."""
    rows = was.get("rows")
    entry = {
        "repo": listing["repo"],
        "revision": listing["revision"],
        "commit": listing["commit"],
        "file": file["file"],
        "bytes": file["bytes"],
        "sha256": file["sha256"],
        "rows": file["rows"] if rows is None else rows,
        "state": was["state"],
    }
    if was["state"] == "bad":
        entry["detail"] = was["detail"]
    return entry
