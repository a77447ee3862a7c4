"""Idempotent install of published files: a file that already holds the content is left alone."""

import logging
from pathlib import Path

from prep.storage.atomic import atomic_write

log = logging.getLogger(__name__)


def install(path: str | Path, content: bytes) -> bool:
    """Write `content` to `path` atomically; True if the file changed.

    A file that holds the same bytes is left alone, its time included. Where `path` is a link, the file that
    it leads to is replaced and the link stays.
    """
    path = Path(path).resolve()
    if path.is_file() and path.read_bytes() == content:
        log.info("%s: as it was", path.name)
        return False
    with atomic_write(path) as part:
        part.write_bytes(content)
    log.info("%s: written", path.name)
    return True
