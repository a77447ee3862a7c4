"""Typed, frozen configuration of a model server, read from its `server.json`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from prep.storage.atomic import read_json


@dataclass(frozen=True)
class ServerConfig:
    """A server of the run's configuration; config.schema.yaml describes each key, with its default."""

    name: str
    mode: Literal["managed", "external", "embedded"]
    model: str
    base_urls: list[str]
    api_key_env: str | None
    concurrency: int
    launcher: list[str]
    args: list[str]
    devices: str | None
    replicas: int
    host: str
    port: int | None
    threads: int | None
    max_model_len: int
    start_timeout: float
    restarts: int
    request_timeout: float
    floor_rate: float
    stall_timeout: float | None
    max_failed_share: float
    samplings: dict[str, dict[str, Any]]
    """The sampling of each kind of request, by its key: `text_reasoning.sampling.thinking`, say."""


def read_server_config(path: Path) -> ServerConfig:
    """Read the file that each run writes; the keys that only rules use (`conda_env`) are left out."""
    values = read_json(path)
    return ServerConfig(**{field.name: values[field.name] for field in fields(ServerConfig)})
