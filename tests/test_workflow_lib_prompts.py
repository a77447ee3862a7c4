"""The judge's prompts, and how the card names them."""

from pathlib import Path

import pytest
from conftest import ROOT
from snakemake.exceptions import WorkflowError
from test_workflow_lib_config import checked

from prep.storage.atomic import sha256
from workflow_lib.card import card_settings
from workflow_lib.names import Names
from workflow_lib.prompts import prompt_text


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff", "is not UTF-8"), (b"{question} {answer}", "has no {reference}, and the judge must see it")],
)
def test_a_prompt_that_judges_nothing(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.md").write_bytes(content)
    with pytest.raises(WorkflowError, match=f"^config: text_reasoning.judge_prompt: .*{said}"):
        prompt_text({"text_reasoning": {"judge_prompt": str(tmp_path / "p.md")}}, "text_reasoning")


def test_the_card_names_each_prompt_and_its_version() -> None:
    config = checked({})
    teachers = card_settings(config, Names(config))["teachers"]
    for artifact, name in (("text2image", "judge_text.md"), ("image_thinking", "judge_image.md")):
        version = sha256(ROOT / "prompts" / name)[:12]
        assert teachers[artifact]["prompt"] == {"file": name, "version": version}
