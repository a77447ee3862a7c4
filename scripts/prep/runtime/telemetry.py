"""Opt-outs of the telemetry of libraries and servers that programs of this project load or start.

`import prep` sets them in the environment of this process, and so of all that it starts, before a library
reads them. A variable that the user has set stays as it is.
"""

import os

OPT_OUTS = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime: a device id under the home folder, and look-ups of its maker
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, datasets, transformers, hf_xet
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",  # vLLM on several machines
    "DO_NOT_TRACK": "1",  # what others agree on; vLLM and huggingface_hub obey it too
}


def opt_out() -> None:
    """Set each variable that is not set."""
    for name, value in OPT_OUTS.items():
        os.environ.setdefault(name, value)
