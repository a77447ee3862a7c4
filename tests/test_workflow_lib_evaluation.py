"""Evaluation sets are known by name and content, and what is not there is one line."""

import os
import re
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError
from test_workflow_lib_config import checked

from workflow_lib.evaluation import evaluation_sha256, filter_settings, is_filtered, name_paths
from workflow_lib.settings import content_sha256

TASKS = ("text_reasoning", "image_reasoning")


def test_names_are_what_follows_the_folder_of_all() -> None:
    assert name_paths(["/e/a/test.txt"]) == {"test.txt": "/e/a/test.txt"}
    assert name_paths(["/e/a/test.txt", "/e/b/test.txt"]) == {
        "a/test.txt": "/e/a/test.txt",
        "b/test.txt": "/e/b/test.txt",
    }
    assert name_paths([]) == {}


def test_without_duplicates_and_evaluation_sets_nothing_is_filtered() -> None:
    config = checked({})
    assert [filter_settings(config, task) for task in TASKS] == [None, None]
    assert not any(is_filtered(config, task) for task in TASKS)
    near = checked({"text_reasoning": {"duplicates": "near"}})
    assert filter_settings(near, "text_reasoning") == {"duplicates": "near", "evaluation": {}}
    assert [is_filtered(near, task) for task in TASKS] == [True, False]
    assert content_sha256(near) != content_sha256(config)


def test_what_decides_nothing_changes_nothing() -> None:
    changed = checked({"decontaminate": {"ngram": 8, "columns": ["q"]}})
    assert content_sha256(changed) == content_sha256(checked({}))


def test_the_content_of_a_set_counts_and_neither_its_time_nor_its_place(tmp_path: Path) -> None:
    digests = []
    for place, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / place / "deep").mkdir(parents=True)
        (tmp_path / place / "deep/x.jsonl").write_text(text)
        os.utime(tmp_path / place / "deep/x.jsonl", (0, len(digests)))
        folders = {
            "questions": [str(tmp_path / place / "deep/x.jsonl")],
            "pictures": [str(tmp_path / place / "deep")],
        }
        config = checked({"decontaminate": folders})
        settings = [filter_settings(config, task) for task in TASKS]
        assert settings[0]["evaluation"].keys() == {"sha256", "ngram", "columns"}
        assert settings[1]["evaluation"].keys() == {"sha256"}
        digests.append([each["evaluation"]["sha256"] for each in settings])
    assert digests[0] == digests[1]
    assert not set(digests[1]) & set(digests[2])
    renamed = evaluation_sha256("pictures", (str(tmp_path / "a"),))
    assert renamed not in digests[0]


@pytest.mark.parametrize(
    ("key", "path", "said"),
    [
        ("questions", "/no/such.txt", "decontaminate.questions: no file /no/such.txt"),
        ("pictures", "/no/such", "decontaminate.pictures: no folder /no/such"),
        ("questions", "/no/such.csv", "decontaminate.questions.0: .*A file that ends in .parquet"),
    ],
)
def test_a_set_that_is_not_there_is_one_line(key: str, path: str, said: str) -> None:
    with pytest.raises(WorkflowError, match=f"^config: {said}") as error:
        checked({"decontaminate": {key: [path]}})
    assert not re.search("\n", str(error.value))
