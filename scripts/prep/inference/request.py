"""Chat requests with their cache keys and bodies, and responses."""

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from prep.inference.errors import RequestError
from prep.records.reason import Reason

# Media types by a file's first bytes; WebP has its name at byte 8.
SIGNATURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"BM": "image/bmp",
}


@dataclass(frozen=True)
class Request:
    """A chat completion to ask for.

    `id` names the row asked for; messages are text only; a picture goes in front of the text of the last
    user message, as it is. With its digest alone (`image_sha256`) a request has its key and cannot be sent.
    Sampling may name whatever the server understands, `top_k` and `min_p` too. `mode` is what tokens are
    counted by: `thinking`, `no_thinking`, `judge` or `probe`. `template` is what the messages were made from,
    where they were; a journal tells of it, so that a plan knows it again. `extra` holds further fields of the
    body. `added` is what the configuration adds to a request, as a journal tells it (see `describe_added`).
    """

    id: str
    mode: str
    messages: list[dict[str, Any]]
    sampling: dict[str, Any]
    seed: int
    sample: int = 0
    image: bytes | None = None
    image_sha256: str | None = None
    response_format: dict[str, Any] | None = None
    template: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    added: dict[str, Any] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def key(self, model: str) -> str:
        """The sha256, in hex, of all that decides the answer; id, mode, template and `added` do not."""
        if model not in self._keys:
            picture = self.image_sha256
            if picture is None and self.image is not None:
                picture = hashlib.sha256(self.image).hexdigest()
            decides = {
                "model": model,
                "messages": self.messages,
                "image": picture,
                "sampling": self.sampling,
                "seed": self.seed,
                "sample": self.sample,
                "response_format": self.response_format,
            }
            if self.extra:
                decides["extra"] = self.extra
            text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
            self._keys[model] = hashlib.sha256(text.encode()).hexdigest()
        return self._keys[model]

    @property
    def budget(self) -> int | None:
        """The tokens that an answer may have; None: what the context has left."""
        return self.sampling.get("max_tokens")

    def with_budget(self, tokens: int | None) -> "Request":
        """The same request with another budget, which is another request: its answers are kept apart."""
        sampling = {name: value for name, value in self.sampling.items() if name != "max_tokens"}
        return replace(self, sampling=sampling if tokens is None else {**sampling, "max_tokens": tokens})

    def body(self, model: str, **more: Any) -> dict[str, Any]:
        """What is sent as JSON. Without a budget, the server uses what its context has left.

        Raises RequestError when the picture is of no known format, or a text cannot be encoded.
        """
        body = {**self.extra, "model": model, "messages": self.messages, **self.sampling}
        body |= {"seed": self.seed, **more}
        if self.response_format is not None:
            body["response_format"] = self.response_format
        try:
            json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise RequestError(Reason.BAD_REQUEST, f"cannot be sent: {error}") from error
        if self.image is not None:
            body["messages"] = _with_picture(self.messages, self.image)
        return body


def build_messages(text: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages that ask for a text: `system` before it and `suffix` behind it, where these are given."""
    system = [{"role": "system", "content": given["system"]}] if given.get("system") else []
    return [*system, {"role": "user", "content": text + given.get("suffix", "")}]


def describe_added(given: dict[str, Any], usual_suffix: str) -> dict[str, Any]:
    """What a configuration adds to a request, without the suffix that it has unless another one is set."""
    added = {name: given[name] for name in ("system", "extra") if given.get(name)}
    suffix = given.get("suffix", "")
    return added if suffix == usual_suffix else added | {"suffix": suffix}


def request_kind(
    mode: str,
    model: str,
    sampling: dict[str, Any],
    template: str | None,
    added: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields by which journal and plan group requests: mode, model, sampling, sha256 of the template.

    And what the configuration adds (see `describe_added`), where it adds anything.
    """
    digest = template and hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest()
    found = {"mode": mode, "model": model, "sampling": sampling, "template": digest}
    return found | ({"added": added} if added else {})


@dataclass(frozen=True)
class Response:
    """The end of a request: an answer (`failure` is None), or a failure with its detail.

    An answer need not be whole: `finish_reason` says how it ended. `reasoning` is what the server split
    off from the content. `tokens` are what the server counted of both together, `reasoning_tokens` those of
    the thinking; None where it does not say. Two answers of the same texts are equal, whatever was counted.
    """

    content: str
    reasoning: str | None
    finish_reason: str | None
    failure: Reason | None = None
    detail: str | None = None
    tokens: int | None = field(default=None, compare=False)
    reasoning_tokens: int | None = field(default=None, compare=False)


def _with_picture(messages: list[dict[str, Any]], image: bytes) -> list[dict[str, Any]]:
    """The messages with a picture before the text of the last user message."""
    url = f"data:{_media_type(image)};base64,{base64.b64encode(image).decode()}"
    last = max(number for number, message in enumerate(messages) if message["role"] == "user")
    parts = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": messages[last]["content"]},
    ]
    return [*messages[:last], {**messages[last], "content": parts}, *messages[last + 1 :]]


def _media_type(image: bytes) -> str:
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    for signature, name in SIGNATURES.items():
        if image.startswith(signature):
            return name
    raise RequestError(Reason.BAD_REQUEST, "the picture is of no format that can be sent")
