"""Typed, frozen configuration of a model server, read from its `server.json`."""

from dataclasses import dataclass, field, fields
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
    concurrency: int | Literal["auto"]
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
    linger: float
    request_timeout: float
    floor_rate: float
    stall_timeout: float | None
    max_failed_share: float
    samplings: dict[str, dict[str, Any]]
    """The sampling of each kind of request, by its key: `text_reasoning.sampling.thinking`, say."""
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each kind of request carries besides (system, extra, suffix), by the same keys."""
    teaches: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The tasks that it is the teacher of: `form` and `max_malformed_share`, and the kinds that are asked."""
    judges: dict[str, float] = field(default_factory=dict)
    """The tasks that it is the judge of, each with its `max_malformed_share`."""


def read_server_config(path: Path) -> ServerConfig:
    """Read the file that each run writes; the keys that only rules use (`conda_env`) are left out."""
    values = read_json(path)
    return ServerConfig(**{key.name: values[key.name] for key in fields(ServerConfig)})
