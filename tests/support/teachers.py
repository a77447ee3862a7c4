"""What the tests' server answers in the teachers' and the judge's place; the text depends on the request."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fault_server import Ask, Reply, answer_to

VERDICT = {"verdict": "pass", "score": 4}


def teach(ask: Ask) -> Reply:
    """A well-formed answer: a verdict, a thought about a picture, or a text with or without a thought."""
    content = ask.body["messages"][-1]["content"]
    if "response_format" in ask.body:
        return Reply(content=json.dumps(VERDICT | {"reason": answer_to(ask.body)[-8:]}))
    if isinstance(content, list):
        name = answer_to(ask.body)[-8:]
        answer = f"It is <|begin_of_box|>{name}<|end_of_box|>."
        return Reply(content=f"<think>I see {name}.</think><answer>{answer}</answer>")
    if content.endswith(" /no_think"):
        return Reply(content=f"<think>\n\n</think>\n\nplainly {answer_to(ask.body)[-8:]}")
    return Reply()


def digest(text: str) -> str:
    """A short digest of an answer; answers differ when their requests do."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def note_requests(
    plan: Callable[[Ask], Reply], file: Path, longest_delay: float = 0.0
) -> Callable[[Ask], Reply]:
    """The plan, which appends a line to `file` for each request: the digest of the answer that it gets.

    So the requests of several servers, and of several starts of one, are counted together. An answer is late
    by up to `longest_delay` seconds, as its digest has it.
    """

    def answer(ask: Ask) -> Reply:
        reply = plan(ask)
        found = digest(answer_to(ask.body) if reply.content is None else reply.content)
        line = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(line, f"{found}\n".encode())
        os.close(line)
        return replace(reply, delay=longest_delay * int(found[:2], 16) / 255)

    return answer
