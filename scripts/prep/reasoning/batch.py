"""A batch of questions against a model server: answers of a teacher, verdicts of a judge.

Requests are built from the batch's rows, sent, and written in the order of the requests.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from prep.comparison.outcome import Outcome
from prep.inference.answer_policy import Answers
from prep.inference.client import Client
from prep.inference.journal import Journal
from prep.inference.lease import hold_lease
from prep.inference.request import Request, Response, build_messages, describe_added
from prep.reasoning import verdict
from prep.reasoning.answer_format import choose_forms, parse_answer, strip_thinking
from prep.reasoning.content_check import ContentChecks, find_content_fault
from prep.reasoning.form_check import AnswerCheck, FormCheck, VerdictCheck
from prep.reasoning.trial import Trial
from prep.records import ids, question, seeding, tags
from prep.records.question import Question
from prep.records.template_tokens import with_note
from prep.runtime import program
from prep.runtime.program import UserError
from prep.serving.kept_server import open_server
from prep.serving.server_config import read_server_config
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.schema import ANSWERS, VERDICTS
from prep.storage.summary import write_summary

BLIND = "blind"
"""The mode of a question about a picture that is asked, thinking, without it."""


class AnswerTask(NamedTuple):
    """A question, the mode that it is asked in, and the number of the sample."""

    question: Question
    mode: str
    sample: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every program that asks a server."""
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="what is asked about")
    parser.add_argument("--server", type=Path, required=True, help="JSON: where it is, or how it starts")
    parser.add_argument("--model", required=True, help="the model that is meant")
    parser.add_argument("--max-model-len", type=int, required=True, help="tokens of prompt and answer")
    parser.add_argument("--probe", type=Path, required=True, help="JSON: what the client adapts to")
    parser.add_argument("--journal", type=Path, required=True, help="folder of the server's journals")
    parser.add_argument("--progress", type=Path, required=True, help="out: JSON of counts, as it goes")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--longer-budget", type=float, required=True, help="of max_tokens; 0: never")
    parser.add_argument("--repetition", type=int, required=True, help="characters; 0: not looked for")
    parser.add_argument("--summary", type=Path, required=True, help="out: rows, sha256")


def add_answer_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of an answering program."""
    add_arguments(parser)
    parser.add_argument("--thinking", type=json.loads, required=True, help="JSON: sampling of the mode")
    parser.add_argument("--form", type=read_form, required=True, help="auto, a form's name, or JSON of one")
    parser.add_argument(
        "--request", type=json.loads, required=True, help="JSON: system, extra, suffix, by mode"
    )
    parser.add_argument("--checks", type=json.loads, default={}, help="JSON: refusals, language")
    parser.add_argument("--samples", type=int, required=True, help="answers for each question and mode")
    # Only where several teachers share the questions.
    parser.add_argument(
        "--part", type=int, nargs=2, default=(0, 1), help="the part that is asked, of how many"
    )
    parser.add_argument("--answers", type=Path, required=True, help="out: an answer or a reason for each")


def read_form(value: str) -> str | dict:
    """The form of a task's answers: a name, or a mapping as JSON."""
    return json.loads(value) if value.startswith("{") else value


def parse_judge_arguments(doc: str | None) -> argparse.Namespace:
    """The flags of a judging program."""
    parser = program.parser(doc)
    add_arguments(parser)
    parser.add_argument("--answers", type=Path, required=True, help="what is judged")
    parser.add_argument("--outcomes", type=Path, required=True, help="what rules say of the answers")
    parser.add_argument(
        "--when", choices=("always", "undecided"), required=True, help="undecided: not where a rule agrees"
    )
    parser.add_argument("--votes", type=int, default=1, help="on each answer, an odd number")
    parser.add_argument(
        "--prompt", type=Path, required=True, help="template with {question}, {reference}, {answer}"
    )
    parser.add_argument("--prompt-sha256", required=True, help="of the prompt that is meant")
    parser.add_argument("--sampling", type=json.loads, required=True, help="JSON: sampling")
    parser.add_argument("--request", type=json.loads, required=True, help="JSON: system, extra, suffix")
    parser.add_argument("--verdicts", type=Path, required=True, help="out: a verdict for each text")
    return parser.parse_args()


def list_answer_tasks(
    questions: Iterable[Question],
    seed: int,
    no_think_share: float,
    samples: int,
    part: tuple[int, int] = (0, 1),
) -> Iterator[AnswerTask]:
    """Each question with its modes and samples, in order: all are asked thinking, a share also without.

    Of several teachers that share the questions, each asks those of its `part` (its number, of how many).
    """
    number, parts = part
    for asked in questions:
        if seeding.choose_part(seed, asked.id, parts) != number:
            continue
        modes = ["thinking"]
        if seeding.is_chosen(seed, asked.id, no_think_share):
            modes.append("no_thinking")
        yield from (AnswerTask(asked, mode, sample) for mode in modes for sample in range(samples))


def list_blind_tasks(questions: Iterable[Question]) -> Iterator[AnswerTask]:
    """Each question once, in order, without its picture."""
    return (AnswerTask(asked.without_picture(), BLIND, 0) for asked in questions)


def build_answer_request(
    task: AnswerTask, sampling: dict[str, dict], seed: int, given: dict[str, dict]
) -> Request:
    """The request for one answer: the question without its tag, beside its picture.

    Sampling is by mode, and so is what is `given` besides: system, extra, suffix.
    """
    asked, mode, sample = task
    what = "text" if asked.image_sha256 is None else "image"
    return Request(
        id=ids.answer_id(asked.id, mode, sample),
        mode=mode,
        messages=build_messages(asked.request_text, given[mode]),
        sampling=sampling[mode],
        seed=seeding.request_seed(seed, asked.id, mode, sample),
        sample=sample,
        image=asked.image,
        image_sha256=asked.image_sha256,
        extra=given[mode].get("extra", {}),
        added=describe_added(given[mode], tags.USUAL_SUFFIXES.get((what, mode), "")),
    )


def write_answers(
    args: argparse.Namespace, task: str, sampling: dict[str, dict], no_think_share: float
) -> None:
    """Write one row of ANSWERS for each task, in order: the parsed text, or the reason why there is none.

    The detail also names the template tokens of the question that the request breaks.
    """
    checks = ContentChecks(**args.checks)
    forms = choose_forms(args.form, task, read_json(args.probe).get("form"))
    about = read_server_config(args.server).teaches.get(task)
    share = about["max_malformed_share"] if about else 1.0
    trial = begin_trial(args, task, args.model, args.form, args.request)
    early, whole = (AnswerCheck(task, args.form, forms, share, each) for each in (trial, None))

    def tasks(with_pictures: bool) -> Iterator[AnswerTask]:
        questions = question.read_questions(args.questions, with_pictures and BLIND not in sampling)
        if BLIND in sampling:
            return list_blind_tasks(questions)
        return list_answer_tasks(questions, args.seed, no_think_share, args.samples, args.part)

    def requests(with_pictures: bool) -> Iterator[Request]:
        for due in tasks(with_pictures):
            yield build_answer_request(due, sampling, args.seed, args.request)

    def rows() -> Iterator[dict]:
        answers = send_requests(args, requests, early)
        for (asked, mode, _), (id_, response) in zip(tasks(False), answers, strict=True):
            found = parse_answer(response, mode, forms)
            whole.count(mode, response)
            if isinstance(found, str):
                system = args.request[mode].get("system", "")
                found = find_content_fault(found, asked, checks, system) or found
            text, (reason, detail) = (found, (None, None)) if isinstance(found, str) else (None, found)
            yield {
                "id": id_,
                **ids.parse_answer_id(id_)._asdict(),
                "text": text,
                "reason": reason,
                "detail": with_note(detail, asked.text),
                "tokens": response.tokens,
                "reasoning_tokens": response.reasoning_tokens,
            }
        whole.check()
        early.end()

    write_summary(args.summary, {"rows": parquet.write_rows(args.answers, rows(), ANSWERS)})


def begin_trial(args: argparse.Namespace, what: str, *decides: str | dict) -> Trial:
    """The trial of the jobs of a run whose answers have one form, once this job may ask."""
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    trial = Trial(args.journal / f"{what}.{digest}.passed", args.progress.stem)
    trial.wait()
    return trial


def write_verdicts(args: argparse.Namespace, what: str) -> None:
    """Write one row of VERDICTS for each answer that has a text, in order; see parse_judge_arguments.

    `what` is asked about: text or image. The judge sees the picture where the question has one. It is told
    where a rule disagrees, and with `--when undecided` not asked where one agrees.
    Raises UserError where the prompt is not the one that is meant.
    """
    prompt = args.prompt.read_text(encoding="utf-8")
    if hashlib.sha256(prompt.encode()).hexdigest() != args.prompt_sha256:
        raise UserError(
            f"{args.prompt} is not the prompt of this job: a run with another configuration was started in"
            " this folder; start this one again"
        )
    added = describe_added(args.request, tags.USUAL_SUFFIXES.get((what, "judge"), ""))
    task = f"{what}_reasoning"
    share = read_server_config(args.server).judges.get(task, 1.0)
    trial = begin_trial(args, f"{task}.judge", args.model, args.prompt_sha256, args.request)
    early, whole = (VerdictCheck(task, share, each) for each in (trial, None))
    rules = {row["id"]: row["rule"] for row in parquet.read_rows(args.outcomes)}
    spared = {id_ for id_, rule in rules.items() if args.when == "undecided" and rule == Outcome.AGREES}
    form = verdict.build_response_format(what == "image") if read_json(args.probe)["schema"] else None
    template = verdict.build_empty_prompt(prompt)

    def requests(with_pictures: bool) -> Iterator[Request]:
        questions = question.read_questions(args.questions, with_pictures)
        for asked, answer in question.join_answers(questions, parquet.read_rows(args.answers)):
            if answer["text"] is None or answer["id"] in spared:
                continue
            is_disputed = rules[answer["id"]] == Outcome.DISAGREES
            said = strip_thinking(answer["text"])
            text = verdict.build_prompt(prompt, asked.text, asked.reference, said, is_disputed)
            for vote in range(args.votes):
                yield Request(
                    id=ids.vote_id(answer["id"], vote),
                    mode="judge",
                    messages=build_messages(text, args.request),
                    sampling=args.sampling,
                    seed=seeding.request_seed(args.seed, answer["id"], "judge", vote),
                    sample=vote,
                    image=asked.image,
                    image_sha256=asked.image_sha256,
                    response_format=form,
                    template=template,
                    extra=args.request.get("extra", {}),
                    added=added,
                )

    def rows() -> Iterator[dict]:
        in_order = iter(rules)
        votes: list[dict] = []
        for id_, response in send_requests(args, requests, early):
            whole.count("judge", response)
            answer, _ = ids.parse_vote_id(id_)
            votes.append(verdict.build_verdict_row(answer, response, rules[answer]))
            if len(votes) < args.votes:
                continue
            for before in takewhile(lambda each: each != answer, in_order):  # noqa: B023
                yield verdict.build_spared_row(before, rules[before])
            yield verdict.count_votes(votes)
            votes.clear()
        whole.check()
        early.end()
        for after in in_order:
            yield verdict.build_spared_row(after, rules[after])

    write_summary(args.summary, {"rows": parquet.write_rows(args.verdicts, rows(), VERDICTS)})


def send_requests(
    args: argparse.Namespace,
    requests: Callable[[bool], Iterable[Request]],
    check: FormCheck,
) -> Iterator[tuple[str, Response]]:
    """Send what the journal does not hold; gives (id, response) in the order of `requests`.

    Waits while another job asks about the same batch (see prep.inference.lease).
    """
    config = read_server_config(args.server)
    if config.model != args.model:
        raise UserError(
            f"{args.server} names the model {config.model}, and this job is for {args.model}: a run with"
            " another configuration was started in this folder; start this one again"
        )
    # The journal is read once no other job adds to this batch's answers.
    lease = f"{args.progress.parent.name}-{args.progress.stem}"
    with (
        hold_lease(args.journal, lease),
        Journal(args.journal) as journal,
        open_server(config, args.server.parent) as server,
    ):
        kept = args.longer_budget or None, args.repetition or None
        answers = Answers(journal, args.model, args.max_model_len, *kept)
        client = Client(config, server, answers, args.progress, check)
        yield from client.ask(requests, config.max_failed_share)
