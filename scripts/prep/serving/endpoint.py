"""Where a model is served: asking a server what it serves, and using servers that run elsewhere."""

import asyncio
import contextlib
import http.client
import json
import logging
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from prep.runtime.program import Failure
from prep.runtime.sanitize import keep_secret
from prep.serving.server_config import ServerConfig

log = logging.getLogger("prep")

NO_KEY = "EMPTY"
BUSY = (408, 425, 429, 503, 504)
"""Statuses of a server, or of a gateway before it, that may answer a little later."""


@dataclass(frozen=True)
class Endpoint:
    """Where chat completions are served, and the key to show there ("EMPTY" when none is asked for)."""

    base_url: str
    api_key: str = field(default=NO_KEY, repr=False)

    def __post_init__(self) -> None:
        keep_secret(self.api_key)


class External:
    """Servers that run elsewhere, as `base_urls` names them."""

    recheck = 60.0  # seconds between two looks at servers that did not answer
    patience = 5.0  # seconds that a server has to answer the first look; twice as long at each further one

    def __init__(self, config: ServerConfig):
        self._config = config
        self._found: list[Endpoint] = []
        self._missing: list[Endpoint] = []
        self._busy = False  # whether one that did not answer may yet
        self._search: asyncio.Task | None = None

    async def endpoints(self) -> list[Endpoint]:
        """Those that answer, at least one; the others are looked for again while the run goes on.

        A busy server may take long to say what it serves: as long as no other answers, it is waited for, up
        to `request_timeout` seconds. Raises Failure when none answers, or when at the first look one that
        answers will never do: it serves another model, or refuses the key.
        """
        name = self._config.name
        if not self._found:
            key = self._key()
            if not self._config.base_urls:
                raise Failure(f"{name}: base_urls is empty; name where the external server runs")
            self._missing = [Endpoint(url.rstrip("/"), key) for url in self._config.base_urls]
            absent, wrong = await self._look_first()
            if wrong:
                raise Failure(f"{name}: {'; '.join(wrong)}")
            if not self._found:
                raise Failure(f"{name}: no server answers ({'; '.join(absent)}); start one or mend base_urls")
            for trouble in absent:
                log.warning("%s: goes on without %s", name, trouble)
        elif self._missing and (self._search is None or self._search.done()):
            self._search = asyncio.create_task(self._look_again())
        return list(self._found)

    def close(self) -> None:
        """Stop looking for those that did not answer."""
        if self._search is not None:
            self._search.cancel()

    def _key(self) -> str:
        variable = self._config.api_key_env
        key = os.environ.get(variable, "").strip() if variable else NO_KEY
        if not key:
            raise Failure(f"{self._config.name}: the variable {variable} of api_key_env is not set")
        if not (key.isascii() and key.isprintable()):
            raise Failure(f"{self._config.name}: the variable {variable} of api_key_env holds no key")
        return key

    async def _look_first(self) -> tuple[list[str], list[str]]:
        """Ask all, and again while none answers but one is busy; what `_look` tells in the end."""
        now = asyncio.get_running_loop().time
        deadline, timeout = now() + self._config.request_timeout, self.patience
        while True:
            absent, wrong = await self._look(min(timeout, max(deadline - now(), self.patience)))
            left = deadline - now()
            if self._found or wrong or not self._busy or left <= 0:
                return absent, wrong
            name = self._config.name
            log.info("%s: waits up to %.0f s for a busy server (%s)", name, left, "; ".join(absent))
            await asyncio.sleep(min(timeout / 5, left))
            timeout *= 2

    async def _look(self, timeout: float) -> tuple[list[str], list[str]]:
        """Ask all that are missing; what is wrong with those still absent, and with those given up."""
        model, asked = self._config.model, self._missing
        looks = await asyncio.gather(*(_contact(each, model, timeout) for each in asked))
        pairs = list(zip(asked, looks, strict=True))
        self._found += [each for each, look in pairs if look.trouble is None]
        self._missing = [each for each, look in pairs if look.trouble and not look.final]
        self._busy = any(look.busy for look in looks)
        absent = [look.trouble for look in looks if look.trouble and not look.final]
        return absent, [look.trouble for look in looks if look.trouble and look.final]

    async def _look_again(self) -> None:
        await asyncio.sleep(self.recheck)
        before = len(self._found)
        _, wrong = await self._look(self._config.request_timeout)
        for each in self._found[before:]:
            log.info("%s: goes on with %s too", self._config.name, each.base_url)
        for trouble in wrong:
            log.warning("%s: goes on without %s", self._config.name, trouble)


def get(url: str, key: str = "", timeout: float = 5.0) -> tuple[int, Any]:
    """GET `url`: the status, and the body if it is JSON, else None. OSError when there is no answer.

    The key is not carried along to where a redirect leads; the loopback is not looked for in a proxy.
    """
    request = urllib.request.Request(url)
    if key:
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    proxies = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=timeout) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    try:
        return status, json.loads(body)
    except (ValueError, RecursionError):
        return status, None


async def fetch(url: str, key: str = "", timeout: float = 5.0) -> tuple[int, Any]:
    """What `get` gives, from a thread of its own: a loop that ends does not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[int, Any]] = loop.create_future()

    def settle(found: tuple[int, Any] | Exception) -> None:
        if not future.done():
            (future.set_exception if isinstance(found, Exception) else future.set_result)(found)

    def work() -> None:
        try:
            found = get(url, key, timeout)
        except Exception as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=work, daemon=True).start()
    return await future


def models(body: Any) -> list[dict[str, Any]]:
    """The models in an answer of /v1/models, each with an `id`; none when it is no such answer."""
    entries = body.get("data") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def names(body: Any) -> str:
    """The names of the models in an answer of /v1/models, in words."""
    return ", ".join(entry["id"] for entry in models(body)) or "no model"


def serves(model: str, body: Any) -> bool:
    """Whether an answer of /v1/models names the model."""
    return any(entry["id"] == model for entry in models(body))


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, by its loopback name or address."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


@dataclass(frozen=True)
class _Look:
    """What a look at a server showed. `trouble`: what is wrong with it; None: nothing.

    `final`: no later look can mend it. `busy`: it is there, or may be, and may answer a later look.
    """

    trouble: str | None = None
    final: bool = False
    busy: bool = False


async def _contact(endpoint: Endpoint, model: str, timeout: float) -> _Look:
    """Ask a server what it serves."""
    url = endpoint.base_url
    try:
        status, body = await fetch(f"{url}/models", endpoint.api_key, timeout)
    except OSError as error:
        reason = getattr(error, "reason", error)
        return _Look(f"{url}: {reason}", busy=isinstance(reason, TimeoutError))
    if status in (401, 403):
        return _Look(f"{url} refuses the key ({status}); see api_key_env", final=True)
    if status != 200:
        return _Look(f"{url}/models: status {status}", busy=status in BUSY)
    if not serves(model, body):
        return _Look(f"{url} does not serve {model}, but {names(body)}", final=True)
    return _Look()
