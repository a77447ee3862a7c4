"""Config errors are one line that names the key; paths start at the file that names them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from workflow_lib.config import check_choices, check_folders, check_schema, check_url, resolve_paths
from workflow_lib.names import Names
from workflow_lib.settings import content_sha256
from workflow_lib.sources import mirror_folder

SCHEMA = yaml.safe_load((ROOT / "config.schema.yaml").read_text(encoding="utf-8"))


def checked(changes: dict[str, Any]) -> dict[str, Any]:
    """The checkout's config with changes merged over it, checked as the workflow does."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    update_config(config, changes)
    check_schema(config, SCHEMA)
    resolve_paths(config, ROOT, [])
    Names(config)
    check_choices(config)
    mirror_folder(config)
    content_sha256(config)  # reads prompts and fonts
    return config


BAD_CONFIGS = {
    "imagez": ({"imagez": {}}, "top level: .*imagez"),
    "images.chek": ({"images": {"chek": "decode"}}, "images: .*chek"),
    "images.check": ({"images": {"check": "deep"}}, "images.check: .*deep"),
    "pixels": ({"images": {"max_pixels": 42.0}}, "images.max_pixels: 42.0"),
    "max_samples": (
        {"sources": {"LLaVA_ReCap_CC3M": {"max_samples": 0}}},
        "sources.LLaVA_ReCap_CC3M.max_samples",
    ),
    "seed": ({"seed": "42"}, "seed: .*'42'"),
    "teacher": ({"text_reasoning": {"teacher": "gpt"}}, "text_reasoning.teacher: no server 'gpt'"),
    "mode": ({"servers": {"qwen3": {"mode": "local"}}}, "servers.qwen3.mode"),
    "mirror": ({"hub": {"mirror": "/no/such/folder"}}, "hub.mirror: no folder /no/such/folder"),
    "judge_prompt": ({"text_reasoning": {"judge_prompt": "no.md"}}, "text_reasoning.judge_prompt: no file"),
    "fonts": ({"render": {"fonts": ["no.ttf"]}}, "render.fonts: no file or folder .*no.ttf"),
    "font sizes": ({"render": {"min_font_px": 40, "max_font_px": 30}}, "render.min_font_px: is more than"),
    "key": (
        {"servers": {"qwen3": {"api_key_env": "sk-secret-key"}}},
        "servers.qwen3.api_key_env: is no name of a variable",
    ),
    "replicas": (
        {"servers": {"qwen3": {"mode": "embedded", "replicas": 2}}},
        "servers.qwen3.replicas: only managed servers have some",
    ),
    "twice": ({"onevision": {"configs": ["a(b)", "a_b"]}}, "onevision.configs: two of them"),
    "questions twice": (
        {
            "text_reasoning": {
                "sources": [{"repo": f"{o}/a", "revision": "r", "question": ["q"]} for o in "bc"]
            }
        },
        "text_reasoning.sources: the last parts of the repos must differ",
    ),
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_config_error_is_one_line_that_names_its_key(case: str) -> None:
    changes, line = BAD_CONFIGS[case]
    with pytest.raises(WorkflowError, match=f"^config: {line}") as error:
        checked(changes)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://[::1/v1", "is no address"),
        ("http://127.0.0.1:99999/v1", "is no address"),
        ("http://127.0.0.1:0/v1", "is no address"),
        ("http://a b/v1", "is no address"),
        ("http:///v1", "is no address"),
        ("http://me:secret@127.0.0.1/v1", "an address has a name or password in it"),
    ],
)
def test_an_address_that_is_none_or_holds_a_password(url: str, said: str) -> None:
    with pytest.raises(WorkflowError, match=f"^config: servers.a.base_urls: .*{said}"):
        check_url("servers.a.base_urls", url)


def test_servers_get_the_defaults_of_the_schema_and_sources_keep_their_order() -> None:
    config = checked({"sources": {"synthdog_zh": {"revision": "a"}, "LLaVA_ReCap_558K": {"revision": "b"}}})
    assert [*config["sources"]] == [
        *("LLaVA_ReCap_558K", "LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M"),
        *("synthdog_en", "synthdog_zh"),
    ]
    defaults = {key for key, value in SCHEMA["$defs"]["server"]["properties"].items() if "default" in value}
    assert all(defaults <= server.keys() for server in config["servers"].values())


def test_a_path_starts_at_the_last_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/a.yaml").write_text("hub: {mirror: m}\ntext_reasoning: {judge_prompt: p.md}\n")
    (tmp_path / "two/b.yaml").write_text("hub: {mirror: m}\nrender: {fonts: [x.ttf, /y.ttf]}\n")
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for file in ("one/a.yaml", "two/b.yaml"):
        update_config(config, yaml.safe_load((tmp_path / file).read_text()))
    check_schema(config, SCHEMA)
    resolve_paths(config, ROOT, [tmp_path / "one/a.yaml", ROOT / "config.yaml", tmp_path / "two/b.yaml"])
    assert config["hub"]["mirror"] == f"{tmp_path}/two/m"
    assert config["text_reasoning"]["judge_prompt"] == f"{tmp_path}/one/p.md"
    assert config["render"]["fonts"] == [f"{tmp_path}/two/x.ttf", "/y.ttf"]
    assert Path(config["image_reasoning"]["judge_prompt"]).is_relative_to(ROOT)
    assert Path(config["servers"]["qwen3"]["conda_env"]).is_relative_to(ROOT)


def test_braces_and_files_in_folders_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_folders(ROOT)
    with pytest.raises(WorkflowError, match="has braces"):
        check_folders(tmp_path / "{x}")
    (tmp_path / "raw").symlink_to("nowhere")
    with pytest.raises(WorkflowError, match=re.escape(f"config: {tmp_path}/raw is not a folder")):
        check_folders(ROOT)
