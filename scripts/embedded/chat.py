"""Chat completions in OpenAI's terms: what a request asks for, and the answer in the teacher's form."""

import json
import math
import time
import uuid
from typing import Any

from embedded.grammar import BOXED, NO_THINK, THINKING, Form, UnsupportedSchema, schema_form
from embedded.model import Model, Refused
from embedded.reader import Reader, UnreadablePicture
from prep.records import tags

_TOKENS = 400
"""Tokens of the longest answer; the grammars end each well before."""
_SYSTEM = {"role": "system", "content": "Answer briefly."}
"""Stands before messages without a system turn; the model's own default makes it talk of itself."""
_LIMITS = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "top_k": (-1, 10**6), "min_p": (0.0, 1.0)}
"""The sampling that a request may set; llama.cpp's defaults stand for what it leaves out."""
_INERT = {"n": (1,), "tools": ([],), "logprobs": (False,)}
"""Fields that would change the kind of the answer, and the values that do not."""


class Problem(Exception):
    """An error that the client is told: an HTTP status and OpenAI's error object."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Chat:
    """The model under the name that requests carry, with a reader for their pictures."""

    def __init__(self, name: str, model: Model, reader: Reader) -> None:
        self._name = name
        self._model = model
        self._reader = reader

    def complete(self, body: bytes) -> dict[str, Any]:
        """Answer the body of a chat completion request; a stream is one chunk. Raises Problem."""
        request = _parsed(body)
        if not isinstance(request.get("model"), str):
            raise Problem(400, "model is missing", "model")
        if request["model"] != self._name:
            raise Problem(404, f"there is no model but {self._name}", "model", "model_not_found")
        for field, inert in _INERT.items():
            if request.get(field) not in (None, *inert):
                raise Problem(400, f"{field} is not supported by this server", field)
        if not isinstance(streamed := request.get("stream") or False, bool):
            raise Problem(400, "stream is neither true nor false", "stream")
        sampling = _sampling(request)
        schema = _schema(request.get("response_format"))
        messages, pictures = self._messages(request.get("messages"))
        form = _form(schema, messages, pictures)
        try:
            answer = self._model.complete(sampling | {"messages": messages, "grammar": form.grammar})
        except Refused as error:
            raise Problem(400, str(error), "messages") from error
        return self._answer(answer, form, streamed)

    def _messages(self, messages: Any) -> tuple[list[dict[str, str]], int]:
        """The messages with text in place of pictures, and how many pictures there were."""
        if not isinstance(messages, list) or not messages:
            raise Problem(400, "messages is not a list of messages", "messages")
        read, pictures = [], 0
        for number, message in enumerate(messages):
            place = f"messages[{number}]"
            if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
                raise Problem(400, f"{place} has no role of system, user, assistant", "messages")
            content = message.get("content")
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
                raise Problem(400, f"{place}.content is neither a string nor a list of parts", "messages")
            pictures += sum(part.get("type") == "image_url" for part in parts)
            text = "\n".join(self._text(part, place) for part in parts)
            read.append({"role": message["role"], "content": text})
        if read[-1]["role"] != "user":
            raise Problem(400, "the last message is not the user's", "messages")
        if all(message["role"] != "system" for message in read):
            read.insert(0, _SYSTEM)
        return read, pictures

    def _text(self, part: dict, place: str) -> str:
        """A part's text: its own, or what is read in its picture."""
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            try:
                part["text"].encode()
            except UnicodeEncodeError:
                raise Problem(400, f"{place} holds half a surrogate pair", "messages") from None
            return part["text"]
        url = part.get("image_url", {}).get("url") if isinstance(part.get("image_url"), dict) else None
        if part.get("type") != "image_url" or not isinstance(url, str):
            raise Problem(400, f"{place}.content has a part that is neither text nor image_url", "messages")
        try:
            text = self._reader.read(url)
        except UnreadablePicture as error:
            raise Problem(400, f"the picture of {place} cannot be read: {error}", "messages") from error
        except ImportError as error:
            raise Problem(400, f"this server cannot read pictures: {error}", "messages") from error
        return f"This was read in the picture:\n{text}" if text else "Nothing could be read in the picture."

    def _answer(self, answer: dict, form: Form, streamed: bool) -> dict[str, Any]:
        choice, usage = answer["choices"][0], answer["usage"]
        finish = choice["finish_reason"]
        content = form.dress(choice["message"]["content"], finished=finish == "stop")
        message = {"role": "assistant", "content": content}
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if streamed else "chat.completion",
            "created": int(time.time()),
            "model": self._name,
            "choices": [
                {
                    "index": 0,
                    "delta" if streamed else "message": message,
                    "logprobs": None,
                    "finish_reason": finish,
                }
            ],
            "usage": {key: usage[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")},
        }


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is not JSON") from error
    if not isinstance(request, dict):
        raise Problem(400, "the body is not a JSON object")
    return request


def _sampling(request: dict) -> dict[str, Any]:
    """The request's sampling, checked, in llama.cpp's terms."""
    sampling = {}
    for field, (least, most) in _LIMITS.items():
        value = request.get(field)
        if value is None:
            continue
        if not _number(value, type(least)) or not least <= value <= most:
            raise Problem(400, f"{field} is not a number from {least} to {most}", field)
        sampling[field] = value
    seed = request.get("seed")
    if seed is not None:
        if not _number(seed, int):
            raise Problem(400, "seed is not a whole number", "seed")
        # llama.cpp has seeds of 32 bits, of which the last means: any.
        sampling["seed"] = seed % (2**32 - 1)
    budgets = [_TOKENS]
    for field in ("max_tokens", "max_completion_tokens"):
        budget = request.get(field)
        if budget is None:
            continue
        if not _number(budget, int) or budget < 1:
            raise Problem(400, f"{field} is not a positive whole number", field)
        budgets.append(budget)
    return sampling | {"max_tokens": min(budgets)}


def _number(value: Any, kind: type) -> bool:
    """Whether it is a finite number: a whole one if `kind` is int."""
    if isinstance(value, float):
        return kind is float and math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _schema(response_format: Any) -> Form | None:
    """The form that `response_format` asks for, if any."""
    if response_format in (None, {"type": "text"}):
        return None
    try:
        if response_format["type"] != "json_schema":
            raise Problem(400, "response_format must be of type json_schema", "response_format")
        return schema_form(response_format["json_schema"]["schema"])
    except (KeyError, TypeError) as error:
        raise Problem(400, "response_format has no json_schema.schema", "response_format") from error
    except (UnsupportedSchema, RecursionError) as error:
        raise Problem(400, f"the schema cannot be obeyed here: {error}", "response_format") from error


def _form(schema: Form | None, messages: list[dict[str, str]], pictures: int) -> Form:
    """The form of the answer. The soft switch is taken out of the last turn: it is not for this model."""
    last = messages[-1]
    switched = last["content"].endswith(tags.NO_THINK)
    last["content"] = last["content"].removesuffix(tags.NO_THINK)
    if schema:
        return schema
    if switched:
        return NO_THINK
    return BOXED if pictures else THINKING
