"""Server configurations for tests: the schema's defaults under what a test gives."""

import sys
from pathlib import Path
from typing import Any

import yaml
from conftest import ROOT

import stand_in_server
from prep.serving.server_config import ServerConfig

SCHEMA = yaml.safe_load((ROOT / "config.schema.yaml").read_text(encoding="utf-8"))
KEYS = SCHEMA["$defs"]["server"]["properties"]
DEFAULTS = {key: told["default"] for key, told in KEYS.items() if "default" in told and key != "conda_env"}
DEFAULTS |= {"samplings": {}, "max_failed_share": 0.0}


def server_config(name: str, mode: str, model: str, **changes: Any) -> ServerConfig:
    """The configuration of any server."""
    return ServerConfig(**DEFAULTS | {"name": name, "mode": mode, "model": model} | changes)


def stand_in_config(folder: Path, *behaviour: str, **changes: Any) -> ServerConfig:
    """The configuration of a managed server that runs the stand-in, with flags of its behaviour."""
    values = {
        "name": "toy",
        "mode": "managed",
        "model": "toy/model",
        "concurrency": 4,
        "launcher": [sys.executable, stand_in_server.__file__],
        "args": ["--pids", str(folder / "pids"), *behaviour],
        "max_model_len": 512,
        "start_timeout": 20,
        "request_timeout": 10,
        "floor_rate": 1000,
    }
    return server_config(**values | changes)
