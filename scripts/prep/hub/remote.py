"""Hub client with resumable downloads, over the session, token, proxies and errors of huggingface_hub.

The requests are those of its `repo_info`, `list_repo_tree` and `hf_hub_download`. These functions themselves
do not suit a terabyte (seen in huggingface_hub 2.4): the listing has no time limit when the hub goes silent,
the download of a file starts again when its process was killed, each has a retry policy of its own, and
shards may end up in a cache in the home folder.

`HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_DOWNLOAD_TIMEOUT` are honoured; a token is never stored or printed.
"""

import contextlib
import fcntl
import glob
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from huggingface_hub import constants, errors, get_token
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from prep.hub import retry
from prep.hub.listing import HubFile, find_folder, is_path_within, matches_any
from prep.hub.remote_file import RemotePath
from prep.hub.retry import Result, describe_error, explain_error
from prep.runtime.program import UserError
from prep.runtime.sanitize import register_secret, register_url_password
from prep.storage import atomic

log = logging.getLogger(__name__)

# To name itself in its headers, the client asks the public hub for a list, whatever endpoint is set.
constants.HF_HUB_DISABLE_TELEMETRY = True
# At INFO every address is logged, those of storage with their signatures.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Remote:
    """A dataset on the hub (or on what `endpoint` or HF_ENDPOINT names).

    With `keep`, what was downloaded keeps a second, hidden name: a job that runs once more, before which
    Snakemake deletes the first one, finds the bytes there, checks them, and downloads nothing.
    """

    def __init__(
        self,
        endpoint: str | None,
        repo: str,
        pause: retry.Pause = retry.choose_pause,
        keep: bool = False,
    ) -> None:
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self.repo = repo
        self.pause = pause
        self.keep = keep
        register_secret(get_token())
        register_url_password(self.endpoint)
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                "hub.endpoint (or HF_ENDPOINT) must be an address such as https://hub.example.org"
            )
        # Without the user's name and password, where the address holds them.
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def commit(self, revision: str) -> str:
        """The 40 hex digits of the commit that a revision names; one that is such already is taken as is."""
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        with self._explained(revision):
            url = f"{self._api}/revision/{quote(revision, safe='')}"
            return self._answer(url, parse_commit)[0]

    def files(self, commit: str, patterns: list[str]) -> list[HubFile]:
        folder = find_folder(patterns)
        url = f"{self._api}/tree/{commit}{'/' if folder else ''}{quote(folder, safe='')}?recursive=true"
        found, asked = [], set()
        with self._explained(folder or "its files"):
            while url:
                if url in asked:
                    raise UserError(
                        f"{self.shown} lists its files in a circle; check hub.endpoint or HF_ENDPOINT"
                    )
                asked.add(url)
                page, url = self._answer(url, parse_files)
                found += [file for file in page if matches_any(file.path, patterns)]
        return sorted(found, key=lambda file: file.path)

    def sha256(self, commit: str, file: HubFile) -> str:
        # The hub keeps small files in git, and lists a sha256 of its large ones only.
        return hashlib.sha256(self.tail(commit, file, file.bytes)).hexdigest()

    def tail(self, commit: str, file: HubFile, length: int) -> bytes:
        start = max(file.bytes - length, 0)
        with self._explained(file.path):
            return retry.call_with_retries(lambda: b"".join(self._bytes(commit, file, start)), self.pause)

    def locate(self, commit: str, file: HubFile, most: int) -> RemotePath:
        def read(start: int, stop: int) -> bytes:
            with self._explained(file.path):
                ask = partial(self._bytes, commit, file, start, stop)
                return retry.call_with_retries(lambda: b"".join(ask()), self.pause)

        return RemotePath(file.path, file.bytes, read, most)

    def fetch(self, commit: str, file: HubFile, to: Path) -> None:
        """Download the file to `to`, and check its size and sha256.

        What has come is kept beside `to`, under a name that holds the sha256, until the file is whole: a
        download that was cut, or whose process was killed, goes on from there. One process at a time: of a
        run whose head was killed on a cluster, a job may still download what the next run asks for.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f".{to.name}.{file.sha256[:16]}.part")
        with _lock(part):
            self._fetch(commit, file, part, to)

    def _fetch(self, commit: str, file: HubFile, part: Path, to: Path) -> None:
        goes_on = part.stat().st_size > 0
        found = self._completed(commit, file, part)
        if found != file.sha256 and goes_on:
            log.warning("%s: what an earlier run left of it is broken; downloading it anew", file.path)
            os.truncate(part, 0)
            found = self._completed(commit, file, part)
        if found != file.sha256:
            part.unlink()
            line = f"sha256 is {found}, the hub lists {file.sha256}; run again"
            raise UserError(f"{self._where(file.path)}: {line}")
        with part.open("rb+") as whole:
            os.fsync(whole.fileno())
        # Left by a download that was given up, and its file replaced at the hub since.
        for old in to.parent.glob(f".{glob.escape(to.name)}.*.part"):
            if old != part:
                old.unlink(missing_ok=True)
        if self.keep:
            with contextlib.suppress(OSError):  # a file system may have no second names
                to.unlink(missing_ok=True)
                to.hardlink_to(part)
                return
        part.replace(to)

    @property
    def _api(self) -> str:
        return f"{self.endpoint}/api/datasets/{self.repo}"

    def _where(self, what: str) -> str:
        return f"{self.repo} ({what}) at {self.shown}"

    def _completed(self, commit: str, file: HubFile, part: Path) -> str:
        """The sha256 of a part once all its bytes are there."""
        with self._explained(file.path):
            while part.stat().st_size < file.bytes:
                retry.call_with_retries(lambda: self._append(commit, file, part), self.pause)
        return atomic.sha256(part)

    def _append(self, commit: str, file: HubFile, part: Path) -> None:
        """Append to a part what one request brings; an error when that is nothing."""
        with part.open("ab") as out:
            start = out.tell()
            try:
                for chunk in self._bytes(commit, file, start):
                    out.write(chunk)
            except errors.HTTPError as error:
                if out.tell() == start:
                    raise
                where = f"{file.path}: cut at {out.tell()} of {file.bytes} bytes"
                log.info("%s: %s", where, describe_error(error))
            if out.tell() == start:
                raise ConnectionError(f"an empty answer where {file.bytes - start} bytes were asked for")

    def _bytes(self, commit: str, file: HubFile, start: int, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of a file from `start` to before `stop` (None: its end), in pieces as they come."""
        stop = file.bytes if stop is None else stop
        if start >= stop:
            return
        url = f"{self.endpoint}/datasets/{self.repo}/resolve/{commit}/{quote(file.path)}"
        with self._get(url, {"Range": f"bytes={start}-{'' if stop == file.bytes else stop - 1}"}) as response:
            # A server may leave ranges alone and send the file from its beginning.
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            place, size = map(int, span.groups()) if span else (0, response.headers.get("Content-Length"))
            if size is not None and int(size) != file.bytes:
                line = f"it has {size} bytes, and had {file.bytes} when listed; delete its listing, run again"
                raise UserError(f"{self._where(file.path)}: {line}")
            for chunk in response.iter_bytes():
                yield chunk[max(start - place, 0) : max(stop - place, 0)]
                place += len(chunk)
                if place >= stop:
                    return

    def _answer(self, url: str, read: Callable[[Any], Result]) -> tuple[Result, str | None]:
        """What `read` finds in the hub's JSON, and the address of the next page."""

        def ask() -> tuple[Result, str | None]:
            with self._get(url) as response:
                response.read()
            try:
                return read(response.json()), response.links.get("next", {}).get("url")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                line = "answers, but not as a hub does; check hub.endpoint or HF_ENDPOINT"
                raise UserError(f"{self.shown} {line}") from error

        return retry.call_with_retries(ask, self.pause)

    @contextlib.contextmanager
    def _get(self, url: str, headers: dict[str, str] | None = None) -> Iterator:
        """A response whose body is still to be read; the session drops the token when it leaves the hub."""
        # A compressed body has no ranges, and no length to check.
        headers = build_hf_headers(headers={"Accept-Encoding": "identity"} | (headers or {}))
        limit = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream("GET", url, headers=headers, timeout=limit) as response:
            _raise_for_status(response)
            yield response

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn what goes wrong into the one line that says what to do."""
        try:
            yield
        except (errors.HTTPError, ConnectionError) as error:
            raise UserError(f"{self._where(what)} {explain_error(error)}") from error


@contextlib.contextmanager
def _lock(part: Path) -> Iterator[None]:
    """Hold the lock of a part, which is made where it is missing; wait while another process holds it."""
    while True:
        with part.open("ab") as file:
            with contextlib.suppress(OSError):  # a file system may have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                is_there = os.path.samestat(os.fstat(file.fileno()), part.stat())
            except FileNotFoundError:  # who held the lock renamed or removed the part
                is_there = False
            if is_there:
                yield
                return


def _raise_for_status(response: Any) -> None:
    """Raise the error of a status, also where its body is not the object that huggingface_hub reads."""
    try:
        hf_raise_for_status(response)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise errors.HfHubHTTPError(response.reason_phrase, response=response) from error


def parse_commit(info: dict) -> str:
    """The commit that the hub names. Raises ValueError where it is none."""
    if not re.fullmatch(r"[0-9a-f]{40}", info["sha"]):
        raise ValueError(f"no commit: {info['sha']!a:.100}")
    return info["sha"]


def parse_files(page: list[dict]) -> list[HubFile]:
    """The files of a page of the hub's tree; those in LFS have their sha256 there.

    Raises UserError for a path that leads out of the folder that files are put into, and ValueError,
    TypeError, KeyError or AttributeError for what is no page of a tree.
    """
    return [_parse_file(item) for item in page if item["type"] == "file"]


def _parse_file(item: dict) -> HubFile:
    path, size = item["path"], item["size"]
    sha256 = item["lfs"]["oid"] if item.get("lfs") else None
    if not isinstance(path, str) or not is_path_within(path):
        line = "which is no path within a repository; check hub.endpoint or HF_ENDPOINT"
        raise UserError(f"the hub lists a file {path!a:.200}, {line}")
    if (
        type(size) is not int
        or size < 0
        or (sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256))
    ):
        raise ValueError(f"neither bytes nor a sha256: {item!a:.200}")
    return HubFile(path, size, sha256)
