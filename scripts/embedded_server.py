#!/usr/bin/env python
"""OpenAI-compatible HTTP server of a small CPU model, a stand-in for the teachers and their judges.

It proves the plumbing and teaches nothing. Grammars hold a language model of 135 million parameters to the
teachers' forms; it reads pictures by OCR and cannot judge. The request decides the form of the answer: JSON
with `response_format`; Qwen3's with an empty think block where the last user turn ends in ` /no_think`;
GLM-4.1V-Thinking's with a picture; else Qwen3's. Every answer is short. The environment variable
VLLM_API_KEY holds the key that requests must carry.
"""

import argparse
import hmac
import json
import logging
import os
import signal
import socketserver
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from embedded.chat import ApiError, Chat
from embedded.model import CONTEXT_TOKENS, Model, describe_version
from embedded.reader import Reader
from prep.runtime.program import UserError, parser, run

log = logging.getLogger("embedded_server")

_MAX_BODY_BYTES = 256 * 2**20

Route = tuple[str, Callable[[bytes], dict[str, Any]]]
"""The method of a path, and the handler of its request bodies."""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Threading TCP server. It binds at once and listens from `activate` on."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), Handler, bind_and_activate=False)
        try:
            self.server_bind()
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot listen on {host}:{port}: {error}") from error

    def activate(self, key: str, routes: dict[str, Route]) -> None:
        """Listen and serve the routes; those under /v1/ require the key."""
        self.authorization = f"Bearer {key}".encode()
        self.routes = routes
        self.server_activate()

    def handle_error(self, *_: Any) -> None:
        """Log a broken connection: there is no client to answer."""
        log.info("a connection broke: %s", type(sys.exception()).__name__)


class Handler(BaseHTTPRequestHandler):
    """One connection: JSON in and out, errors in OpenAI's form, one log line per request."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "embedded"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = 600
    """Seconds that a client may be silent in the middle of a request, or between two."""

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_GET

    def _handle(self) -> None:
        began = time.monotonic()
        path = self.path.partition("?")[0]
        try:
            status, body = 200, self._answer(path)
        except ApiError as problem:
            status, body = problem.status, problem.body
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("a fault of this program")
            status, body = 500, ApiError(500, "a fault of the server; its log has more").body
        self._send(status, body)
        shown = path if path in self.server.routes else "(unknown path)"
        log.info("%s %s %d %.2f s", self.command, shown, status, time.monotonic() - began)

    def _answer(self, path: str) -> dict[str, Any]:
        content = self._body()
        if path.startswith("/v1/"):
            sent = self.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(sent, self.server.authorization):
                raise ApiError(401, "the API key is wrong or missing", code="invalid_api_key")
        if path not in self.server.routes:
            raise ApiError(404, "there is nothing at this path", code="not_found")
        method, answer = self.server.routes[path]
        if self.command != method:
            raise ApiError(405, f"this path takes {method}", code="method_not_allowed")
        return answer(content)

    def _body(self) -> bytes:
        """Read the request's body, even where it is not needed: the connection is used again."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise ApiError(411, "the body needs a Content-Length")
        if int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            raise ApiError(413, f"the body is larger than {_MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content, kind = json.dumps(body).encode(), "application/json"
        if body.get("object") == "chat.completion.chunk":
            content, kind = b"data: %s\n\ndata: [DONE]\n\n" % content, "text/event-stream"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class refuses (a malformed request, an unknown method) in the same form."""
        self.close_connection = True
        self.request_version = self.protocol_version  # the answer has a head, whatever the request's version
        self._send(code, ApiError(code, message or "the request is malformed").body)

    def log_message(self, *_: Any) -> None:
        """Drop the base class's lines: `_handle` logs."""


def build_routes(name: str, threads: int) -> dict[str, Route]:
    """Load the model; return the routes."""
    chat = Chat(name, Model(threads), Reader(threads))
    model = {"id": name, "object": "model", "created": int(time.time()), "owned_by": "embedded"}
    models = {"object": "list", "data": [model | {"max_model_len": CONTEXT_TOKENS}]}
    return {
        "/health": ("GET", lambda _: {"status": "ok"}),
        "/version": ("GET", lambda _: {"version": describe_version()}),
        "/v1/models": ("GET", lambda _: models),
        "/v1/chat/completions": ("POST", chat.complete),
    }


def parse_args() -> argparse.Namespace:
    flags = parser(__doc__)
    flags.add_argument("--model", required=True, help="the name that requests carry")
    flags.add_argument("--host", required=True, help="127.0.0.1: reached from this machine alone")
    flags.add_argument("--port", required=True, type=int)
    flags.add_argument("--threads", required=True, type=int, help="of the model; as many for pictures")
    return flags.parse_args()


def main() -> None:
    args = parse_args()
    key = os.environ.get("VLLM_API_KEY")
    if not key:
        raise UserError("VLLM_API_KEY is not set: it holds the key that requests must carry")
    if args.threads < 1:
        raise UserError(f"--threads {args.threads}: at least 1 is needed")
    # An orderly end would wait for the model to finish its answer. There is nothing to clean up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    server = Server(args.host, args.port)
    server.activate(key, build_routes(args.model, args.threads))
    log.info("%s answers as %s on http://%s:%d/v1", describe_version(), args.model, *server.server_address)
    server.serve_forever()


if __name__ == "__main__":
    run(main)
