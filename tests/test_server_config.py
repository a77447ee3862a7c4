"""The typed configuration of a server: it has every key of the schema, and is read from server.json."""

from dataclasses import asdict, fields
from pathlib import Path

from prep.serving.server_config import ServerConfig, read_server_config
from prep.storage.atomic import write_json
from server_config import KEYS, stand_in_config


def test_every_key_of_the_schema_that_programs_read_is_a_field() -> None:
    added = {"name", "samplings", "max_failed_share", "requests", "teaches", "judges"}
    assert {field.name for field in fields(ServerConfig)} == KEYS.keys() - {"conda_env"} | added


def test_what_is_read_is_what_was_written_without_the_keys_of_rules(tmp_path: Path) -> None:
    config = stand_in_config(tmp_path, devices="0,1")
    write_json(tmp_path / "server.json", asdict(config) | {"conda_env": "envs/base.yaml"})
    assert read_server_config(tmp_path / "server.json") == config
