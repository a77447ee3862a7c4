"""The words of older configs stay valid; a tree built with them stands under the same entries in new ones."""

from pathlib import Path

from fault_server import FaultServer
from teachers import teach
from workflow import Build, config

RECAP = [f"LLaVA_ReCap_{size}" for size in ("558K", "CC3M", "CC12M")]
MAIN = {"revision": "main", "stage": 2}
OLD = {
    "sources": dict.fromkeys([*RECAP, "synthdog_zh"])
    | {"synthdog_en": {"repo": "naver-clova-ix/synthdog-en", "revision": "main"}},
    "onevision": {"repo": "lmms-lab/LLaVA-OneVision-Data", "revision": "main", "configs": ["iiit5k"]},
}
QUESTIONS = {
    "repo": "tatsu-lab/alpaca",
    "revision": "main",
    "question": ["instruction"],
    "reference": "output",
}
NEW = {
    "sources": dict.fromkeys([*RECAP, "synthdog_zh"])
    | {
        "synthdog_en": MAIN
        | {"repo": "naver-clova-ix/synthdog-en", "form": "ocr", "columns": {"text": "ground_truth"}}
        | {"json_path": ["gt_parse", "text_sequence"], "max_pixels": 50_000_000}
        | {"prompts": ["Please recognize all text in the image and output the text."]},
        "llavaonevision_converted/iiit5k": MAIN
        | {"repo": "lmms-lab/LLaVA-OneVision-Data", "form": "llava", "missing_tag": "reject"}
        | {"files": ["iiit5k/train-*.parquet"], "image_reasoning": True}
        | {"licence": "Apache-2.0", "note": "each config has terms of its own source"},
    },
    "onevision": None,
}


def test_a_tree_of_the_old_words_has_nothing_to_do_under_the_same_entries_in_the_new(tmp_path: Path) -> None:
    tasks = {"text_reasoning": {"max_questions": 2, "sources": [QUESTIONS]}}
    tasks["image_reasoning"] = {"samples_per_config": 2}
    with FaultServer(teach) as server:
        old = config(server.base_url, **OLD, **tasks)
        built = Build(tmp_path, old).run("all", "--quiet", "progress")
        assert built.returncode == 0, built.output[-3000:]
        again = Build(tmp_path, config(server.base_url, **NEW, **tasks)).run("all")
    assert "Nothing to be done" in again.output, again.output[-3000:]
