"""What an upload to the Hugging Face hub sends of a file, by the hub's own client.

hf-xet cuts files into chunks by their content (https://huggingface.co/docs/xet/chunking) and sends those that
the hub does not have. It takes a folder in the hub's place.
"""

import shutil
from pathlib import Path

import hf_xet


def send(file: Path, hub: Path) -> hf_xet.DeduplicationMetrics:
    """Upload a file into a folder that stands for the hub; what was sent before is known."""
    commit = hf_xet.XetSession().new_upload_commit(endpoint=f"local://{hub.resolve()}")
    commit.start_upload_file(str(file), sha256=hf_xet.SKIP_SHA256)
    return commit.wait_to_finish().dedup_metrics


def forget(hub: Path) -> None:
    """Go to another machine, which does not know what was sent from the last one and asks the hub."""
    for known in hub.glob("xet/shard-*"):
        shutil.rmtree(known)


def measure_upload(old: Path, new: Path, hub: Path) -> float:
    """The bytes that are sent for a new file after the old one, as a share of its size."""
    send(old, hub)
    return send(new, hub).total_bytes_uploaded / new.stat().st_size
