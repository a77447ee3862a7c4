"""The dataset card: what it says, and that `datasets` reads its header."""

import io
import json
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import yaml
from conftest import ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image

import publish_card
from prep.reasoning.calibration import count_verdicts
from prep.storage import parquet
from prep.storage.schema import REASONED, TRAINING

ALPACA = "tatsu-lab/alpaca"


def source(repo: str, file: str = "a.parquet", **changes: object) -> dict:
    return {
        "repo": repo,
        "revision": "main",
        "commit": None,
        "file": file,
        "bytes": 1000,
        "sha256": "aa",
        "rows": 3,
        "state": "read",
    } | changes


def artifact(name: str, rows: int, *sources: dict, **rejected: int) -> dict:
    return {
        "name": name,
        "file": f"data/{name}.parquet",
        "rows": rows,
        "bytes": 4_500_000,
        "sha256": "aa",
        "read": rows + sum(rejected.values()),
        "kept": rows,
        "rejected": rejected,
        "empty": rows == 0,
        "sources": list(sources),
    }


def manifest(*artifacts: dict) -> dict:
    return {"artifacts": {each["name"]: each for each in artifacts}, "config_sha256": "c0ffee"}


def about(**changes: object) -> dict:
    models = {"teacher": ["Qwen/Qwen3-32B"], "judge": ["Judge/Judge-1B"], "requests": []}
    models["prompt"] = {"file": "judge.md", "version": "0123456789ab"}
    return {
        "notice": None,
        "forms": {},
        "licences": {ALPACA: {"licence": "CC-BY-NC-4.0", "note": ""}},
        "teachers": {"text2image": models, "image_thinking": models},
    } | changes


EVERY = manifest(
    artifact("LLaVA_ReCap_558K", 2_000_000, source("lmms-lab/LLaVA-ReCap-558K"), odd_turns=2),
    artifact("synthdog_en", 47, source("naver-clova-ix/synthdog-en")),
    artifact("llavaonevision_converted/magpie", 0, source("lmms-lab/LLaVA-OneVision-Data"), image_missing=44),
    artifact("text2image", 5, source(ALPACA), judge_fail=1, length=3),
    artifact("image_thinking", 7, source("lmms-lab/LLaVA-OneVision-Data")),
)


def test_the_header_names_every_artifact_that_has_rows() -> None:
    _, header, _ = publish_card.build_card(EVERY, about()).split("---\n", 2)
    assert [
        (config["config_name"], config["data_files"]) for config in yaml.safe_load(header)["configs"]
    ] == [
        (name, [{"split": "train", "path": f"{name}.parquet"}])
        for name in ("LLaVA_ReCap_558K", "synthdog_en", "text2image", "image_thinking")
    ]


NASTY = "a|b`c``d <script>x</script>\n\n# e *f* `"
"""A name that means something to Markdown."""


def parse_card(name: str, config: str, revision: str) -> tuple[list[str], list[Token]]:
    """The blocks and the inline tokens of a card in which models, a config and a revision are named so."""
    models = {role: [name] for role in ("teacher", "judge", "pass_rate", "blind")}
    models |= {"prompt": {"file": name, "version": "0"}}
    models |= {"requests": [{"model": name, "kind": "thinking", "carried": json.dumps({"system": name})}]}
    repo = source("lmms-lab/LLaVA-OneVision-Data", revision=revision)
    made = manifest(*EVERY["artifacts"].values(), artifact(f"llavaonevision_converted/{config}", 5, repo))
    teachers = {"text2image": models, "image_thinking": models}
    card = publish_card.build_card(made, about(teachers=teachers, notice=f"Made with {name}."))
    tokens = MarkdownIt("commonmark").enable("table").parse(card.split("---\n", 2)[2])
    return [token.type for token in tokens], [each for token in tokens for each in token.children or ()]


def test_a_name_breaks_no_line_of_the_card() -> None:
    blocks, inline = parse_card(NASTY, "a|b`<c>", "v1`<b>|")
    usual_blocks, usual = parse_card("model", "plain", "v1")
    assert blocks == usual_blocks
    assert [each.type for each in inline] == [each.type for each in usual]
    assert f"Made with {' '.join(NASTY.split())}." in [each.content for each in inline]
    spans = [each.content for each in inline if each.type == "code_inline"]
    assert spans.count(" ".join(NASTY.splitlines())) == 11
    assert spans.count(json.dumps({"system": NASTY})) == 2
    assert {"llavaonevision_converted/a|b`<c>", "v1`<b>| (mirror)"} <= set(spans)


def test_the_column_of_several_teachers_is_described_where_it_is_there() -> None:
    one = publish_card.build_card(EVERY, about())
    teachers = about()["teachers"]
    teachers["text2image"] = teachers["text2image"] | {"teacher": ["A", "B"], "several": True}
    several = publish_card.build_card(EVERY, about(teachers=teachers))
    assert "| `teacher` |" not in one
    assert "| `teacher` | string |" in several
    assert "answered by `A`, `B` in" in several


def test_datasets_loads_an_artifact_by_the_cards_header(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(picture, "PNG")
    row = {
        "id": "x:0",
        "source_id": None,
        "messages": [{"content": "<image>\nWhat?", "role": "user"}, {"content": "It.", "role": "assistant"}],
        "images": [{"bytes": picture.getvalue(), "path": None}],
    }
    name = "llavaonevision_converted/GeoQA+_MathV360K"
    parquet.write_rows(tmp_path / "data" / f"{name}.parquet", [row], TRAINING)
    parquet.write_rows(tmp_path / "data" / "rejects" / f"{name}.parquet", [row], TRAINING)
    text = publish_card.build_card(manifest(artifact(name, 1), artifact("text2image", 0)), about())
    (tmp_path / "data" / "README.md").write_text(text)
    rows = datasets.load_dataset(
        str(tmp_path / "data"), "GeoQA+_MathV360K", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows.num_rows == 1
    assert rows[0]["messages"] == row["messages"]
    assert rows[0]["images"] == row["images"]
    decoded = rows.cast_column("images", [datasets.Image()])
    assert decoded[0]["images"][0].size == (30, 20)


def test_the_table_has_rows_reasons_sizes_and_sources() -> None:
    lines = publish_card.build_card(EVERY, about()).splitlines()
    assert (
        "| `LLaVA_ReCap_558K` | 2,000,000 | 2,000,002 | odd_turns: 2 | 4.5 MB | lmms-lab/LLaVA-ReCap-558K |"
        in lines
    )
    assert "| `text2image` | 5 | 9 | judge_fail: 1, length: 3 | 4.5 MB | tatsu-lab/alpaca |" in lines
    assert "| `odd_turns` | 2 | The conversation has an odd number of turns. |" in lines


def test_a_non_commercial_licence_is_said_before_anything_else() -> None:
    text = publish_card.build_card(EVERY, about(notice="Good for nothing.\n"))
    body = text.split(publish_card.MARKER)[1]
    quotes = [line for line in body.splitlines() if line.startswith(">")]
    assert quotes[0] == "> **Good for nothing.**"
    assert quotes[1].startswith("> **Not for commercial use:** `text2image` is made from [tatsu-lab/alpaca]")
    assert quotes[1].endswith("whose licence is **CC-BY-NC-4.0**.")
    assert body.index(quotes[1]) < body.index("## Artifacts")
    assert len(quotes) == 2


def test_no_warning_without_such_a_source() -> None:
    text = publish_card.build_card(manifest(EVERY["artifacts"]["synthdog_en"]), about())
    assert "commercial" not in text
    assert "\n>" not in text


@pytest.mark.parametrize(
    ("licence", "found"),
    [("CC-BY-NC-4.0", True), ("cc-by-nc-sa-4.0", True), ("Apache-2.0", False), ("INC-1", False), ("", False)],
)
def test_non_commercial(licence: str, found: bool) -> None:
    assert publish_card.Origin("a/b", "main", None, licence, "").non_commercial is found


def test_only_the_kinds_that_are_there_are_explained() -> None:
    text = publish_card.build_card(EVERY, about())
    kinds = ("LLaVA-ReCap", "SynthDoG", "LLaVA-OneVision", "text2image", "image_thinking")
    assert all(f"\n**{kind}.** " in text for kind in kinds)
    assert "answered by `Qwen/Qwen3-32B`" in text
    assert "judged by `Judge/Judge-1B`" in text
    assert all(f"| `{name}` |" in text for name in REASONED.names)
    text = publish_card.build_card(manifest(EVERY["artifacts"]["synthdog_en"]), about())
    assert [kind for kind in kinds if f"\n**{kind}.** " in text] == ["SynthDoG"]
    assert "`score`" not in text
    assert "`pass_rate`" not in text


def test_who_was_asked_without_pictures_is_told() -> None:
    assert "without the picture." not in publish_card.build_card(EVERY, about())
    teachers = about()["teachers"]
    teachers["image_thinking"] = teachers["image_thinking"] | {"blind": ["Blind/B"]}
    card = publish_card.build_card(EVERY, about(teachers=teachers))
    assert "by the answers of `Blind/B` without the picture." in card


def test_a_file_of_several_artifacts_is_counted_once() -> None:
    commit = "ab" * 20
    files = [
        source("a/b", "1.parquet", commit=commit),
        source("a/b", "2.parquet", commit=commit, state="bad", detail="no footer"),
        source("a/b", "3.parquet", commit=commit, state="unneeded"),
    ]
    (origin,) = publish_card.collect_origins([artifact("x", 1, *files), artifact("y", 1, *files)], {})
    assert (origin.bytes, origin.states) == (1000, {"read": 1, "bad": 1, "unneeded": 1})
    assert origin.names == ["x", "y"]
    assert origin.version == commit
    assert origin.licence == "not known here: see the source"
    text = publish_card.build_card(manifest(artifact("x", 1, *files)), about())
    assert f"| `{commit}` | 1 read, 1 not needed, 1 bad | 1.0 kB |" in text


@pytest.mark.parametrize(
    ("standing", "place"),
    [
        (None, "README.md"),
        (b"# LLaMA-Factory's own\n", "DATASET_CARD.md"),
        (b"\xff\xfe not text", "DATASET_CARD.md"),
        (f"---\n---\n{publish_card.MARKER}\nold\n".encode(), "README.md"),
    ],
    ids=["none", "foreign", "binary", "ours"],
)
def test_the_card_replaces_none_but_our_own(tmp_path: Path, standing: bytes | None, place: str) -> None:
    (tmp_path / "data").mkdir()
    if standing is not None:
        (tmp_path / "data/README.md").write_bytes(standing)
    (tmp_path / "manifest.json").write_text(json.dumps(EVERY))
    command = [sys.executable, ROOT / "scripts" / "publish_card.py", "--manifest", "manifest.json"]
    command += [
        "--calibration",
        "--about",
        json.dumps(about()),
        "--publish",
        "work/publish/README.md",
        "--data",
        "data",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    published = (tmp_path / "work/publish/README.md").read_text()
    assert published == publish_card.build_card(EVERY, about())
    assert (tmp_path / "data" / place).read_text() == published
    if place != "README.md":
        assert (tmp_path / "data/README.md").read_bytes() == standing


def test_the_card_says_how_often_the_judge_errs_where_that_was_measured() -> None:
    heard = {"score": 4, "detail": ""}
    rows = [
        {"id": f"s/f:{n}#negation.0", "verdict": "pass" if n < 2 else "fail"} | heard for n in range(40)
    ] + [{"id": "s/f:0#reference.0", "verdict": None, "score": None, "detail": "no verdict"}]
    task = {"artifact": "text2image", "judge": "Judge/Judge-1B"} | count_verdicts(rows, min_score=3)
    card = publish_card.build_card(EVERY, about(), {"samples": 40, "tasks": {"text": task}})
    assert (
        "**The judge of text2image, measured.** Of 40 errors that were planted `Judge/Judge-1B` passed 2: 5 %"
        " (95 % interval 0.6 to 16.9 %). `calibration.json` has the rates by kind."
    ) in card
    assert "measured" not in publish_card.build_card(EVERY, about())


def test_the_works_behind_sources_and_models_are_cited_once() -> None:
    card = publish_card.build_card(EVERY, about())
    cited = card.partition("## Cite")[2].partition("\n## ")[0]
    assert [cited.count(number) for number in ("2408.03326", "2111.15664", "2505.09388")] == [1, 1, 1]
    assert "2507.01006" not in cited
    assert "## Cite" not in publish_card.build_card(manifest(artifact("mine", 1, source("me/mine"))), about())


def test_limits_of_answers_stand_where_there_are_answers() -> None:
    assert "Answers and verdicts are a model's." in publish_card.build_card(EVERY, about())
    converted = manifest(artifact("synthdog_en", 47, source("naver-clova-ix/synthdog-en")))
    assert "## Limits" in publish_card.build_card(converted, about())
    assert "a model's" not in publish_card.build_card(converted, about()).partition("## Limits")[2]


@pytest.mark.parametrize("name", ["text2image_ours", "synthdog_photos", "LLaVA_ReCap_558K_mine"])
def test_an_own_source_is_explained_as_such_whatever_its_name_begins_with(name: str) -> None:
    text = publish_card.build_card(manifest(artifact(name, 3, source("a/b"))), about(forms={name: "llava"}))
    assert f"\n**{name}.** Conversations of the source" in text
    assert "`score`" not in text
    assert "Qwen" not in text
    assert "\n1 artifact with 3 rows" in text
