"""A headless Chromium, driven through the DevTools protocol on a pipe: no port, no driver, no library.

    with Browser(folder) as browser:
        page = browser.open(file.as_uri(), width=1280)
        page.evaluate("document.title")

Where there is no Chromium, apt installs Debian's, as root.
https://chromedevtools.github.io/devtools-protocol/ lists methods and events. Messages on the pipe are JSON
that ends in a zero byte (--remote-debugging-pipe: file descriptor 3 is read, 4 written).
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
STOP_S = 30
FIRST_FREE = 10
"""Our ends of the pipes are from this number on, so that none is 3 or 4, which the browser's are."""
KEYS = {"/": ("/", 191), "Escape": (None, 27), "Tab": (None, 9), "Enter": ("\r", 13), " ": (" ", 32)}
"""The text and the Windows key code of the keys that tests press."""


class NoBrowser(Exception):
    """Chromium cannot be had here: the message says why."""


def find_program() -> str:
    """The browser's program; Debian's is installed where there is none. NoBrowser where it cannot be."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NoBrowser("no Chromium here: install it, or start this as root on Debian")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", NAMES[0]]):
        done = subprocess.run(["apt-get", *command], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoBrowser(f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}")
    return find_program()


class Browser:
    """The browser, from the beginning of its `with` block to its end; its profile is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number, self._held = folder, 0, b""

    def __enter__(self) -> "Browser":
        program = find_program()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for end in (*os.pipe(), *os.pipe())]
        its_input, self._to, self._from, its_output = ends

        def connect() -> None:
            os.dup2(its_input, 3)
            os.dup2(its_output, 4)

        # Its sandbox needs what containers do not allow; the pages are ours.
        flags = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--remote-debugging-pipe",
        )
        self._process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={self._folder}", "about:blank"],
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(its_input)
        os.close(its_output)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self.call("Browser.close")
        os.close(self._to)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._from)

    def call(
        self, method: str, session: str | None = None, events: list | None = None, **params: Any
    ) -> dict:
        """The result of a method; what happens meanwhile is appended to `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": session} if session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != self._number:
            if events is not None:
                events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def read(self) -> dict:
        """The next message."""
        while b"\0" not in self._held:
            data = os.read(self._from, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self._held += data
        message, _, self._held = self._held.partition(b"\0")
        return json.loads(message)

    def open(self, url: str, width: int = 1280, height: int = 900, scheme: str = "light") -> "Page":
        """A page in a tab of its own, once it has loaded; `scheme` is `light` or `dark`."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        is_phone = width < 600
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.call("Emulation.setEmulatedMedia", features=[feature])
        page.call("Page.navigate", url=url)
        page.wait_for("Page.loadEventFired")
        return page


class Page:
    """A page that is open."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.events: list[dict] = []

    def call(self, method: str, **params: Any) -> dict:
        """The result of a method."""
        return self._browser.call(method, self._session, self.events, **params)

    def wait_for(self, event: str) -> None:
        """Wait until an event has come."""
        while not any(each.get("method") == event for each in self.events):
            self.events.append(self._browser.read())

    def evaluate(self, expression: str) -> Any:
        """The value of an expression; one that is a promise is awaited."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key of KEYS and let go of it."""
        text, code = KEYS[key]
        about = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def errors(self) -> list[str]:
        """What the console shows in red so far: exceptions, errors, what the security policy blocked."""
        self.evaluate("new Promise(done => setTimeout(done))")
        found = []
        for event in self.events:
            about = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    found.append(json.dumps(about["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if about["type"] in ("error", "assert"):
                    found.append(json.dumps(about["args"]))
                case "Log.entryAdded" if about["entry"]["level"] == "error":
                    found.append(about["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """The addresses that the page asked for, without what it holds itself."""
        sent = [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith("data:")]

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))
