"""Endpoints of OpenAI-compatible servers: health checks, and discovery of external servers."""

import asyncio
import http.client
import json
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from prep.runtime.program import UserError
from prep.runtime.sanitize import register_secret
from prep.serving.server_config import ServerConfig

log = logging.getLogger("prep")

NO_KEY = "EMPTY"
CHUNK_BYTES, MAX_JSON_BYTES = 1 << 16, 16 << 20
"""Of an answer to a GET: read at once, and at the most."""
BUSY_STATUSES = (408, 425, 429, 503, 504)
"""HTTP statuses of a server or gateway that may answer a little later."""


@dataclass(frozen=True)
class Endpoint:
    """The base URL of a chat-completion server, and its API key ("EMPTY" when it needs none)."""

    base_url: str
    api_key: str = field(default=NO_KEY, repr=False)

    def __post_init__(self) -> None:
        register_secret(self.api_key)


@dataclass(frozen=True)
class _Check:
    """The result of a health check: the error, or None where the server is healthy.

    `final`: no later check can succeed. `busy`: the server may answer a later check.
    """

    error: str | None = None
    final: bool = False
    busy: bool = False


class ExternalServers:
    """The external servers of `base_urls`."""

    recheck_s = 60.0  # between two checks of servers that did not answer
    timeout_s = 5.0  # of the first check; doubled at each further one

    def __init__(self, config: ServerConfig):
        self._config = config
        self._found: list[Endpoint] = []
        self._missing: list[Endpoint] = []
        self._search: asyncio.Task | None = None

    async def find_endpoints(self) -> list[Endpoint]:
        """Return the servers that answer, at least one. The others are checked again during the run.

        While no server answers, a busy one is waited for, up to `request_timeout` seconds. Raises UserError
        when none answers, or when the first check finds one that serves another model or refuses the key.
        """
        name = self._config.name
        if not self._found:
            key = self._read_key()
            if not self._config.base_urls:
                raise UserError(f"{name}: base_urls is empty; name where the external server runs")
            self._missing = [Endpoint(url.rstrip("/"), key) for url in self._config.base_urls]
            failed = await self._check_first()
            if wrong := [check.error for check in failed if check.final]:
                raise UserError(f"{name}: {'; '.join(wrong)}")
            if not self._found:
                absent = "; ".join(check.error for check in failed)
                raise UserError(f"{name}: no server answers ({absent}); start one or mend base_urls")
            for check in failed:
                log.warning("%s: goes on without %s", name, check.error)
        elif self._missing and (self._search is None or self._search.done()):
            self._search = asyncio.create_task(self._recheck_missing())
        return list(self._found)

    def close(self) -> None:
        """Stop checking the servers that did not answer."""
        if self._search is not None:
            self._search.cancel()

    def _read_key(self) -> str:
        variable = self._config.api_key_env
        key = os.environ.get(variable, "").strip() if variable else NO_KEY
        if not key:
            raise UserError(f"{self._config.name}: the variable {variable} of api_key_env is not set")
        if not (key.isascii() and key.isprintable()):
            raise UserError(f"{self._config.name}: the variable {variable} of api_key_env holds no key")
        return key

    async def _check_first(self) -> list[_Check]:
        """Check all, again while none answers but one is busy; return the failures of the last time."""
        now = asyncio.get_running_loop().time
        deadline, timeout = now() + self._config.request_timeout, self.timeout_s
        while True:
            failed = await self._check_missing(min(timeout, max(deadline - now(), self.timeout_s)))
            left = deadline - now()
            final, busy = any(check.final for check in failed), any(check.busy for check in failed)
            if self._found or final or not busy or left <= 0:
                return failed
            absent = "; ".join(check.error for check in failed)
            log.info("%s: waits up to %.0f s for a busy server (%s)", self._config.name, left, absent)
            await asyncio.sleep(min(timeout / 5, left))
            timeout *= 2

    async def _check_missing(self, timeout: float) -> list[_Check]:
        """Check the missing ones, give up those that no later check can find; return the failures."""
        model, asked = self._config.model, self._missing
        checks = await asyncio.gather(*(_check_endpoint(each, model, timeout) for each in asked))
        pairs = list(zip(asked, checks, strict=True))
        self._found += [each for each, check in pairs if check.error is None]
        self._missing = [each for each, check in pairs if check.error and not check.final]
        return [check for check in checks if check.error]

    async def _recheck_missing(self) -> None:
        await asyncio.sleep(self.recheck_s)
        before = len(self._found)
        failed = await self._check_missing(self._config.request_timeout)
        for each in self._found[before:]:
            log.info("%s: goes on with %s too", self._config.name, each.base_url)
        for check in failed:
            if check.final:
                log.warning("%s: goes on without %s", self._config.name, check.error)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as urllib does, which reads their bodies to the end; here they are left unread."""

    def redirect_request(self, request: Any, response: Any, *about: Any) -> urllib.request.Request | None:
        response.close()
        return super().redirect_request(request, response, *about)


def get_json(url: str, key: str = "", timeout: float = 5.0) -> tuple[int, Any]:
    """GET `url`; return the status, and the body if it is JSON, else None.

    A redirect does not get the key. Requests to the loopback bypass proxies. Raises OSError without an
    answer, for one that takes longer than `timeout` seconds, or has more than MAX_JSON_BYTES.
    """
    request = urllib.request.Request(url)
    if key:
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    handlers = [_Redirects, *([urllib.request.ProxyHandler({})] if is_loopback(url) else [])]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
            status, body = response.status, _read_body(response, timeout)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None
    except (http.client.HTTPException, ValueError) as error:  # ValueError: it redirects to no URL
        raise OSError(f"no HTTP answer: {error!r}") from error
    try:
        return status, json.loads(body)
    except (ValueError, RecursionError):
        return status, None


def _read_body(response: http.client.HTTPResponse, timeout: float) -> bytes:
    deadline, body = time.monotonic() + timeout, bytearray()
    while piece := response.read1(CHUNK_BYTES):
        body += piece
        if len(body) > MAX_JSON_BYTES:
            raise OSError(f"an answer of more than {MAX_JSON_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no whole answer in {timeout:g} s")
    return bytes(body)


async def fetch_json(url: str, key: str = "", timeout: float = 5.0) -> tuple[int, Any]:
    """Run `get_json` in a daemon thread. The event loop can end without waiting for it."""
    found: Future[tuple[int, Any]] = Future()
    found.set_running_or_notify_cancel()  # the thread sets it, though nobody waits any more

    def work() -> None:
        try:
            found.set_result(get_json(url, key, timeout))
        except Exception as error:
            found.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(found)


def list_models(body: Any) -> list[dict[str, Any]]:
    """List the models in a /v1/models response, each with an `id`; empty for any other body."""
    entries = body.get("data") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def describe_models(body: Any) -> str:
    """Return the names of the models in a /v1/models response, in words."""
    return ", ".join(entry["id"] for entry in list_models(body)) or "no model"


def serves_model(model: str, body: Any) -> bool:
    """Whether a /v1/models response names the model."""
    return any(entry["id"] == model for entry in list_models(body))


def is_loopback(url: str) -> bool:
    """Whether a URL's host is a loopback name or address."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


async def _check_endpoint(endpoint: Endpoint, model: str, timeout: float) -> _Check:
    """Check that a server answers, accepts the key, and serves the model."""
    url = endpoint.base_url
    try:
        status, body = await fetch_json(f"{url}/models", endpoint.api_key, timeout)
    except OSError as error:
        reason = getattr(error, "reason", error)
        return _Check(f"{url}: {reason}", busy=isinstance(reason, TimeoutError))
    if status in (401, 403):
        return _Check(f"{url} refuses the key ({status}); see api_key_env", final=True)
    if status != 200:
        return _Check(f"{url}/models: status {status}", busy=status in BUSY_STATUSES)
    if not serves_model(model, body):
        return _Check(f"{url} does not serve {model}, but {describe_models(body)}", final=True)
    return _Check()
