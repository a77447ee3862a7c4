"""Asking a server about the questions of a batch: for answers, and for the judge's word on these."""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from prep.inference.answer_policy import Answers
from prep.inference.client import Client
from prep.inference.journal import Journal
from prep.inference.request import Request, Response
from prep.reasoning import verdict
from prep.reasoning.answer_format import after_thought
from prep.records import question, seeding
from prep.records.question import Question
from prep.records.reason import Defect
from prep.records.template_tokens import with_note
from prep.runtime import program
from prep.runtime.program import Failure
from prep.serving.server import Server
from prep.serving.server_config import read_server_config
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.schema import ANSWERS, VERDICTS
from prep.storage.summary import write_summary

Ask = tuple[Question, str, int]
"""What is due: a question, the mode it is asked in, and the sample's number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every program that asks a server."""
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="what is asked about")
    parser.add_argument("--server", type=Path, required=True, help="JSON: where it is, or how it starts")
    parser.add_argument("--model", required=True, help="the model that is meant")
    parser.add_argument("--probe", type=Path, required=True, help="JSON: what the client adapts to")
    parser.add_argument("--journal", type=Path, required=True, help="folder of the server's journals")
    parser.add_argument("--progress", type=Path, required=True, help="out: JSON of counts, as it goes")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--longer-budget", type=float, required=True, help="of max_tokens; 0: never")
    parser.add_argument("--repetition", type=int, required=True, help="characters; 0: circles are let go on")
    parser.add_argument("--identity", type=Path, required=True, help="out: rows, sha256")


def ask(
    args: argparse.Namespace, requests: Callable[[], Iterable[Request]]
) -> Iterator[tuple[Request, Response]]:
    """Ask what the journal does not hold; gives (request, response) in the order of `requests`."""
    config = read_server_config(args.server)
    if config.model != args.model:
        raise Failure(
            f"{args.server} names the model {config.model}, and this job is for {args.model}: a run with"
            " another configuration was started in this folder; start this one again"
        )
    with Journal(args.journal) as journal, Server(config, args.server.parent) as server:
        kept = args.longer_budget or None, args.repetition or None
        answers = Answers(journal, args.model, config.max_model_len, *kept)
        client = Client(config, server, answers, args.progress)
        yield from client.ask(requests, config.max_failed_share)


def write_answers(
    args: argparse.Namespace,
    asks: Callable[[], Iterable[Ask]],
    request: Callable[[Question, str, int], Request],
    form: Callable[[Response, str], str | Defect],
) -> None:
    """Write one row of ANSWERS for each ask, in order: the text in its `form`, or the reason why not.

    The detail tells besides which template tokens of the question the request broke.
    """

    def rows() -> Iterator[dict]:
        responses = ask(args, lambda: (request(*each) for each in asks()))
        for (asked, mode, sample), (sent, response) in zip(asks(), responses, strict=True):
            found = form(response, mode)
            text, (reason, detail) = (found, (None, None)) if isinstance(found, str) else (None, found)
            yield {
                "id": sent.id,
                "question_id": asked.id,
                "mode": mode,
                "sample": sample,
                "text": text,
                "reason": reason,
                "detail": with_note(detail, asked.text),
            }

    _write(args.answers, args.identity, rows(), ANSWERS)


def judge_arguments(doc: str | None) -> argparse.Namespace:
    """The flags of a judging program."""
    parser = program.parser(doc)
    add_arguments(parser)
    parser.add_argument("--answers", type=Path, required=True, help="what is judged")
    parser.add_argument(
        "--prompt", type=Path, required=True, help="template with {question}, {reference}, {answer}"
    )
    parser.add_argument("--prompt-sha256", required=True, help="of the prompt that is meant")
    parser.add_argument("--sampling", type=json.loads, required=True, help="JSON: sampling")
    parser.add_argument("--verdicts", type=Path, required=True, help="out: a verdict for each text")
    return parser.parse_args()


def write_verdicts(args: argparse.Namespace, suffix: str) -> None:
    """Write one row of VERDICTS for each answer that has a text, in order; see judge_arguments.

    `suffix` ends the prompt (see prep.reasoning.verdict.prompt).
    The judge sees the picture where the question has one.
    Raises Failure where the prompt is not the one that is meant.
    """
    prompt = args.prompt.read_text(encoding="utf-8")
    if hashlib.sha256(prompt.encode()).hexdigest() != args.prompt_sha256:
        raise Failure(
            f"{args.prompt} is not the prompt of this job: a run with another configuration was started in"
            " this folder; start this one again"
        )
    constrained, template = read_json(args.probe)["schema"], verdict.skeleton(prompt)

    def requests() -> Iterator[Request]:
        questions = question.read_questions(args.questions)
        for asked, answer in question.join_answers(questions, parquet.read_rows(args.answers)):
            if answer["text"] is None:
                continue
            text = verdict.prompt(prompt, asked.text, asked.reference, after_thought(answer["text"]))
            yield Request(
                id=answer["id"],
                mode="judge",
                messages=[{"role": "user", "content": text + suffix}],
                sampling=args.sampling,
                seed=seeding.request_seed(args.seed, answer["id"], "judge", 0),
                image=asked.image,
                response_format=verdict.RESPONSE_FORMAT if constrained else None,
                template=template,
            )

    rows = (verdict.verdict_row(sent.id, response) for sent, response in ask(args, requests))
    _write(args.verdicts, args.identity, rows, VERDICTS)


def _write(path: Path, summary: Path, rows: Iterator[dict], schema: pa.Schema) -> None:
    """Write rows as they come, and their summary."""
    write_summary(summary, {"rows": parquet.write_rows(path, rows, schema)})
