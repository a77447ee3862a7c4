"""Put what was published where people look for it, beside files that are not ours."""

import logging
from pathlib import Path

from prep.storage.atomic import whole

log = logging.getLogger(__name__)


def install(path: str | Path, content: bytes) -> bool:
    """Put `content` at `path`, whole or not at all; True if that changed anything.

    A file that holds these very bytes is left alone, its time included. Where `path` is a link, the file
    that it leads to is replaced and the link stays.
    """
    path = Path(path).resolve()
    if path.is_file() and path.read_bytes() == content:
        log.info("%s: as it was", path.name)
        return False
    with whole(path, several_writers=True) as part:
        part.write_bytes(content)
    log.info("%s: written", path.name)
    return True
