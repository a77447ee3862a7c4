"""A tiny stand-in for `vllm serve` that can do what real servers do when things go wrong.

It takes vLLM's flags, and after them, from `args`, how it shall behave. Each start appends a line with
its process id to `--pids`, so that a test can count starts and find the processes. Imported, this module
has what the tests that run it share.
"""

import argparse
import contextlib
import http.server
import json
import os
import signal
import sys
import time
from pathlib import Path


def starts(folder: Path) -> list[int]:
    """The process ids of all starts of the stand-in, in order."""
    file = folder / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def processes(word: str | Path) -> dict[int, str]:
    """All living processes whose command line holds a word, this one left out."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(word) in line:
                    found[int(entry.name)] = line
    return found


def until(condition, seconds: float = 10.0):
    """The condition's value as soon as it is true; fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return value


def parse_args() -> argparse.Namespace:
    flags = argparse.ArgumentParser(allow_abbrev=False)
    flags.add_argument("model")
    flags.add_argument("--host", required=True)
    flags.add_argument("--port", required=True, type=int)
    flags.add_argument("--served-model-name", required=True)
    flags.add_argument("--max-model-len", type=int)
    flags.add_argument("--pids", required=True, help="file to append the process id to")
    flags.add_argument("--keys", help="file to append the key to")
    flags.add_argument("--die", type=int, help="end with this exit code, before listening")
    flags.add_argument("--die-on", help="end with exit code 3 when these are its devices")
    flags.add_argument("--sick", action="store_true", help="/health is 503 for ever")
    flags.add_argument("--misnamed", action="store_true", help="name another model")
    flags.add_argument("--open", action="store_true", help="ask for no key")
    flags.add_argument("--stubborn", action="store_true", help="ignore SIGTERM, as does a child of it")
    flags.add_argument("--bare", action="store_true", help="have neither /health nor /version")
    flags.add_argument("--thinking", default="content", help="content, reasoning, reasoning_content or none")
    flags.add_argument("--schema", default="obeyed", help="obeyed, ignored, refused or cut")
    flags.add_argument("--blind", action="store_true", help="refuse pictures")
    flags.add_argument("--no-block", action="store_true", help="/no_think leaves no think block")
    flags.add_argument("--refuse-key", help="refuse requests whose body has this key")
    flags.add_argument("--refuse-chat", type=int, help="answer every chat request with this status")
    return flags.parse_args()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health" and not args.bare:
            self.answer(503 if args.sick else 200, {})
        elif self.path == "/version" and not args.bare:
            self.answer(200, {"version": "0.0.1"})
        elif self.path == "/v1/models" and self.allowed():
            name = "another-model" if args.misnamed else args.served_model_name
            self.answer(200, {"object": "list", "data": [{"id": name, "max_model_len": args.max_model_len}]})
        else:
            self.answer(401 if self.path.startswith("/v1") else 404, {})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            self.answer(401, {"error": {"message": "wrong key"}})
        elif args.refuse_chat:
            self.answer(args.refuse_chat, {"error": {"message": "the chat template is broken"}})
        else:
            self.answer(*chat(request))

    def allowed(self):
        return args.open or self.headers["Authorization"] == f"Bearer {key}"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def chat(request):
    """The status and body of a chat completion."""
    content = request["messages"][-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if args.blind and any(part["type"] == "image_url" for part in parts):
        return 500, {"error": {"message": "this model has no eyes"}}
    text = " ".join(part["text"] for part in parts if part["type"] == "text")
    if args.refuse_key in request:
        return 400, {"error": {"message": f"unknown parameter {args.refuse_key}"}}
    finish = "stop"
    if "response_format" in request and args.schema != "ignored":
        message = {"content": '{"verdict": "pass", "score": 5, "reason": "it is"}'}
        if args.schema == "refused":
            return 400, {"error": {"message": "response_format is not supported"}}
        if args.schema == "cut":
            message, finish = {"content": '{"verdict": "fail", "reason": "aaaaaaaa'}, "length"
    elif text.endswith("/no_think"):
        in_content = args.thinking == "content" and not args.no_block
        message = {"content": ("<think>\n\n</think>\n\n" if in_content else "") + "Five."}
    elif args.thinking == "content":
        message = {"content": "<think>2 and 3</think><answer><|begin_of_box|>5<|end_of_box|></answer>"}
    elif args.thinking == "none":
        message = {"content": "Five."}
    else:
        message = {"content": "Five.", args.thinking: "2 and 3"}
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": args.served_model_name,
        "choices": [choice],
        "usage": usage,
    }


def main():
    if args.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            while True:
                time.sleep(60)
    with open(args.pids, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    if args.keys:
        with open(args.keys, "a", encoding="utf-8") as file:
            file.write(f"{key}\n")
    print('INFO: 127.0.0.1:9 - "GET /health HTTP/1.1" 200 OK', file=sys.stderr)
    print(f"devices {os.environ.get('CUDA_VISIBLE_DEVICES')}", file=sys.stderr)
    print(f"cache {os.environ.get('VLLM_CACHE_ROOT')}", file=sys.stderr)
    if args.die_on is not None and args.die_on == os.environ.get("CUDA_VISIBLE_DEVICES"):
        args.die = 3
    if args.die is not None:
        print("(Worker pid=7) ERROR [worker.py:83] ValueError: too little memory", file=sys.stderr)
        print("\n".join(f"  at line {number}" for number in range(20)), file=sys.stderr)
        print("RuntimeError: see above\nthe model folder is corrupt", file=sys.stderr)
        sys.exit(args.die)
    http.server.ThreadingHTTPServer((args.host, args.port), Handler).serve_forever()


if __name__ == "__main__":
    args = parse_args()
    key = os.environ["VLLM_API_KEY"]
    main()
