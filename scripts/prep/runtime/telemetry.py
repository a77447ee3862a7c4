"""Telemetry opt-outs of the libraries and servers that the programs load or start.

`import prep` sets them in the environment, before a library reads them; child processes inherit them. A
variable that the user has set stays as it is.
"""

import os

OPT_OUTS = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime: a device id under the home folder, and DNS look-ups
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, datasets, transformers, hf_xet
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",  # vLLM on several machines
    "DO_NOT_TRACK": "1",  # the common one; vLLM and huggingface_hub obey it too
}


def opt_out() -> None:
    """Set each variable that is not set."""
    for name, value in OPT_OUTS.items():
        os.environ.setdefault(name, value)
