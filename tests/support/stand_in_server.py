"""A stand-in for `vllm serve`: the fault server as a program, with the faults that real servers have.

It takes vLLM's flags, and after them, from `args`, how it shall behave. Each start appends a line with
its process id to `--pids`, so that a test can count starts and find the processes. Imported, this module
has what the tests that run it share.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from fault_server import Ask, FaultServer, Reply
from teachers import note_requests, teach


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
    flags.add_argument("--tensor-parallel-size", type=int)
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
    flags.add_argument("--teach", type=Path, help="answer as a teacher, and note each request in this file")
    flags.add_argument("--delay", type=float, default=0.0, help="the longest time that a taught answer takes")
    return flags.parse_args()


def page(path: str) -> Reply | None:
    """What stands at an address besides chat."""
    if args.bare and not path.startswith("/v1"):
        return Reply(status=404)
    if path == "/health" and args.sick:
        return Reply(status=503)
    if path == "/version":
        return Reply(body={"version": "0.0.1"})
    if path == "/v1/models":
        name = "another-model" if args.misnamed else args.served_model_name
        return Reply(body={"object": "list", "data": [{"id": name, "max_model_len": args.max_model_len}]})
    return None


def chat(ask: Ask) -> Reply:
    """The answer to a chat request."""
    if args.teach:
        return note_requests(teach, args.teach, args.delay)(ask)
    if args.refuse_chat:
        return refusal(args.refuse_chat, "the chat template is broken")
    if args.blind and isinstance(ask.body["messages"][-1]["content"], list):
        return refusal(500, "this model has no eyes")
    if args.refuse_key in ask.body:
        return refusal(400, f"unknown parameter {args.refuse_key}")
    if "response_format" in ask.body and args.schema != "ignored":
        if args.schema == "refused":
            return refusal(400, "response_format is not supported")
        if args.schema == "cut":
            return Reply(content='{"verdict": "fail", "reason": "aaaaaaaa', finish_reason="length")
        return Reply(content='{"verdict": "pass", "score": 5, "reason": "it is"}')
    if ask.prompt.endswith("/no_think"):
        in_content = args.thinking == "content" and not args.no_block
        return Reply(content=("<think>\n\n</think>\n\n" if in_content else "") + "Five.")
    if args.thinking == "content":
        return Reply(content="<think>2 and 3</think><answer><|begin_of_box|>5<|end_of_box|></answer>")
    return Reply(content="Five.", message={} if args.thinking == "none" else {args.thinking: "2 and 3"})


def refusal(status: int, message: str) -> Reply:
    return Reply(status=status, body={"error": {"message": message}})


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
    secret = None if args.open else key
    with FaultServer(chat, key=secret, page=page, host=args.host, port=args.port):
        while True:
            signal.pause()


if __name__ == "__main__":
    args = parse_args()
    key = os.environ["VLLM_API_KEY"]
    main()
