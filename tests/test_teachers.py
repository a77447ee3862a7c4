"""The ready-made teachers: each file of teachers/ is complete, without secrets, and plans stage 3."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from test_envs import lock

from workflow import Build, config
from workflow_lib.config import read_config
from workflow_lib.servers import ServerSettings

FILES = sorted((ROOT / "teachers").glob("*.yaml"))


def read_task(file: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The task of a teacher's file, what the file says of it, and the whole config with it."""
    given = yaml.safe_load(file.read_text(encoding="utf-8"))
    (task,) = given.keys() & {"text_reasoning", "image_reasoning"}
    return task, given[task], read_config(ROOT, [file])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_says_all_that_a_teacher_needs(file: Path) -> None:
    task, given, whole = read_task(file)
    text = file.read_text(encoding="utf-8")
    assert {"teacher", "judge", "form", "sampling"} <= given.keys()
    assert given["sampling"].keys() >= {"thinking", "judge"}
    assert re.search(r"^# GPUs: ", text, re.MULTILINE)
    assert "https://huggingface.co/" in text or "https://api-docs." in text
    server = whole["servers"][whole[task]["teacher"]]
    if server["mode"] == "managed":
        settings = ServerSettings(whole[task]["teacher"], server, ROOT)
        env = Path(server["conda_env"])
        assert env.is_file()
        assert env.stem in lock.RELEASED
        assert settings.gpus >= 1
        assert whole["plan"]["tokens_per_gpu_second"][settings.name] > 0
    else:
        assert server["base_urls"][0].startswith("https://")
        assert re.fullmatch(r"[A-Z0-9_]+_API_KEY", server["api_key_env"])
    assert not re.search(r"\bsk-\w{8}", text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_stage_3_is_planned_with_a_teacher_after_ones_own_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key: a plan asks nobody. Batches of texts are known once questions are read."""
    task, given, whole = read_task(file)
    teacher = given["teacher"]
    if key := whole["servers"][teacher]["api_key_env"]:
        monkeypatch.delenv(key, raising=False)
    own = config("http://127.0.0.1:9/v1", onevision={"configs": ["iiit5k"]})
    files = ("--configfile", str(tmp_path / "run.yaml"), str(file))
    planned = Build(tmp_path, own).run("stage3", f"probe_{teacher}", "--dry-run", *files)
    assert planned.returncode == 0, planned.output
    assert planned.jobs.count(f"probe_{teacher}") == 1
    # The pictures' own teacher stays where the file names one for texts.
    assert ("probe_glm41v" in planned.jobs) == (task == "text_reasoning" or teacher == "glm41v")


def test_two_teachers_are_given_in_one_call() -> None:
    files = [ROOT / "teachers/qwen3-30b-a3b-thinking-2507.yaml", ROOT / "teachers/glm-4.6v-flash.yaml"]
    whole = read_config(ROOT, files)
    assert (whole["text_reasoning"]["form"], whole["image_reasoning"]["form"]) == ("close_only", "glm_boxes")


def test_the_documents_list_every_file() -> None:
    listed = re.findall(r"`teachers/(\S+\.yaml)`", (ROOT / "docs/teachers.md").read_text(encoding="utf-8"))
    assert sorted(set(listed)) == [file.name for file in FILES]
