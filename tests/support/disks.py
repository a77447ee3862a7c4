"""Small disks, and a user who is not root: for tests that are root and may mount."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


def _can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


MOUNTS = pytest.mark.skipif(not _can_mount(), reason="mounts disks, which takes root outside a container")


@contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A small disk at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def as_nobody(folder: Path, *needed: Path | str) -> list[str]:
    """The words before a command that has a user run it who owns nothing.

    What the command needs may lie in a home that is root's alone, as a Python or the checkout does. The
    command sees another disk there, with nothing else, that can be entered; it is mounted at `folder` first.
    """
    homes: dict[Path, list[Path]] = {}
    for place in sorted({Path(each).resolve() for each in needed}):
        closed = [each for each in reversed(place.parents) if not each.stat().st_mode & 0o001]
        if closed:
            homes.setdefault(closed[0], []).append(place)
    lines = ["set -e"]
    for number, (home, places) in enumerate(homes.items()):
        seen = folder / str(number)
        lines += [f"mkdir -p {quote(seen)}", f"mount -t tmpfs -o mode=755 tmpfs {quote(seen)}"]
        for place in places:
            inside = quote(seen / place.relative_to(home))
            lines += [f"mkdir -p {inside}", f"mount --rbind {quote(place)} {inside}"]
        lines.append(f"mount --rbind {quote(seen)} {quote(home)}")
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["unshare", "--mount", "bash", "-c", "; ".join([*lines, 'exec "$@"']), "bash", *nobody]


def quote(path: Path) -> str:
    """A path as a word of the shell."""
    return shlex.quote(str(path))
