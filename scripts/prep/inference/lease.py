"""Lease of a batch: one job at a time asks about it, on whichever node of a shared file system.

When a run dies and its jobs go on, the next run submits the same batches again. The new job waits until the
lease of the first one is released or has expired, and then finds the answers in the journal.

A lease is a file `{name}.{term}.lease`; the highest term counts. A job takes the lease by creating the file
of the next term with O_EXCL: one job alone succeeds, on NFS too (version 3 and later). It renews the lease
by touching the file. There are no locks, and the nodes' clocks are never compared: a job that waits measures
by its own clock how long the file stays unchanged.
"""

import contextlib
import json
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prep.runtime.process_group import identify_machine, identify_process

log = logging.getLogger("prep")

RENEW_INTERVAL_S = 10.0
EXPIRY_S = 120.0
"""Several renewals, and more than the 60 s for which NFS caches attributes (nfs(5), acregmax)."""
POLL_INTERVAL_S = 2.0
RELEASED = "released"


class Term(NamedTuple):
    """A lease as it was seen: its number, its file, the owner as JSON, and when it was renewed."""

    number: int
    file: Path
    owner: str
    renewed: int  # nanoseconds of the file server's clock


@contextlib.contextmanager
def hold_lease(folder: Path, name: str) -> Iterator[None]:
    """Hold the lease `name` in `folder` during the block; wait while another job holds it.

    If this job could not renew the lease for EXPIRY_S and another one took it, this program gets SIGTERM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = _acquire(folder, name)
    released = threading.Event()
    renewal = threading.Thread(target=_renew, args=(folder, name, own, released), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        released.set()
        renewal.join()
        _release(name, own)


def _release(name: str, own: Path) -> None:
    """Overwrite the owner in place: on a full disk the lease stays one of a job that ended, so is free."""
    try:
        with own.open("r+", encoding="utf-8") as file:
            file.write(RELEASED)
            file.truncate()
    except FileNotFoundError:
        pass  # another job took the lease
    except OSError as error:
        log.warning("%s: the lease was not released: %s", name, error)


def _acquire(folder: Path, name: str) -> Path:
    """Wait until the lease is free or has expired, take it, and return its file."""
    owner = json.dumps({"machine": identify_machine(), "process": identify_process(os.getpid())})
    last, since = None, 0.0
    while True:
        terms = _read_terms(folder, name)
        current = terms[-1] if terms else None
        if current != last:
            if current and last is None and not _is_free(current):
                log.info(
                    "%s: another job works on this batch (%s); waiting until it ends, or is silent for %d s",
                    name,
                    current.owner or current.file,
                    EXPIRY_S,
                )
            last, since = current, time.monotonic()
        if current is None or _is_free(current) or time.monotonic() - since > EXPIRY_S:
            own = folder / f"{name}.{current.number + 1 if current else 1}.lease"
            with contextlib.suppress(FileExistsError):
                _create(own, owner)
                # A later term may have come and its forerunner, of our number, gone since we looked.
                if _read_terms(folder, name)[-1].file == own:
                    for earlier in terms:
                        earlier.file.unlink(missing_ok=True)
                    return own
                own.unlink(missing_ok=True)
        else:
            time.sleep(POLL_INTERVAL_S)


def _create(own: Path, owner: str) -> None:
    """Make the file of a lease; FileExistsError where another job did. None stays that is not whole."""
    with own.open("x", encoding="utf-8") as file:
        try:
            file.write(owner)
            file.flush()
        except OSError:  # a full disk
            own.unlink(missing_ok=True)
            raise


def _renew(folder: Path, name: str, own: Path, released: threading.Event) -> None:
    """Touch the lease until it is released; end this program when another job has taken it."""
    while not released.wait(RENEW_INTERVAL_S):
        try:
            os.utime(own)
            is_lost = _read_terms(folder, name)[-1].file != own
        except FileNotFoundError:
            is_lost = True
        except OSError as error:  # a file server may be away for a while
            log.warning("%s: the lease was not renewed: %s", name, error)
            continue
        if is_lost and not released.is_set():
            log.error(
                "error: %s: another job took this batch, since this one was silent for %d s; it ends",
                name,
                EXPIRY_S,
            )
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _read_terms(folder: Path, name: str) -> list[Term]:
    """The terms of a lease, the one that counts last."""
    terms = []
    for file in folder.glob(f"{name}.*.lease"):
        if not re.fullmatch(rf"{re.escape(name)}\.\d+\.lease", file.name):
            continue  # of a job whose name begins with this one's, such as a further teacher's
        # Opened, not looked up: NFS asks the file server anew for a file that is opened.
        with contextlib.suppress(FileNotFoundError), file.open(encoding="utf-8") as opened:
            renewed = os.fstat(opened.fileno()).st_mtime_ns
            terms.append(Term(int(file.suffixes[-2][1:]), file, opened.read(), renewed))
    return sorted(terms)


def _is_free(term: Term) -> bool:
    """Whether the owner released the lease, or was a process of this machine that is gone.

    Where there is no /proc, only its silence tells that it is gone.
    """
    if term.owner == RELEASED:
        return True
    try:
        owner = json.loads(term.owner)
    except ValueError:
        return False  # its owner is writing it
    machine, process = owner["machine"], owner["process"]
    if process is None or machine != identify_machine():
        return False
    return identify_process(int(process.partition(":")[0])) != process
