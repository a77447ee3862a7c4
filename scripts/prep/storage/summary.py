"""Job summaries: the checksum file that stands beside a job's outputs.

Jobs that follow take the summary as input, so that they are stale by what the outputs hold, not by their
times. It is JSON of one shape:

    {"files": {"shard": {"rows": 24, "sha256": "…"}, "rejects": {"rows": 0, "sha256": "…"}}, …}

`files` holds what is known of each output, by the name of its flag, or by its path where there are many. It
is null for an output that the job does not write. The sha256 is always there; `rows`, `bytes` and `path`
where a program needs them. Beside `files` stands what else the job found:

- `sources`: what became of each source file, as {source: {path: {"state": …}}}.
- `raw`: the raw shard that still holds the pictures of a part: path, sha256, and the footer's sha256.
- `read`, `kept`, `rejected` and `notice`: an assembly's counts, and what its artifact must say.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prep.storage import atomic
from prep.storage.parquet import Writer


def write_summary(path: Path, files: Mapping[str, Writer | dict[str, Any] | None], **about: Any) -> None:
    """Write a summary; what is known of a file is given, or taken from its writer."""
    known = {
        name: {"rows": file.rows, "sha256": file.sha256} if isinstance(file, Writer) else file
        for name, file in files.items()
    }
    atomic.write_json(path, {"files": known} | about)
