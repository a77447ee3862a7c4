"""A small Hugging Face hub on loopback, over a folder `<org>/<name>/<files>`, that can also misbehave.

It speaks what huggingface_hub does to read datasets: information on a revision, the tree page by page,
and files. Large ones are said to be in LFS and redirected, as the hub does, to a storage at another
origin, with a signature in the address. Every request is kept, so that tests can count.
"""

import fcntl
import hashlib
import http.server
import json
import os
import re
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from conftest import ROOT

from running import python_environment

SIGNATURE = "Signature=not-to-be-printed"
LARGE = (".parquet", ".jsonl")


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose "METHOD path" a pattern is found in."""

    pattern: str
    times: int = 1
    status: int | None = None
    """Answer with this status and these headers."""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Send so many bytes of the body, then drop the connection."""
    reset: bool = False
    """Drop it by a reset."""
    stall: threading.Event | None = None
    """Send so many bytes of the body (`cut`), set `stalled`, and wait for this."""
    stalled: threading.Event = field(default_factory=threading.Event)
    flip: bool = False
    """Send the right number of wrong bytes."""
    whole: bool = False
    """Leave the range alone and send all of the file."""
    body: bytes | None = None
    """Answer with this instead."""


@dataclass
class Request:
    """A request that came, and what went back."""

    method: str
    path: str
    range: str | None
    token: str | None
    at_storage: bool
    status: int = 0
    sent: int = 0
    """Bytes of body that were written, or are just being."""


class Hub:
    """The hub, while it is entered as a context."""

    def __init__(self, root: Path, page: int = 1000) -> None:
        self.root = root
        self.page = page
        self.tokens: set[str] = set()
        """The tokens that are valid; any other that is sent is refused."""
        self.private: set[str] = set()
        """Datasets that are not there for who has no valid token."""
        self.gated: dict[str, set[str]] = {}
        """Datasets whose files need a token of these."""
        self.branches = {"main"}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.lock = threading.Lock()

    def __enter__(self) -> "Hub":
        self.servers = [_Server(self, at_storage) for at_storage in (False, True)]
        self.endpoint, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def fault(self, pattern: str, **what: Any) -> Fault:
        """Let something go wrong, once unless `times` says otherwise."""
        self.faults.append(Fault(pattern, **what))
        return self.faults[-1]

    def seen(self, pattern: str) -> list[Request]:
        """The requests whose "METHOD path" a pattern is found in."""
        with self.lock:
            return [made for made in self.requests if re.search(pattern, f"{made.method} {made.path}")]

    def files(self, repo: str) -> dict[str, Path]:
        """The files of a dataset, by path in it."""
        folder = self.root / repo
        found = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix(): path for path in found}

    def commit(self, repo: str) -> str:
        """The one commit of a dataset, which its content decides."""
        names = [(path, sha256(file)) for path, file in self.files(repo).items()]
        return hashlib.sha1(json.dumps(names).encode()).hexdigest()


def sha256(file: Path) -> str:
    """The hex sha256 of a file."""
    return _digests(file, file.stat().st_mtime_ns)[0]


def blob_id(file: Path) -> str:
    """The id that git gives a file."""
    return _digests(file, file.stat().st_mtime_ns)[1]


@cache
def _digests(file: Path, _changed: int) -> tuple[str, str]:
    data = file.read_bytes()
    return hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def launch(folder: Path, program: str, *arguments: object, **more: str) -> subprocess.Popen:
    """Start a program of scripts/ in a folder, with an environment that leads nowhere else.

    It runs as it is, but that between its tries it waits only as long as a server asks it to.
    """
    hasty = "import runpy; from prep.hub import retry; retry.BACKOFF = lambda state: 0;"
    hasty += f"runpy.run_path({str(ROOT / 'scripts' / program)!r}, run_name='__main__')"
    command = [sys.executable, "-c", hasty, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment(folder, **more), text=True, **pipes)


def closed_port() -> int:
    """A port of 127.0.0.1 that nothing listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's environment, with nothing that leads the hub's client elsewhere and an empty home."""
    kept = {name: value for name, value in python_environment().items() if not _STEERS.match(name)}
    return kept | {"HOME": str(folder), "HF_HOME": str(folder / "hf_home"), "NO_PROXY": "127.0.0.1"} | more


_STEERS = re.compile(r"(?i)HF_|HUGGING|TRANSFORMERS_OFFLINE|XDG_CACHE|SSL_CERT|\w+_proxy$|no_proxy$")


def undisturbed(monkeypatch: Any, folder: Path) -> None:
    """The hub's client in this process, as if it were imported in `environment(folder)`."""
    from huggingface_hub import constants

    for name in filter(_STEERS.match, list(os.environ)):
        monkeypatch.delenv(name)
    for name in ("HOME", "HF_HOME", "NO_PROXY"):
        monkeypatch.setenv(name, environment(folder)[name])
    # The client reads these once, when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    _own_session()


@cache
def _own_session() -> None:
    """Replace the client's session, once: it takes proxies from the environment when it is made, and long."""
    from huggingface_hub.utils import _http

    _http.close_session()
    _http.get_session()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: Hub, at_storage: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.at_storage = at_storage

    def shutdown_request(self, request: socket.socket) -> None:
        """Close without the polite end first, so that a reset is one."""
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed or hang up are part of the tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """What was asked for is in `requests`."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server.hub
        kind, _, word = self.headers.get("Authorization", "").partition(" ")
        token = word if kind == "Bearer" else None
        asked = self.headers.get("Range")
        self.made = Request(self.command, unquote(self.path), asked, token, self.server.at_storage)
        with hub.lock:
            hub.requests.append(self.made)
            line = f"{self.command} {self.made.path}"
            fault = next((f for f in hub.faults if f.times and re.search(f.pattern, line)), None)
            if fault:
                fault.times -= 1
        self.fault = fault or Fault("")
        if self.fault.status:
            return self.say(self.fault.status, b'{"error": "as the test asks"}', **self.fault.headers)
        url = urlsplit(self.path)
        if self.server.at_storage:
            return self.storage(url.path)
        if token and token not in hub.tokens:
            return self.refuse(401, None, "Invalid credentials in Authorization header")
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/([^/]+))?", url.path):
            repo, revision = found.groups()
            return self.tell(repo) if self.has(repo, unquote(revision or "main")) else None
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?", url.path):
            repo, revision, folder = found.groups()
            if self.has(repo, unquote(revision)):
                return self.tree(repo, unquote(folder or ""), parse_qs(url.query))
            return None
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path):
            repo, revision, path = found.groups()
            if self.has(repo, unquote(revision)) and self.admits(repo):
                return self.resolve(repo, unquote(path))
            return None
        return self.say(404, b"<html>no such page</html>", **{"Content-Type": "text/html"})

    def has(self, repo: str, revision: str) -> bool:
        """Whether there is the dataset and the revision; if not, the client has been told."""
        hub = self.server.hub
        hidden = repo in hub.private and self.made.token not in hub.tokens
        if hidden or not (hub.root / repo).is_dir():
            # The hub does not tell who has no token what there is.
            self.refuse(404 if self.made.token else 401, "RepoNotFound", "Repository not found")
            return False
        if revision not in hub.branches and revision != hub.commit(repo):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return False
        return True

    def admits(self, repo: str) -> bool:
        """Whether files may be read; if not, the client has been told."""
        admitted = self.server.hub.gated.get(repo)
        if admitted is None or self.made.token in admitted:
            return True
        status = 403 if self.made.token else 401
        self.refuse(status, "GatedRepo", f"Access to dataset {repo} is restricted.")
        return False

    def tell(self, repo: str) -> None:
        commit = self.server.hub.commit(repo)
        self.say(200, json.dumps({"id": repo, "sha": commit, "siblings": []}).encode())

    def tree(self, repo: str, folder: str, query: dict[str, list[str]]) -> None:
        files = self.server.hub.files(repo)
        inside = {path: file for path, file in files.items() if not folder or path.startswith(f"{folder}/")}
        if not inside:
            return self.refuse(404, "EntryNotFound", f"{folder} does not exist on the revision")
        folders = {str(parent) for path in inside for parent in list(Path(path).parents)[:-1]} - {folder}
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]
        entries += [_entry(path, file) for path, file in inside.items()]
        if query.get("recursive", ["false"])[0].lower() != "true":
            entries = [entry for entry in entries if str(Path(entry["path"]).parent) == (folder or ".")]
        entries.sort(key=lambda entry: entry["path"])
        start = int(query.get("cursor", ["0"])[0])
        page, left = entries[start : start + self.server.hub.page], entries[start + self.server.hub.page :]
        headers = {}
        if left:
            rest = f"recursive={query['recursive'][0]}&cursor={start + len(page)}"
            headers["Link"] = f'<{self.server.hub.endpoint}{urlsplit(self.path).path}?{rest}>; rel="next"'
        return self.say(200, json.dumps(page).encode(), **headers)

    def resolve(self, repo: str, path: str) -> None:
        hub = self.server.hub
        file = hub.files(repo).get(path)
        headers = {"X-Repo-Commit": hub.commit(repo), "Accept-Ranges": "bytes"}
        if file is None:
            return self.refuse(404, "EntryNotFound", "Entry not found", **headers)
        if not path.endswith(LARGE):
            return self.send_file(file, ETag=f'"{blob_id(file)}"', **headers)
        place = f"{hub.storage}/lfs/{quote(f'{repo}/{path}')}?{SIGNATURE}"
        linked = {"X-Linked-Size": str(file.stat().st_size), "X-Linked-ETag": f'"{sha256(file)}"'}
        return self.say(302, b"", Location=place, **linked, **headers)

    def storage(self, path: str) -> None:
        """A large file; an address with a signature needs no token, and storage refuses both at once."""
        if self.made.token or SIGNATURE not in self.path:
            return self.say(400, b"")
        file = self.server.hub.root / unquote(path.removeprefix("/lfs/"))
        return self.send_file(file, ETag=f'"{sha256(file)}"')

    def send_file(self, file: Path, **headers: str) -> None:
        data = file.read_bytes()
        if self.fault.flip:
            data = bytes(byte ^ 1 for byte in data)
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.made.range or "")
        if not span or self.fault.whole:
            return self.say(200, data, **headers)
        first, last = span.groups()
        start = int(first) if first else max(len(data) - int(last), 0)
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= len(data):
            return self.say(416, b"", **{"Content-Range": f"bytes */{len(data)}"})
        where = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        return self.say(206, data[start:stop], **where, **headers)

    def refuse(self, status: int, code: str | None, message: str, **headers: str) -> None:
        if code:
            headers["X-Error-Code"] = code
        body = json.dumps({"error": message}).encode()
        self.say(status, body, **{"X-Error-Message": message}, **headers)

    def say(self, status: int, body: bytes, **headers: str) -> None:
        body = self.fault.body if self.fault.body is not None else body
        self.made.status = status
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        first = len(body) if self.fault.cut is None or status >= 300 else self.fault.cut
        self.write(body[:first])
        if self.fault.stall and status < 300:
            self.fault.stalled.set()
            self.fault.stall.wait(60)
            self.write(body[first:])
        elif first < len(body):
            self.drop()

    def write(self, data: bytes) -> None:
        # Counted first: the client may have the last byte, and a test may ask, before this thread goes on.
        self.made.sent += len(data)
        self.wfile.write(data)
        self.wfile.flush()

    def drop(self) -> None:
        """Hang up in the middle of a body."""
        self.close_connection = True
        if self.fault.reset:
            # A reset throws away what is still on its way, and tests count on its having come.
            while struct.unpack("i", fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4)))[0]:
                time.sleep(0.001)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _entry(path: str, file: Path) -> dict[str, Any]:
    """What the tree says of a file."""
    size = file.stat().st_size
    entry = {"type": "file", "oid": blob_id(file), "size": size, "path": path}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": sha256(file), "size": size, "pointerSize": 134}
    return entry
