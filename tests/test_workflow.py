"""The whole of it: hub shards in, eight kinds of training parquet out, and nothing done twice."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT

import full_size
import nasty
from fault_server import FaultServer
from prep.storage.atomic import sha256
from stand_in_server import processes, until
from teachers import teach
from workflow import CAPTIONS, ONEVISION, PAGES, Build, Run, artifact_of, config, hub

CONVERTED = {
    **{name: f"lmms-lab/{name.replace('_', '-')}" for name in CAPTIONS},
    **{name: f"naver-clova-ix/{name.replace('_', '-')}" for name in PAGES},
    **{artifact_of(folder): "lmms-lab/LLaVA-OneVision-Data" for folder in ONEVISION},
}
REASONED = ["text2image", "image_thinking"]
FOREIGN = '{\n    "identity": {"file_name": "identity.json"},   "alpaca": {}\n}\n'


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Iterator[tuple[Build, FaultServer]]:
    """Everything, built once into a folder that holds somebody's registration and README."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "data").mkdir()
    (folder / "data/dataset_info.json").write_text(FOREIGN)
    (folder / "data/README.md").write_text("# Data of LLaMA-Factory\n")
    with FaultServer(teach, slots=16) as server:
        build = Build(folder, config(server.base_url))
        done = build.first = build.run("all", "--printshellcmds")
        assert done.returncode == 0, done.output[-4000:]
        assert "Warning" not in done.output
        yield build, server


def expected_counts() -> dict[str, tuple[int, int]]:
    """Rows and rows kept of each file, as the corpus's own manifest says; by repository and path."""
    counts = {}
    for line in (hub() / "MANIFEST.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[2].isdigit() and cells[3].isdigit():
            counts[f"{cells[0]}/{cells[1].strip('`')}"] = (int(cells[2]), int(cells[3]))
    return counts


@pytest.mark.parametrize("name", CONVERTED)
def test_kept_counts_are_those_of_the_corpus_file_by_file(built, name):
    build, _ = built
    expected, repo = expected_counts(), CONVERTED[name]
    kept = defaultdict(int)
    for id_ in pq.read_table(build.folder / f"data/{name}.parquet", columns=["id"]).column("id").to_pylist():
        kept[id_.removeprefix(f"{name}/").rpartition(":")[0]] += 1
    sources = build.manifest(name)["sources"]
    assert sources
    for source in sources:
        rows, keep = expected[f"{repo}/{source['file']}"]
        assert (source["rows"], source["state"]) == (rows, "read")
        assert kept.pop(Path(source["file"]).stem, 0) == keep
    assert not kept


@pytest.mark.parametrize("name", CONVERTED)
def test_pictures_are_the_sources_byte_for_byte_in_its_order(built, name):
    build, _ = built
    table = pq.read_table(build.folder / f"data/{name}.parquet")
    sources = {
        Path(source["file"]).stem: pq.read_table(hub() / CONVERTED[name] / source["file"], columns=["image"])
        for source in build.manifest(name)["sources"]
    }
    places = []
    for row in table.to_pylist():
        stem, _, number = row["id"].removeprefix(f"{name}/").rpartition(":")
        places.append((stem, int(number)))
        (image,) = row["images"]
        assert image == sources[stem].column("image")[int(number)].as_py()
    assert places == sorted(places)


@pytest.mark.parametrize("name", [*CONVERTED, *REASONED])
def test_every_row_is_accounted_for(built, name):
    build, _ = built
    manifest = build.manifest(name)
    artifact = build.folder / manifest["file"]
    rejects = pq.read_table(build.folder / f"data/rejects/{name}.parquet").to_pylist()
    assert manifest["read"] == manifest["kept"] + sum(manifest["rejected"].values())
    assert manifest["rows"] == manifest["kept"] == pq.read_metadata(artifact).num_rows
    assert (manifest["bytes"], manifest["sha256"]) == (artifact.stat().st_size, sha256(artifact))
    assert manifest["empty"] == (manifest["rows"] == 0)
    counted = defaultdict(int)
    for reject in rejects:
        assert reject["id"]
        assert reject["source_file"]
        assert reject["row"] is not None
        counted[reject["reason"]] += 1
    assert counted == manifest["rejected"]
    ids = [*pq.read_table(artifact, columns=["id"]).column("id").to_pylist(), *(r["id"] for r in rejects)]
    assert len(set(ids)) == len(ids) == manifest["read"]


@pytest.mark.parametrize("name", [*CONVERTED, *REASONED])
def test_training_reads_what_is_written(built, name):
    build, _ = built
    for row in pq.read_table(build.folder / f"data/{name}.parquet").to_pylist():
        texts = [message["content"] for message in row["messages"]]
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * (len(texts) // 2)
        assert sum(text.count("<image>") for text in texts) == len(row["images"]) > 0
        assert all(image["bytes"] for image in row["images"])


def test_every_question_is_asked_in_the_modes_that_are_due(built):
    build, _ = built
    manifest = build.manifest("text2image")
    due = [row["id"] for row in rows(build, "text2image")] + [
        row["id"] for row in rejects(build, "text2image")
    ]
    thinking = [id_ for id_ in due if id_.endswith("#thinking.0")]
    plain = [id_ for id_ in due if id_.endswith("#no_thinking.0")]
    assert len(thinking) == 110 + 121
    assert 80 < len(plain) < 150
    assert {id_.rpartition("#")[0] for id_ in plain} < {id_.rpartition("#")[0] for id_ in thinking}
    assert manifest["read"] == len(thinking) + len(plain)
    assert [source["rows"] for source in manifest["sources"]] == [121, 110]


def test_a_question_becomes_a_page_with_the_whole_answer(built):
    build, _ = built
    asked = questions()
    for row in rows(build, "text2image"):
        user, assistant = (message["content"] for message in row["messages"])
        letters = re.findall(r"[A-Za-z\u4e00-\u9fff]", asked[row["id"].partition("#")[0]])
        chinese = [letter for letter in letters if letter >= "\u4e00"]
        english = letters and len(chinese) <= 0.05 * len(letters)
        prompt = "Please answer the question in the image." if english else "请回答图片中的问题。"
        switch = " /no_think" if row["mode"] == "no_thinking" else ""
        assert user == "<image>\n" * len(row["images"]) + prompt + switch
        assert re.fullmatch(r"<think>\n.*\n</think>\n\n(answer|plainly) \w+", assistant, re.DOTALL)
        assert (row["score"], row["source_id"]) == (4, None)


def test_a_reasoned_picture_keeps_its_bytes_and_its_question(built):
    build, _ = built
    sources = {row["id"]: row for folder in ONEVISION for row in rows(build, artifact_of(folder))}
    reasoned = rows(build, "image_thinking")
    assert len(reasoned) > 100
    for row in reasoned:
        source = sources[row["id"].removesuffix("#thinking.0")]
        assert row["images"] == source["images"]
        assert row["messages"][0] == source["messages"][0]
        assert re.fullmatch(r"<think>\nI see (\w+).\n</think>\n\nIt is \1.", row["messages"][1]["content"])
        assert (row["source_id"], row["mode"]) == (source["source_id"], "thinking")
        assert row["id"].startswith(f"{row['source']}/")


def test_what_others_registered_and_wrote_stays(built):
    build, _ = built
    registered = (build.folder / "data/dataset_info.json").read_text()
    assert registered.startswith(FOREIGN.rstrip("}\n"))
    assert json.loads(registered).keys() == {"identity", "alpaca", *map(last_part, [*CONVERTED, *REASONED])}
    assert (build.folder / "data/README.md").read_text() == "# Data of LLaMA-Factory\n"
    assert (build.folder / "data/DATASET_CARD.md").is_file()
    assert (build.folder / "data/report.html").is_file()


def test_a_second_run_does_nothing(built):
    build, server = built
    asked = server.attempts.total()
    again = build.run("all")
    assert again.returncode == 0
    assert "Nothing to be done" in again.output
    assert server.attempts.total() == asked


def test_a_submitted_job_of_any_rule_is_planned_alone(built):
    """A cluster job is planned by a Snakemake of its own, which knows that job's rule and inputs alone.

    One job of each rule, and of `assemble_artifact` one of each kind, is planned with the arguments that
    executor plugins give; its command must be the one of the whole run.
    """
    build, _ = built
    commands = {target: command for target, command in build.first.targets.items() if target != "all:"}
    chosen = {target.partition(":")[0]: target for target in commands}
    kinds = ("LLaVA_ReCap_558K", "synthdog_en", "llavaonevision_converted/iiit5k", *REASONED)
    targets = {*chosen.values(), *(f"assemble_artifact:name={name}" for name in kinds)}

    def plan_alone(target: str) -> Run:
        return build.run(
            *("--mode", "remote", "--target-jobs", target, "--allowed-rules", target.partition(":")[0]),
            *("--force", "--target-files-omit-workdir-adjustment", "--nolock", "--ignore-incomplete"),
            *("--no-hooks", "--dry-run", "--printshellcmds"),
        )

    with ThreadPoolExecutor(2) as pool:
        for target, planned in zip(targets, pool.map(plan_alone, targets), strict=True):
            assert planned.returncode == 0, planned.output[-2000:]
            assert planned.targets == {target: commands[target]}


def test_commands_are_short_enough_to_be_printed(built):
    """Snakemake prints the command of a job that fails or is interrupted, whatever text it holds."""
    build, _ = built
    commands = {target: command for target, command in build.first.targets.items() if target != "all:"}
    asking = {
        target: command for target, command in commands.items() if re.match("answer|judge|render", target)
    }
    assert len(asking) == 5
    assert max(map(len, asking.values())) < 1500
    assert not [command for command in commands.values() if "examiner" in command]


def test_another_clone_of_the_same_commit_does_nothing(built, tmp_path):
    build, _ = built
    clone = tmp_path / "clone"
    installed = (".venv", ".vllm", ".llamafactory", ".trainers")
    shutil.copytree(
        ROOT, clone, ignore=shutil.ignore_patterns(".git", ".snakemake", "__pycache__", *installed)
    )
    for file in clone.rglob("*"):
        file.touch()
    again = Build(build.folder, build.config, clone).run("all", "--dry-run")
    assert "Nothing to be done" in again.output, again.output[-3000:]


def test_one_artifact_builds_only_what_it_needs(tmp_path):
    build = Build(tmp_path, config("http://127.0.0.1:9/v1"))
    done = build.run("data/llavaonevision_converted/iiit5k.parquet")
    assert done.returncode == 0, done.output[-3000:]
    built = ["list_shards", "fetch_shard", "convert_llava", "gather_parts", "assemble_artifact"]
    assert done.jobs == built
    assert [path.name for path in (tmp_path / "raw").rglob("*.parquet")] == ["train-00000-of-00001.parquet"]
    assert (tmp_path / "raw/llavaonevision_converted/iiit5k/train-00000-of-00001.parquet").is_symlink()


def test_one_artifact_as_target_is_usable_at_once(tmp_path):
    """Its manifest, rejects and registration stand beside it, and are those of a run of the stage."""
    name, other = "LLaVA_ReCap_558K", artifact_of("iiit5k")
    build = Build(tmp_path, config("http://127.0.0.1:9/v1"))
    done = build.run(f"data/{name}.parquet", f"data/{other}.parquet")
    assert done.returncode == 0, done.output[-3000:]
    assert "manifest_artifact" not in done.jobs
    manifest = build.manifest(name)
    assert manifest["sha256"] == sha256(tmp_path / manifest["file"])
    assert [source["state"] for source in manifest["sources"]] == ["read"] * 2
    assert build.manifest(other)["sha256"] == sha256(tmp_path / f"data/{other}.parquet")
    assert name in json.loads((tmp_path / "data/dataset_info.json").read_text())
    assert build.run("stage1").returncode == 0
    assert build.manifest(name) == manifest
    assert "Nothing to be done" in build.run("stage1").output
    (tmp_path / f"data/manifest/{name}.json").unlink()
    again = build.run("stage1")
    assert again.work - {"stage1"} == {f"manifest_artifact {name}"}
    assert build.manifest(name) == manifest


def test_what_stands_is_published_without_a_teacher(tmp_path):
    """The card, the report and the one manifest of stage 1 alone, though the rest was never built."""
    build = Build(tmp_path, config("http://127.0.0.1:9/v1"))
    empty = build.run("publish_built")
    assert empty.returncode != 0
    assert "error: no artifact stood when this run began" in empty.output
    assert build.run("stage1").returncode == 0
    build.config["images"] = {"check": "header"}  # what stands is stale, and published as it stands
    done = build.run("publish_built")
    assert done.returncode == 0, done.output[-3000:]
    assert set(done.jobs) == {
        "publish_manifest_built",
        "publish_card_built",
        "publish_llamafactory_built",
        "publish_report_built",
        "publish_built",
    }
    published = json.loads((tmp_path / "data/manifest.json").read_text())
    assert list(published["artifacts"]) == ["LLaVA_ReCap_558K"]
    assert "LLaVA_ReCap_558K" in (tmp_path / "data/report.html").read_text()
    assert 'config_name: "LLaVA_ReCap_558K"' in (tmp_path / "data/README.md").read_text()
    assert "Nothing to be done" in build.run("publish_built").output


def test_raw_shards_go_once_their_artifact_is_assembled(tmp_path):
    build = Build(tmp_path, config("http://127.0.0.1:9/v1", keep_raw=False))
    target = "data/LLaVA_ReCap_CC3M.parquet"
    assert build.run(target).returncode == 0
    assert not list((tmp_path / "raw").rglob("*.parquet"))
    assert "Nothing to be done" in build.run(target).output
    before = (tmp_path / target).read_bytes()
    build.config["images"] = {"check": "header"}
    again = build.run(target)
    assert again.returncode == 0, again.output[-3000:]
    assert {"fetch_shard", "convert_llava"} <= set(again.jobs)
    assert (tmp_path / target).read_bytes() == before
    assert not list((tmp_path / "raw").rglob("*.parquet"))


def test_raw_shards_stay_from_one_call_of_make_build_to_the_next(tmp_path):
    build = Build(tmp_path, config("http://127.0.0.1:9/v1", keep_raw=False))
    shards, target = "work/gather_parts/LLaVA_ReCap_CC3M.json", "data/LLaVA_ReCap_CC3M.parquet"

    def raw() -> list[Path]:
        return list((tmp_path / "raw").rglob("*.parquet"))

    assert build.run(shards, "--notemp").returncode == 0
    assert raw()
    assert build.run(target).jobs == ["assemble_artifact"]
    assert not raw()
    build.config["images"] = {"check": "header"}
    assert build.run(shards, "--notemp").returncode == 0
    assert raw()
    assert "Nothing to be done" in build.run(target).output
    assert build.run(target, "--delete-temp-output").returncode == 0
    assert not raw()


@pytest.mark.parametrize("stage", ["stage1", "stage2", "stage3"])
def test_a_bare_path_is_enough_to_plan(tmp_path, stage):
    planned = Build(tmp_path, config("http://127.0.0.1:9/v1")).run(stage, "--dry-run", path="/usr/bin:/bin")
    assert planned.returncode == 0, planned.output[-3000:]
    assert "publish_registration" in planned.jobs
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("profile", ["slurm", "cluster-generic"])
def test_the_plan_for_a_cluster_needs_no_cluster(tmp_path, profile):
    profile = str(ROOT / "profiles" / profile)
    planned = Build(tmp_path, config("http://127.0.0.1:9/v1")).run("-n", "all", "--workflow-profile", profile)
    assert planned.returncode == 0, planned.output[-3000:]
    assert "answer_image" in planned.jobs


def test_the_real_size_is_planned_without_a_network(tmp_path):
    full_size.listed(tmp_path)
    planned = Build(tmp_path, {}).run("-n", "all")
    assert planned.returncode == 0, planned.output[-3000:]
    jobs = Counter(planned.jobs)
    shards = sum(full_size.SHARDS.values())
    assert shards == 26 + 280 + 943 + 84 + 87 + sum(1 + 7 * number % 10 for number in range(84))
    assert jobs["fetch_shard"] == jobs["convert_llava"] + jobs["convert_ocr"] == shards
    assert jobs["assemble_artifact"] == jobs["manifest_artifact"] == jobs["verify_artifact"] == 91
    assert jobs["answer_text"] == jobs["compare_text"] == jobs["judge_text"] == full_size.TEXT_BATCHES
    assert jobs["answer_image"] == jobs["compare_image"] == jobs["judge_image"] == full_size.IMAGE_BATCHES


def test_a_fresh_checkout_says_what_it_does_not_know_yet(tmp_path):
    planned = Build(tmp_path, {}).run("-n", "all")
    assert planned.returncode == 0, planned.output[-3000:]
    assert "fetch_shard" not in planned.jobs
    assert "<TBD>" in planned.output
    assert re.search("checkpoint jobs, which will result in alteration of the DAG", planned.output)


@pytest.mark.parametrize("drawing", ["--dag", "--rulegraph"])
def test_the_plan_can_be_drawn(built, drawing):
    build, _ = built
    drawn = build.run("all", drawing)
    assert drawn.returncode == 0
    dot = drawn.output[drawn.output.index("digraph") :]
    assert "assemble_artifact" in dot
    assert dot.rstrip().endswith("}")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
@pytest.mark.parametrize("hung_up", [False, True], ids=["killed", "terminal_closed"])
def test_no_job_outlives_a_workflow_that_is_ended(tmp_path, hung_up):
    name = "LLaVA_ReCap_558K"
    raw = tmp_path / "mirror/lmms-lab/LLaVA-ReCap-558K/data/train-00000.parquet"
    raw.parent.mkdir(parents=True)
    large = nasty.encoded(nasty.photograph(1000, 1000), "PNG")
    turns = [("human", "<image>\nWhat?"), ("gpt", "A cat.")]
    pq.write_table(nasty.llava([(large, turns)] * 60), raw, row_group_size=10)
    build = Build(tmp_path / "build", config("http://127.0.0.1:9", hub={"mirror": str(tmp_path / "mirror")}))
    work = build.folder / f"work/convert_llava/{name}"
    command = build.command(f"data/{name}.parquet")
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as running:
        until(lambda: list(work.glob(".train-00000.parquet.*")), 60)
        if hung_up:
            os.killpg(running.pid, signal.SIGHUP)  # as a terminal that is closed tells all that runs in it
        else:
            running.kill()
    until(lambda: not processes(f"raw/{name}/{raw.name}"))
    assert not list(work.glob("*"))
    # A terminal that is closed leaves no lock.
    assert hung_up or build.run("--unlock").returncode == 0
    done = build.run(f"data/{name}.parquet")
    assert done.returncode == 0, done.output[-4000:]
    assert pq.read_metadata(build.folder / f"data/{name}.parquet").num_rows == 60


# The other cases are those of tests/test_workflow_lib_config.py.
BAD_CONFIGS = {
    "imagez": ({"imagez": {}}, "top level: .*imagez"),
    "mirror": ({"hub": {"mirror": "/no/such/folder"}}, "hub.mirror: no folder /no/such/folder"),
    "judge_prompt": ({"text_reasoning": {"judge_prompt": "no.md"}}, "text_reasoning.judge_prompt: no file"),
    "fonts": ({"render": {"fonts": ["no.ttf"]}}, "render.fonts: no file or folder .*no.ttf"),
    "password": (
        {"servers": {"qwen3": {"mode": "external", "base_urls": ["http://me:secret@127.0.0.1/v1"]}}},
        "servers.qwen3.base_urls: an address has a name or password in it",
    ),
}


@pytest.mark.parametrize("folder", ["raw", "data/rejects", "data/manifest", "logs"])
def test_a_file_in_a_folders_place_is_one_line(tmp_path, folder):
    place = tmp_path / folder
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("")
    done = Build(tmp_path, config("http://127.0.0.1:9/v1")).run("--dry-run")
    assert done.returncode != 0
    assert f"config: {place} is not a folder, and the build writes into it; move it away" in done.output
    assert "Traceback" not in done.output


def test_braces_in_paths_are_one_line_or_do_no_harm(tmp_path):
    build = Build(tmp_path / "{x}", config("http://127.0.0.1:9/v1"))
    done = build.run("data/synthdog_en.parquet")
    assert done.returncode == 0, done.output[-3000:]
    clone = tmp_path / "{y}"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests", "demo", "bench"))
    done = Build(tmp_path / "build", build.config, clone).run("--dry-run")
    assert done.returncode != 0
    assert f"config: the path of this checkout, {clone}, has braces" in done.output
    assert "Traceback" not in done.output


def test_paths_start_at_the_config_file_that_names_them(tmp_path):
    """Of two files the later one counts; what neither names starts at the checkout."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two/mirror").mkdir(parents=True)
    (tmp_path / "one/prompt.md").write_text("{question} {reference} {answer}")
    (tmp_path / "one/a.yaml").write_text(
        "hub: {mirror: not-there}\ntext_reasoning: {judge_prompt: prompt.md}\n"
    )
    (tmp_path / "two/b.yaml").write_text("hub: {mirror: mirror}\nrender: {fonts: [no.ttf]}\n")
    build = Build(tmp_path / "build", {})

    def planned(*files: str) -> str:
        return build.run("--dry-run", "--configfile", *(str(tmp_path / file) for file in files)).output

    assert f"config: hub.mirror: no folder {tmp_path}/one/not-there" in planned("one/a.yaml")
    assert f"config: render.fonts: no file or folder {tmp_path}/two/no.ttf" in planned(
        "one/a.yaml", "two/b.yaml"
    )


@pytest.mark.parametrize("target", ["plan", "targets"])
def test_the_first_typo_is_told_by_every_make_target(tmp_path, target):
    (tmp_path / "my.yaml").write_text("imagez: {}\n")
    command = ["make", target, f"ARGS=--configfile {tmp_path / 'my.yaml'} --directory {tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search(r"^config: top level: .*imagez", done.stderr, re.MULTILINE), done.stderr


def test_a_reader_of_what_is_printed_may_leave(tmp_path):
    with subprocess.Popen(
        ["make", "targets", f"ARGS=--directory {tmp_path}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as done:
        done.stdout.close()
        told = done.stderr.read()
    assert done.returncode == 0, told
    assert (tmp_path / "logs/targets.log").read_text().startswith("all ")


@pytest.mark.parametrize("quiet", [(), ("--quiet", "rules", "progress", "reason", "host")])
def test_a_failed_run_ends_with_the_last_line_of_each_failed_log(tmp_path, quiet):
    base = config("http://127.0.0.1:9/v1", onevision={"configs": ["nothing"]})
    base["sources"] = {"synthdog_en": {"repo": "nobody/nothing"}}
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/old.log").write_text("error: of an earlier run\n")
    os.utime(tmp_path / "logs/old.log", (1, 1))
    done = Build(tmp_path, base).run("plan", *quiet)
    assert done.returncode != 0
    end = done.output[done.output.rindex("\n\nerror: ") :]
    for log, line in (
        ("list_shards/synthdog_en", "error: nobody/nothing: no folder"),
        ("list_shards/llavaonevision_converted/nothing", "error: no file of lmms-lab/LLaVA-OneVision-Data"),
    ):
        assert re.search(rf"^{line}.*\n +\(log: logs/{log}.log\)$", end, re.MULTILINE), done.output[-3000:]
    assert "earlier run" not in done.output


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_config_error_is_one_line_before_anything_runs(tmp_path, case):
    changes, line = BAD_CONFIGS[case]
    done = Build(tmp_path, changes).run("--dry-run")
    assert done.returncode != 0
    assert re.search(f"^config: {line}", done.output, re.MULTILINE), done.output
    assert "Traceback" not in done.output
    assert "secret" not in done.output


@pytest.mark.parametrize(
    ("changes", "target", "line"),
    [
        (
            {"hub": {"mirror": None, "endpoint": "http://127.0.0.1:9"}},
            "work/list_shards/synthdog_en.json",
            r"error: .*naver-clova-ix/synthdog-en.*127.0.0.1:9.*reached",
        ),
        (
            {"sources": {"synthdog_en": {"repo": "nobody/nothing"}}},
            "work/list_shards/synthdog_en.json",
            r"error: nobody/nothing: no folder .*hub\.mirror",
        ),
        (
            {"onevision": {"configs": ["nothing"]}},
            "data/llavaonevision_converted/nothing.parquet",
            r"error: no file of .*LLaVA-OneVision-Data.* matches nothing/train-.*; check the pattern",
        ),
        ({}, "work/servers/qwen3/probe.json", r"error: qwen3: no server answers .*127.0.0.1:9"),
    ],
    ids=["unreachable hub", "missing repository", "empty source", "dead endpoint"],
)
def test_a_job_that_fails_ends_in_one_line_and_leaves_nothing(tmp_path, changes, target, line):
    base = config("http://127.0.0.1:9/v1")
    done = Build(tmp_path, {**base, **changes, "hub": base["hub"] | changes.get("hub", {})}).run(target)
    assert done.returncode != 0
    assert re.search(line, done.output), done.output[-3000:]
    assert "Traceback" not in done.output
    assert not (tmp_path / target).exists()
    assert not list(tmp_path.rglob("*.part"))


def test_every_rule_that_runs_a_program_declares_its_code():
    files = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    blocks = [
        block
        for text in files
        for block in re.split(r"^ *(?:use rule|rule|checkpoint)\b", text, flags=re.M)[1:]
    ]
    programs = [re.search(r'(?:"(?:exec )?|program=")(\w+\.py)[" ]', block) for block in blocks]
    codes = [re.search(r'code=code\("(\w+\.py)"\)', block) for block in blocks]
    told = [(program[1], code and code[1]) for program, code in zip(programs, codes, strict=True) if program]
    assert len(told) > 20
    assert all(program == code for program, code in told), told
    lines = [line for text in files for line in text.splitlines() if re.match(r' *"(?!"")', line)]
    assert max(map(len, lines)) <= 110  # of commands


def test_the_checkout_is_in_good_condition_for_snakemake():
    lint = subprocess.run(
        [str(Path(shutil.which("snakemake") or ROOT / ".venv/bin/snakemake")), "--lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


def questions() -> dict[str, str]:
    """Every question of the corpus by its id."""
    (lines,) = (hub() / "Congliu").rglob("*.jsonl")
    asked = {
        f"Chinese-DeepSeek-R1-Distill-data-110k/{lines.stem}:{row}": json.loads(line)["input"]
        for row, line in enumerate(lines.read_text(encoding="utf-8").splitlines())
    }
    (shard,) = (hub() / "tatsu-lab").rglob("*.parquet")
    for row, columns in enumerate(pq.read_table(shard).to_pylist()):
        asked[f"alpaca/{shard.stem}:{row}"] = f"{columns['instruction']}\n{columns['input']}".rstrip("\n")
    return asked


def rows(build: Build, name: str) -> list[dict]:
    return pq.read_table(build.folder / f"data/{name}.parquet").to_pylist()


def rejects(build: Build, name: str) -> list[dict]:
    return pq.read_table(build.folder / f"data/rejects/{name}.parquet").to_pylist()


def last_part(name: str) -> str:
    return name.rpartition("/")[2]
