"""Where a model is served: asking a server what it serves, and using servers that run elsewhere."""

import asyncio
import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from prep.program import Failure
from prep.sanitize import keep_secret

log = logging.getLogger("prep")

NO_KEY = "EMPTY"


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

    def __init__(self, settings: dict[str, Any]):
        self._settings = settings
        self._found: list[Endpoint] = []
        self._missing: list[Endpoint] = []
        self._search: asyncio.Task | None = None

    async def endpoints(self) -> list[Endpoint]:
        """Those that answer, at least one; the others are looked for again while the run goes on.

        Raises Failure when none answers, or when at the first look one that answers will never do:
        it serves another model, or refuses the key.
        """
        name = self._settings["name"]
        if not self._found:
            key = self._key()
            if not self._settings["base_urls"]:
                raise Failure(f"{name}: base_urls is empty; name where the external server runs")
            self._missing = [Endpoint(url.rstrip("/"), key) for url in self._settings["base_urls"]]
            absent, wrong = await self._look()
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
        variable = self._settings["api_key_env"]
        key = os.environ.get(variable, "").strip() if variable else NO_KEY
        if not key:
            raise Failure(f"{self._settings['name']}: the variable {variable} of api_key_env is not set")
        if not (key.isascii() and key.isprintable()):
            raise Failure(f"{self._settings['name']}: the variable {variable} of api_key_env holds no key")
        return key

    async def _look(self) -> tuple[list[str], list[str]]:
        """Ask all that are missing; what is wrong with those still absent, and with those given up."""
        model, asked = self._settings["model"], self._missing
        seen = await asyncio.gather(*(asyncio.to_thread(_contact, each, model) for each in asked))
        pairs = list(zip(asked, seen, strict=True))
        self._found += [each for each, (trouble, _) in pairs if trouble is None]
        self._missing = [each for each, (trouble, final) in pairs if trouble and not final]
        absent = [trouble for trouble, final in seen if trouble and not final]
        return absent, [trouble for trouble, final in seen if trouble and final]

    async def _look_again(self) -> None:
        await asyncio.sleep(self.recheck)
        before = len(self._found)
        _, wrong = await self._look()
        for each in self._found[before:]:
            log.info("%s: goes on with %s too", self._settings["name"], each.base_url)
        for trouble in wrong:
            log.warning("%s: goes on without %s", self._settings["name"], trouble)


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


def _contact(endpoint: Endpoint, model: str) -> tuple[str | None, bool]:
    """What is wrong with a server (None: nothing), and whether no later look can mend it."""
    url = endpoint.base_url
    try:
        status, body = get(f"{url}/models", endpoint.api_key)
    except OSError as error:
        return f"{url}: {getattr(error, 'reason', error)}", False
    if status in (401, 403):
        return f"{url} refuses the key ({status}); see api_key_env", True
    if status != 200:
        return f"{url}/models: status {status}", False
    if not serves(model, body):
        return f"{url} does not serve {model}, but {names(body)}", True
    return None, False
