#!/usr/bin/env python
"""Capability probe of a model server: a few greedy requests show what the client must adapt to.

The probe file holds only what answers depend on: where the thinking comes and in which form, whether the
server obeys response_format, whether ` /no_think` leaves an empty think block. All else goes to the details.
A server that the pipeline cannot use ends in one line: no chat, a refused sampling, a teacher that does not
think or whose answers would be rejected, no pictures where they are asked about.
"""

import asyncio
import io
import json
import logging
import re
import shutil
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from prep.inference import errors
from prep.inference.client import send_with_backoff
from prep.inference.errors import RequestError, storable
from prep.inference.request import Request, Response, build_messages
from prep.inference.transport import ChatTransport, time_limit
from prep.reasoning.answer_format import FORMS, choose_forms, name_form, parse_answer
from prep.reasoning.form_check import FORM_REASONS, advise_form, show_answer
from prep.reasoning.verdict import build_response_format, parse_verdict
from prep.records.reason import Reason
from prep.records.tags import ANSWER_TAGS, BOX_TAGS, NO_THINK, THINK_END, THINK_START
from prep.runtime.program import UserError, parser, run
from prep.runtime.sanitize import sanitize
from prep.serving.endpoint import Endpoint, fetch_json, list_models
from prep.serving.kept_server import open_server
from prep.serving.server_config import ServerConfig, read_server_config
from prep.storage.atomic import read_json, write_json

log = logging.getLogger("prep")

SUM = "What is 2 + 3? Put the final answer in a box."
# A server without constrained output answers this in a sentence, not in JSON.
SENTENCE = "Is the sky blue on a clear day? Answer in one plain sentence."
PICTURE = "What is written in this picture?"
TAGS = (THINK_START, THINK_END, *ANSWER_TAGS, *BOX_TAGS)
EMPTY_BLOCK = re.compile(r"\s*<think>\s*</think>")
# Greedy thinking may repeat itself. Its place shows long before this many tokens.
PROBE_TOKENS = 1024
# The first token shows whether a sampling is accepted.
TRIAL_TOKENS = 8


def find_thinking(answer: dict[str, Any]) -> str:
    """Return where an answer holds its thinking: a field of its own, `content`, or `none`.

    In `content` are think tags, even if the answer is cut, or the marks of another form that has a name.
    """
    for name in ("reasoning", "reasoning_content"):
        if answer["fields"].get(name):
            return name
    is_marked = THINK_START in answer["content"] or THINK_END in answer["content"]
    return "content" if is_marked or name_form(build_response(answer)) else "none"


def obeys_schema(content: str, finish_reason: str | None) -> bool:
    """Whether an answer is a verdict and nothing else. A truncated one must begin like a verdict."""
    if finish_reason == "length":
        return re.match(r'\s*\{\s*"(verdict|score|reason)"\s*:', content) is not None
    try:
        alone = json.loads(content, strict=False)
    except (ValueError, RecursionError):
        return False
    return isinstance(alone, dict) and alone == parse_verdict(content)


def draw_picture() -> bytes:
    """Draw a small page with one word; return it as a PNG file."""
    page = Image.new("RGB", (224, 112), "white")
    ImageDraw.Draw(page).text((60, 30), "HELLO", fill="black", font_size=36)
    data = io.BytesIO()
    page.save(data, "PNG")
    return data.getvalue()


class Asker(AbstractAsyncContextManager):
    """Greedy chat requests to one endpoint, with the client's policy of retries; a context manager."""

    def __init__(self, endpoint: Endpoint, config: ServerConfig, budget: int):
        self._model, self._budget, self._limit = config.model, budget, time_limit(config, budget)
        self._transport = ChatTransport(endpoint)

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def ask(
        self, text: str, given: dict[str, Any], image: bytes | None = None, **options: Any
    ) -> dict[str, Any]:
        """The answer as a plain dict: content, fields, finish_reason. Raises RequestError.

        `given` is what a kind of requests carries besides: system, extra, suffix.
        Options are what goes into the request's body besides, or in place of, greedy sampling.
        """
        sampling = {"temperature": 0.0, "max_tokens": self._budget, **options}
        messages, extra = build_messages(text, given), given.get("extra", {})
        request = Request("probe", "probe", messages, sampling, 0, image=image, extra=extra)
        body = request.body(self._model)

        async def send() -> tuple[Any, dict[str, Any]]:
            answer = await self._transport.post(body, self._limit)
            return answer, errors.parse_completion(answer, self._transport.url)

        answer, found = await send_with_backoff(send, _pause)
        message = answer["choices"][0]["message"]
        older = message.get("reasoning_content") and not message.get("reasoning")
        thinking = {"reasoning_content" if older else "reasoning": storable(found["reasoning"] or "")}
        return {
            "content": storable(found["content"]),
            "fields": thinking if found["reasoning"] else {},
            "finish_reason": found["finish_reason"],
        }

    async def try_to_ask(self, *what: Any, **options: Any) -> dict[str, Any] | str:
        """Ask; return the answer, or the reason why the server refuses, where a refusal is acceptable."""
        try:
            return await self.ask(*what, **options)
        except RequestError as error:
            if not error.is_row_fault and error.reason is not Reason.SERVER_ERROR:
                raise
            return error.detail


def sanitize_texts(said: Any) -> Any:
    """Sanitize each text in a server's response, for storage and display."""
    if isinstance(said, dict):
        return {name: sanitize_texts(value) for name, value in said.items()}
    return sanitize(said) if isinstance(said, str) else said


async def _pause(error: RequestError, seconds: float) -> None:
    """Wait before a retry: the Retry-After of the server, else the backoff."""
    await asyncio.sleep(seconds if error.retry_after is None else error.retry_after)


def read_context_length(body: Any, model: str) -> int | None:
    """Read a model's context in tokens from a vLLM /v1/models body (`max_model_len`); None: unknown."""
    told = next((entry.get("max_model_len") for entry in list_models(body) if entry["id"] == model), None)
    return told if isinstance(told, int) and told > 0 else None


async def probe_endpoint(endpoint: Endpoint, config: ServerConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Probe an endpoint; return the probe and the details. Raises UserError if the pipeline cannot use it."""
    name, url = config.name, endpoint.base_url
    _, body = await fetch_json(f"{url}/models", endpoint.api_key, config.request_timeout)
    context = read_context_length(body, config.model)
    budget = min(PROBE_TOKENS, (context or config.max_model_len) // 2)
    try:
        async with Asker(endpoint, config, budget) as asker:
            switch = {"suffix": NO_THINK}
            thinking = await asker.ask(SUM, find_request(config, "thinking"))
            no_think = await asker.ask(SUM, find_request(config, "no_thinking") or switch)
            judging = switch | find_request(config, "judge")
            verdict_format = build_response_format("image_reasoning" in config.judges)
            verdict = await asker.try_to_ask(SENTENCE, judging, response_format=verdict_format)
            pictured = config.requests.get("image_reasoning.sampling.thinking", {})
            seen = await asker.try_to_ask(PICTURE, pictured, draw_picture())
            tried = {}
            for key, sampling in config.samplings.items():
                given = config.requests.get(key, {})
                tried[key] = await asker.try_to_ask(SUM, given, **sampling | {"max_tokens": TRIAL_TOKENS})
    except (RequestError, UserError) as error:
        raise UserError(f"{name}: {url} does not answer a plain question: {error}") from error
    for key, answer in tried.items():
        if isinstance(answer, str):
            sampling = json.dumps(config.samplings[key] | config.requests.get(key, {}).get("extra", {}))
            raise UserError(f"{name}: {url} refuses {key} {sampling}: {answer}")
    of_pictures = isinstance(seen, dict) and config.teaches.keys() == {"image_reasoning"}
    form = name_form(build_response(seen if of_pictures else thinking))
    heard = thinking["content"] + (seen["content"] if isinstance(seen, dict) else "")
    adapted = {
        "thinking": find_thinking(thinking),
        "schema": isinstance(verdict, dict) and obeys_schema(verdict["content"], verdict["finish_reason"]),
        "empty_think": EMPTY_BLOCK.match(no_think["content"]) is not None,
        "form": form,
    }
    details = {
        "name": name,
        "model": config.model,
        "context_length": context,
        "server_version": await ask_version(endpoint),
        "transformers_version": find_transformers_version(config),
        "picture": isinstance(seen, dict),
        "form": form,
        "tags": {tag: tag in heard for tag in TAGS},
        "answers": sanitize_texts(
            {"thinking": thinking, "no_think": no_think, "verdict": verdict, "picture": seen}
        ),
    }
    if trouble := find_misfit(adapted, details, config):
        raise UserError(f"{name}: {url} {trouble}")
    return adapted, details


def find_request(config: ServerConfig, kind: str) -> dict[str, Any]:
    """What a kind of requests of a server carries besides: about texts, or else about pictures."""
    keys = (f"{task}_reasoning.sampling.{kind}" for task in ("text", "image"))
    return next((config.requests[key] for key in keys if config.requests.get(key)), {})


def find_misfit(adapted: dict[str, Any], details: dict[str, Any], config: ServerConfig) -> str | None:
    """Return why a server cannot do what the configuration asks of it, or None."""
    kinds = config.samplings.keys()
    longest = max((sampling.get("max_tokens", 0) for sampling in config.samplings.values()), default=0)
    context, thinking = details["context_length"], details["answers"]["thinking"]
    if context and longest >= context:
        return (
            f"has a context of {context} tokens, which a sampling with max_tokens {longest} cannot fit into"
        )
    teaches = any(not kind.endswith(".judge") for kind in kinds)
    shows_no_thought = adapted["thinking"] == "none" and thinking["finish_reason"] == "stop"
    if teaches and shows_no_thought and not has_own_form(thinking, config):
        return (
            f"does not think, as a teacher must, or not in a form that has a name; it says:"
            f" {show_answer(build_response(thinking))}. Where this is a thought and a text, set"
            f" {next(iter(config.teaches), 'text_reasoning')}.form (docs/teachers.md)"
        )
    if any(kind.startswith("image") for kind in kinds) and not details["picture"]:
        return f"accepts no picture, as image_reasoning needs it: {details['answers']['picture']}"
    return find_malformed_answer(details, config)


def has_own_form(answer: dict[str, Any], config: ServerConfig) -> bool:
    """Whether an answer is in a form of the user's own, a pattern, of any task that the server teaches."""
    own = [about["form"] for about in config.teaches.values() if isinstance(about["form"], dict)]
    forms = [form for each in own for form in choose_forms(each, "")]
    return any(isinstance(parse_answer(build_response(answer), "thinking", (form,)), str) for form in forms)


def build_response(answer: dict[str, Any]) -> Response:
    """An answer of `Asker.ask` as the parser of answers takes it."""
    reasoning = next(iter(answer["fields"].values()), None)
    return Response(answer["content"], reasoning, answer["finish_reason"])


def find_malformed_answer(details: dict[str, Any], config: ServerConfig) -> str | None:
    """Return why an answer of the probe would be rejected as one of a teacher, with what to set; or None.

    An answer that is cut shows nothing.
    """
    answers = details["answers"]
    for task, about in config.teaches.items():
        asked = {"thinking": answers["picture"]} if task.startswith("image") else answers
        for kind in about["kinds"]:
            answer = asked["no_think" if kind == "no_thinking" else kind]
            response = build_response(answer)
            forms = choose_forms(about["form"], task, details["form"])
            found = parse_answer(response, kind, forms)
            if isinstance(found, str) or found[0] not in FORM_REASONS:
                continue
            said = f"answers what {task} would reject ({kind}: {found[1]}): {show_answer(response)}."
            if kind == "no_thinking" and name_form(response) is not None:
                return f"{said} It thinks where it must not: see {task}.no_think_share"
            return f"{said} {advise_form(task, about['form'], name_form(response, kind))}"
    return None


def describe(adapted: dict[str, Any], details: dict[str, Any], config: ServerConfig) -> str:
    """What the probe found, in words."""
    form = FORMS.get(adapted["form"])
    if form:
        thinking = f"its answers are {form.meaning} (form {form.name})"
    elif has_own_form(details["answers"]["thinking"], config):
        thinking = "its answers are in the form of your own"
    elif adapted["thinking"] == "none":
        thinking = "it does not think"
    else:
        thinking = f"its thought comes in {adapted['thinking']}; the form did not show"
    schema = "obeys" if adapted["schema"] else "does not obey"
    pictures = "accepts" if details["picture"] else "does not accept"
    return f"{config.name}: {thinking}; it {schema} a JSON schema and {pictures} pictures"


def find_transformers_version(config: ServerConfig) -> str | None:
    """Find the version of transformers beside a managed server's launcher, if there is one."""
    launcher = config.mode == "managed" and shutil.which(config.launcher[0])
    folder = Path(launcher).parent.parent if launcher else Path()
    found = folder.glob("lib/python*/site-packages/transformers-*.dist-info") if launcher else ()
    return next((each.name.removesuffix(".dist-info").partition("-")[2] for each in found), None)


async def ask_version(endpoint: Endpoint) -> str | None:
    """Ask the server for its version; None where it tells none."""
    try:
        _, body = await fetch_json(endpoint.base_url.removesuffix("/v1") + "/version")
    except OSError:
        return None
    told = body.get("version") if isinstance(body, dict) else None
    return sanitize(told) if isinstance(told, str) else None


async def probe_server(config: ServerConfig, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Probe each endpoint of the server. Raises UserError where their probes differ."""
    with open_server(config, folder) as server:
        endpoints = await server.ensure_endpoints()
        found = await asyncio.gather(*(probe_endpoint(endpoint, config) for endpoint in endpoints))
    adapted, details = found[0]
    for endpoint, (other, _) in zip(endpoints, found, strict=True):
        # An answer that was cut at one of them shows no form.
        adapted["form"] = adapted["form"] or other["form"]
        if other | {"form": None} != adapted | {"form": None}:
            raise UserError(
                f"{config.name}: its servers do not behave alike: {endpoints[0].base_url} {adapted},"
                f" {endpoint.base_url} {other}; serve both in the same way"
            )
    return adapted, details


def read_earlier_probe(details: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of an earlier probe from its details, if the same was asked; else None."""
    try:
        told = read_json(details)
        return told["adapted"] if told["asked"] == asked else None
    except (FileNotFoundError, KeyError):
        return None


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--server", required=True, type=Path, help="the server's configuration, JSON")
    flags.add_argument(
        "--code", required=True, help="digest of this program: a probe by other code does not count"
    )
    flags.add_argument("--probe", required=True, type=Path, help="to write: what answers depend on, JSON")
    flags.add_argument("--details", required=True, type=Path, help="to write: all else, JSON")
    args = flags.parse_args()
    config = read_server_config(args.server)
    forms = {task: [about["form"], about["kinds"]] for task, about in config.teaches.items()}
    asked = {"model": config.model, "samplings": config.samplings, "forms": forms, "code": args.code}
    asked["requests"] = config.requests
    if adapted := read_earlier_probe(args.details, asked):
        log.info("%s: known from %s; make probe asks anew", config.name, args.details)
        write_json(args.probe, adapted)
        return
    adapted, details = asyncio.run(probe_server(config, args.server.parent))
    write_json(args.details, details | {"asked": asked, "adapted": adapted})
    write_json(args.probe, adapted)
    log.info("%s: %s", config.name, adapted)
    print(describe(adapted, details, config))


if __name__ == "__main__":
    run(main)
