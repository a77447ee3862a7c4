"""Config errors are one line that names the key; paths start at the file that names them."""

import copy
import math
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, at_most
from hypothesis import given
from hypothesis import strategies as st
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from workflow_lib.config import (
    check_choices,
    check_folders,
    check_schema,
    check_switched_off,
    check_url,
    check_values,
    merge_files,
    resolve_paths,
)
from workflow_lib.config_files import read_config_files
from workflow_lib.names import Names
from workflow_lib.settings import content_sha256
from workflow_lib.sources import mirror_folder

SCHEMA = yaml.safe_load((ROOT / "config.schema.yaml").read_text(encoding="utf-8"))
WRITTEN = read_config_files(ROOT, [])


def checked(changes: dict[str, Any]) -> dict[str, Any]:
    """The checkout's config with changes merged over it, checked as the workflow does."""
    config = copy.deepcopy(WRITTEN[0][1])
    update_config(config, changes)
    check_values(config)
    check_schema(config, SCHEMA)
    check_switched_off(config, WRITTEN)
    resolve_paths(config, ROOT, WRITTEN)
    Names(config)
    check_choices(config)
    mirror_folder(config)
    content_sha256(config)  # reads prompts and fonts
    return config


BAD_CONFIGS = {
    "judge.when": ({"text_reasoning": {"judge": {"when": "never"}}}, "text_reasoning.judge.when: .*never"),
    "judge.votes": ({"text_reasoning": {"judge": {"votes": 2}}}, "text_reasoning.judge.votes: .*2"),
    "rules": ({"image_reasoning": {"rules": {"disagree": "no"}}}, "image_reasoning.rules.disagree: .*no"),
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
    "teachers": (
        {"text_reasoning": {"teachers": ["qwen3", "gpt"]}},
        "text_reasoning.teachers: no server 'gpt'",
    ),
    "teachers' modes": (
        {"image_reasoning": {"teachers": [{"server": "glm41v", "sampling": {"no_thinking": {}}}]}},
        "image_reasoning.teachers: image_reasoning has no mode no_thinking",
    ),
    "twice a teacher": (
        {"text_reasoning": {"teachers": ["qwen3", {"server": "qwen3"}]}},
        "text_reasoning.teachers: a server is named twice",
    ),
    "pass_rate_server": (
        {"text_reasoning": {"pass_rate_server": "small"}},
        "text_reasoning.pass_rate_server: no server 'small'",
    ),
    "a teacher's own pass rate": (
        {"image_reasoning": {"pass_rate_server": {"server": "glm41v", "samples": 2}}},
        "image_reasoning.pass_rate_server: glm41v is a teacher",
    ),
    "pass_rate": (
        {"text_reasoning": {"pass_rate": [0.8, 0.2]}},
        "text_reasoning.pass_rate: the lowest share",
    ),
    "base_urls": (
        {"servers": {"qwen3": {"mode": "external", "base_urls": ["http://a/v1", "http://a/v1/"]}}},
        "servers.qwen3.base_urls: an address is there twice",
    ),
    "pass_rate_server's modes": (
        {"image_reasoning": {"pass_rate_server": {"server": "qwen3", "sampling": {"no_thinking": {}}}}},
        "image_reasoning.pass_rate_server: image_reasoning has no mode no_thinking",
    ),
    "pass_rate_server's samples": (
        {"text_reasoning": {"pass_rate_server": {"server": "glm41v", "samples": 0}}},
        "text_reasoning.pass_rate_server.*",
    ),
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
        "text_reasoning.sources.0: another source or artifact has the name a, if case",
    ),
}


EXTERNAL = {"mode": "external", "model": "m"}
RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)
BAD_CONFIGS |= {
    # Numbers.
    "nan": (
        {"text_reasoning": {"no_think_share": math.nan}},
        "text_reasoning.no_think_share: nan is not a fin",
    ),
    "inf": ({"plan": {"rows": {"a/b": math.inf}}}, "plan.rows.a/b: inf is not a finite"),
    "nan of a body": (
        {"text_reasoning": {"request": {"judge": {"extra": {"a": [math.nan]}}}}},
        ".*extra.a.0: nan",
    ),
    "bool for an integer": ({"seed": True}, "seed: True is not of type 'integer'"),
    "bool for a number": ({"max_failed_share": False}, "max_failed_share: False is not of type 'number'"),
    "too large": ({"seed": 10**400}, "seed: 1000.* is not of type 'integer': it has more than 64 bits"),
    "negative": ({"images": {"max_pixels": -1}}, "images.max_pixels: -1 is less than the minimum"),
    # Lists.
    "no address": (
        {"servers": {"qwen3": {"base_urls": []}}},
        "servers.qwen3.base_urls: is empty, and an ext",
    ),
    "no address given": ({"servers": {"mine": EXTERNAL}}, "servers.mine.base_urls: is empty"),
    "no launcher": ({"servers": {"qwen3": {"launcher": []}}}, "servers.qwen3.launcher: "),
    "an empty font": ({"render": {"fonts": [""]}}, "render.fonts.0: "),
    "a list for a mapping": ({"sources": [{"repo": "a/b"}]}, r"sources: .* is not of type 'object'$"),
    "a mapping for a list": (
        {"onevision": {"configs": {"a": 1}}},
        "onevision.configs: .* is not of type 'array'",
    ),
    "a mapping for a number": ({"seed": {"a": 1}}, "seed: {'a': 1} is not of type 'integer'"),
    "that holds itself": (
        {"render": {"fonts": RECURSIVE}},
        "render.fonts.0: lists and mappings are nested more",
    ),
    # Texts.
    "a date": (
        {"onevision": {"revision": date(2024, 1, 1)}},
        "onevision.revision: 2024-01-01 is read as a date; put",
    ),
    "a number for a text": (
        {"onevision": {"revision": 1.5}},
        "onevision.revision: 1.5 is not of .*; put it in quo",
    ),
    "a set": ({"hub": {"mirror": {"a"}}}, "hub.mirror: .* is read as a set"),
    "NUL": ({"hub": {"mirror": "a\0b"}}, "hub.mirror: has a NUL"),
    "half a pair": (
        {"servers": {"qwen3": {"model": "\ud800"}}},
        "servers.qwen3.model: has half a surrogate pair",
    ),
    "a line break at the end": (
        {"onevision": {"repo": "a/b\n"}},
        "onevision.repo: .*does not match.*<org>/<name>",
    ),
    "a folder up": ({"onevision": {"repo": "../b"}}, "onevision.repo: '../b' does not match"),
    "a revision with blanks": ({"onevision": {"revision": "a b"}}, "onevision.revision: .*A branch, a tag"),
    "a glob for a config": ({"onevision": {"configs": ["*"]}}, "onevision.configs.0: .*A folder's name"),
    "an address of the hub": ({"hub": {"endpoint": "https://"}}, "hub.endpoint: https:// is no address"),
    "a password of the hub": ({"hub": {"endpoint": "https://a:secret@b"}}, "hub.endpoint: .*see HF_TOKEN"),
    "a password of another scheme": (
        {"servers": {"qwen3": {"base_urls": ["ftp://me:secret@b"]}}},
        "servers.qwen3.base_urls.0: an address has a name or password in it",
    ),
    # Keys.
    "a number for a key": (
        {"plan": {"rows": {5: 1}}},
        "plan.rows: the key 5 is not a text; put it in quotes",
    ),
    "a bool for a key": ({"servers": {True: {}}}, "servers: the key True is not a text"),
    "a server's name": ({"servers": {"Qwen": EXTERNAL}}, "servers.Qwen: .*small letters"),
    "an unknown key": ({"imagez": {}}, r"top level: .*'imagez' was unexpected\); allowed: images, "),
    "an unknown key below": ({"images": {"chekc": 1}}, r"images: .*'chekc' was unexpected\); allowed: check"),
    "an unknown layout": (
        {"render": {"looks": {"layouts": {"exma": 1}}}},
        "render.looks.layouts.exma: .*: exam, ",
    ),
    "a field that the build sets": (
        {"text_reasoning": {"request": {"judge": {"extra": {"model": "m"}}}}},
        "text_reasoning.request.judge.extra.model: the build sets it",
    ),
    "an unknown form": (
        {"text_reasoning": {"form": "thnk"}},
        "text_reasoning.form: 'thnk' is not one of: think, .*auto",
    ),
    "a form of another type": ({"image_reasoning": {"form": 5}}, "image_reasoning.form: 5 is not of type"),
    "an unknown key of a form": (
        {"image_reasoning": {"form": {"patern": "a"}}},
        "image_reasoning.form: .*patern",
    ),
    "no weight": (
        {"render": {"looks": {"chinese_faces": {"Noto Sans CJK TC": 0, "Noto Serif SC": 0}}}},
        "render.looks.chinese_faces: every weight is 0",
    ),
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_config_error_is_one_line_that_names_its_key(case: str) -> None:
    changes, line = BAD_CONFIGS[case]
    with pytest.raises(WorkflowError, match=f"^config: {line}") as error:
        checked(changes)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of a config's values, lists and mappings among them."""
    if path:
        yield path
    for key, each in node.items() if isinstance(node, dict) else ():
        yield from leaves(each, (*path, key))


ODD = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        math.nan,
        math.inf,
        "",
        "x",
        "\n",
        "a\0",
        "\ud800",
        "../..",
        "/",
        "{x}",
    ),
    *([], [[]], [None], [""], {}, {"": None}, {"x": {}}, {5: 1}, date(2024, 1, 1), b"x", {"x"}, "x" * 300),
]


@given(place=st.sampled_from([*leaves(WRITTEN[0][1])]), odd=st.sampled_from(ODD))
@at_most(200)
def test_an_odd_value_anywhere_is_accepted_or_refused_in_one_line(place: tuple[str, ...], odd: Any) -> None:
    changes: Any = odd
    for key in reversed(place):
        changes = {key: changes}
    try:
        checked(changes)
    except WorkflowError as error:
        line = str(error)
        assert line.startswith(f"config: {place[0]}")
        assert line.isprintable()
        assert len(line) < 2_000


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
    files = [tmp_path / "one/a.yaml", ROOT / "config.yaml", tmp_path / "two/b.yaml"]
    resolve_paths(config, ROOT, read_config_files(ROOT, files))
    assert config["hub"]["mirror"] == f"{tmp_path}/two/m"
    assert config["text_reasoning"]["judge_prompt"] == f"{tmp_path}/one/p.md"
    assert config["render"]["fonts"] == [f"{tmp_path}/two/x.ttf", "/y.ttf"]
    assert Path(config["image_reasoning"]["judge_prompt"]).is_relative_to(ROOT)
    assert Path(config["servers"]["qwen3"]["conda_env"]).is_relative_to(ROOT)


def test_a_path_of_a_file_that_is_named_from_here_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.yaml").write_text("hub: {mirror: m}\n")
    monkeypatch.chdir(tmp_path)
    merged, written = merge_files(ROOT, [Path("my.yaml")])
    resolve_paths(merged, ROOT, written)
    assert merged["hub"]["mirror"] == f"{tmp_path}/m"


def test_braces_and_files_in_folders_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_folders(ROOT)
    with pytest.raises(WorkflowError, match="has braces"):
        check_folders(tmp_path / "{x}")
    (tmp_path / "raw").symlink_to("nowhere")
    with pytest.raises(WorkflowError, match=re.escape(f"config: {tmp_path}/raw is not a folder")):
        check_folders(ROOT)


def test_a_sampling_parameter_that_is_null_is_left_to_the_server():
    thinking = {"temperature": None, "top_k": None, "max_tokens": 100}
    config = checked({"text_reasoning": {"sampling": {"thinking": thinking}}})
    assert config["text_reasoning"]["sampling"]["thinking"] == {"top_p": 0.95, "min_p": 0, "max_tokens": 100}


@pytest.mark.parametrize(
    ("given", "server", "when", "votes"),
    [
        ("glm41v", "glm41v", "always", 1),
        ({"server": "glm41v"}, "glm41v", "always", 1),
        ({"when": "undecided"}, "qwen3", "undecided", 1),
        ({"server": "glm41v", "when": "undecided", "votes": 3}, "glm41v", "undecided", 3),
    ],
)
def test_a_judge_is_a_server_or_also_how_it_is_asked(given: Any, server: str, when: str, votes: int) -> None:
    task = checked({"text_reasoning": {"judge": given}})["text_reasoning"]
    assert (task["judge"], task["judge_when"], task["judge_votes"]) == (server, when, votes)
