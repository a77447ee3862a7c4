"""Parts: what a job leaves for the artifact that is assembled of many; a summary stands beside its files."""

from pathlib import Path

from prep.storage import atomic
from prep.storage.parquet import Sink


def write_summary(
    summary: Path, sources: dict[str, dict], raw: dict | None = None, **sinks: Sink | None
) -> None:
    """Write what a part is made of, and the sha256 by which a changed part is noticed.

    `sources` gives the state of each file read, by source and path. `raw` names the raw shard that still
    holds the rows' pictures, if one does: path, sha256, and the footer's, by which it is known again.
    `sinks` are the part's files: `shard` (None for a part without training rows), `rejects`, and whatever
    else follows from it.
    """
    sums = {kind: sink and sink.sha256 for kind, sink in sinks.items()}
    atomic.write_json(summary, {"sources": sources, "raw": raw, "sha256": sums})
