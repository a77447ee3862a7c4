"""What a change reruns, and what it asks: on a corpus that was really built, with a server that counts.

Each row changes something, plans or runs, and leaves the build as it found it. Rows that Snakemake plans
exactly are planned; where a checkpoint must run first, the row runs on a copy and looks at what really ran.
Within one run all that follows a job runs after it; between two runs, what came out as it was is left alone.
"""

import contextlib
import io
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from PIL import Image

from fault_server import Ask, FaultServer, Reply
from hub_server import Hub
from prep.storage.atomic import read_json
from teachers import teach
from workflow import CAPTIONS, PAGES, Build, Run, artifact_of, conda, config, hub

DIAGRAMS, SCIENCE, WORDS = "ai2d(cauldron,llava_format)", "scienceqa(cauldron,llava_format)", "iiit5k"
SHAPES = "clevr(cauldron,llava_format)"
PICTURES = [DIAGRAMS, SCIENCE, WORDS]
ONEVISION = "lmms-lab/LLaVA-OneVision-Data"
CONVERTED = [*CAPTIONS, *PAGES, *map(artifact_of, PICTURES)]
QUESTIONS = ["Chinese-DeepSeek-R1-Distill-data-110k", "alpaca"]
PUBLISH = {"publish_manifest", "publish_card", "publish_llamafactory", "publish_report"}
ONE_SHARD = "train-00000-of-00001"
TEXT_BATCHES, IMAGE_BATCHES = ["00000", "00001"], ["00000", "00001"]


def jobs(rules: str, *values: str) -> set[str]:
    """Each of some rules with each of some wildcards' values, as `Run.work` names them."""
    return {f"{rule} {value}" for rule in rules.split() for value in values}


def down(*names: str) -> set[str]:
    """What follows when a part of an artifact is made anew."""
    read = {"read_pages"} if "text2image" in names else set()
    rules = "gather_parts assemble_artifact manifest_artifact verify_artifact"
    return jobs(rules, *names) | PUBLISH | read


class Teachers:
    """The teachers' and the judge's stand-in; it keeps every body that it was asked."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, ask: Ask) -> Reply:
        self.bodies.append(ask.body)
        return teach(ask)


def kind(body: dict[str, Any]) -> str:
    """What a request is for."""
    content = body["messages"][-1]["content"]
    if "max_tokens" in body:
        return "probe"
    if "response_format" in body:
        return "judge image" if isinstance(content, list) else "judge text"
    if isinstance(content, list):
        return "image"
    return "no_thinking" if content.endswith(" /no_think") else "thinking"


class Built:
    """A finished build, the mirror and the clone that it was built from, and what it asked."""

    def __init__(self, folder: Path, server: FaultServer, teachers: Teachers) -> None:
        self.mirror, self.clone, self.teachers = folder / "mirror", folder / "clone", teachers
        shutil.copytree(hub(), self.mirror)
        shutil.copytree(
            ROOT,
            self.clone,
            ignore=shutil.ignore_patterns(".*", "__pycache__", "demo", "bench", "tests", "work"),
        )
        self.config = config(
            server.base_url,
            hub={"mirror": str(self.mirror)},
            onevision={"configs": PICTURES},
            text_reasoning={"max_questions": 12, "batch_size": 12},
            image_reasoning={"samples_per_config": 6, "batch_size": 12},
        )
        self.folder = folder / "build"
        done = Build(self.folder, self.config, self.clone).run("all")
        assert done.returncode == 0, done.output[-4000:]
        self.asked = list(map(json.dumps, teachers.bodies))

    def changed(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The config with changes merged over it, mappings key by key."""
        return merged(json.loads(json.dumps(self.config)), changes)

    def plan(self, checkout: Path | None = None, **changes: Any) -> set[str]:
        """What `snakemake -n all` names."""
        planned = Build(self.folder, self.changed(changes), checkout or self.clone).run("-n", "all")
        assert planned.returncode == 0, planned.output[-4000:]
        return planned.work


class Copy:
    """A copy of the build that a row may run on."""

    def __init__(self, built: Built, folder: Path) -> None:
        self.built, self.folder = built, folder
        shutil.copytree(built.folder, folder, symlinks=True)

    def run(self, target: str = "all", **changes: Any) -> tuple[set[str], Counter[str]]:
        """What ran, and how many requests of which kind were sent; none was ever sent before."""
        before = len(self.built.teachers.bodies)
        done = self.command(target, **changes)
        bodies = self.built.teachers.bodies[before:]
        again = [body for body in bodies if kind(body) != "probe" and json.dumps(body) in self.built.asked]
        assert not again, again[:3]
        return done.work - {target}, Counter(map(kind, bodies))

    def command(self, *arguments: str, **changes: Any) -> Run:
        done = Build(self.folder, self.built.changed(changes), self.built.clone).run(*arguments)
        assert done.returncode == 0, done.output[-4000:]
        return done

    def rows(self, name: str) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / f"data/{name}.parquet").to_pylist()


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for key, value in changes.items():
        base[key] = merged(base.get(key, {}), value) if isinstance(value, dict) else value
    return base


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    teachers = Teachers()
    with FaultServer(teachers, slots=16, models=("model", "other")) as server:
        yield Built(tmp_path_factory.mktemp("staleness"), server, teachers)


@pytest.fixture
def copy(built: Built, tmp_path: Path) -> Copy:
    return Copy(built, tmp_path / "copy")


@contextlib.contextmanager
def replaced(file: Path, content: bytes) -> Iterator[None]:
    """A file with other content, for a while; what it was has its old time again."""
    was, times = file.read_bytes(), file.stat()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(was)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@contextlib.contextmanager
def edited(built: Built, *files: str) -> Iterator[None]:
    """Code with one more constant, for a while."""
    with contextlib.ExitStack() as stack:
        for file in files:
            path = built.clone / "scripts" / file
            stack.enter_context(replaced(path, path.read_bytes() + b"EDITED = True\n"))
        yield


@contextlib.contextmanager
def touched(files: list[Path]) -> Iterator[None]:
    """Files with a new time, for a while; links themselves, not what they lead to."""
    times = {file: file.stat(follow_symlinks=False) for file in files}
    try:
        for file in files:
            os.utime(file, follow_symlinks=False)
        yield
    finally:
        for file, was in times.items():
            os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns), follow_symlinks=False)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]


def shards(built: Built, name: str) -> list[str]:
    listing = read_json(built.folder / f"work/list_shards/{name}.json")
    return [Path(file["file"]).stem for file in listing["files"]]


def conversions(built: Built, *names: str) -> set[str]:
    """The jobs that convert all shards of some artifacts."""
    return {
        f"convert_{'ocr' if name in PAGES else 'llava'} {name}/{shard}"
        for name in names
        for shard in shards(built, name)
    }


def test_nothing(built: Built) -> None:
    assert built.plan() == set()


def test_another_clone_a_touch_of_everything_and_where_models_run(built: Built, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(built.clone, clone)
    (clone / "README.md").write_text((clone / "README.md").read_text() + "\nOne more word.\n")
    for file in (clone / "scripts").rglob("*.py"):
        file.write_text(file.read_text() + "# One more word.\n")
    server = {
        "mode": "managed",
        "base_urls": ["http://127.0.0.1:9/v1"],
        "concurrency": 3,
        "launcher": ["python", "-m", "vllm"],
        "args": ["--tensor-parallel-size", "2"],
        "devices": "0,1",
        "api_key_env": "A_KEY",
        "start_timeout": 7,
    }
    with touched(files(built.folder)):
        assert built.plan(clone, servers={"qwen3": server, "glm41v": server}) == set()


def test_intermediate_files_deleted(copy: Copy) -> None:
    for path in (copy.folder / "work").iterdir():
        if path.name not in ("publish", "journal"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(copy.folder / "raw")
    assert copy.command("-n", "all").work == set()


def test_mirror_files_touched(built: Built, copy: Copy) -> None:
    with touched(files(built.mirror)):
        ran, asked = copy.run()
    assert ran == jobs("list_shards", *CONVERTED, *QUESTIONS) | {"batch_questions"}
    assert not asked


def test_an_interrupted_stage_3_goes_on_under_new_listings(built: Built, copy: Copy) -> None:
    """Each kind of batch has one left to answer when the sources are listed again, with the same files."""
    lost = {
        **dict.fromkeys(("answer_text", "compare_text", "judge_text", "render_text"), TEXT_BATCHES[-1]),
        **dict.fromkeys(("answer_image", "compare_image", "judge_image", "select_image"), IMAGE_BATCHES[-1]),
    }
    for rule, number in lost.items():
        for file in (copy.folder / f"work/{rule}").glob(f"{number}.*"):
            file.unlink()
    for name in ("text2image", "image_thinking"):
        (copy.folder / f"data/{name}.parquet").unlink()
        (copy.folder / f"work/assemble_artifact/{name}.json").unlink()
    before = files(copy.folder / "data")
    with touched(files(built.mirror)):
        ran, asked = copy.run()
    assert ran >= jobs("assemble_artifact", "text2image", "image_thinking")
    assert ran >= {f"{rule} {number}" for rule, number in lost.items()}
    assert not jobs("answer_text", TEXT_BATCHES[0]) & ran
    assert not jobs("answer_image", IMAGE_BATCHES[0]) & ran
    assert not asked  # every answer is journaled
    assert set(before) < set(files(copy.folder / "data"))
    for name in ("text2image", "image_thinking"):
        assert copy.rows(name) == pq.read_table(built.folder / f"data/{name}.parquet").to_pylist()


def test_a_program_edited(built: Built) -> None:
    with edited(built, "render_text.py", "convert_ocr.py"):
        planned = built.plan()
    assert planned == (
        jobs("render_text", *TEXT_BATCHES) | down("text2image", *PAGES) | conversions(built, *PAGES)
    )


def test_a_module_edited(built: Built) -> None:
    with edited(built, "prep/reasoning/selection.py"):
        planned = built.plan()
    assert planned == (
        jobs("render_text", *TEXT_BATCHES)
        | jobs("select_image", *IMAGE_BATCHES)
        | down("text2image", "image_thinking")
    )


def test_a_typesetter_of_another_version(built: Built) -> None:
    lock = built.clone / "envs/base.txt"
    with replaced(lock, re.sub(rb"^typst==\S+", b"typst==9.9", lock.read_bytes(), flags=re.MULTILINE)):
        planned = built.plan()
    assert planned == jobs("render_text", *TEXT_BATCHES) | down("text2image")


def test_a_revision_with_the_same_listing(built: Built, copy: Copy) -> None:
    ran, asked = copy.run(sources={"synthdog_en": {"revision": "v2"}})
    assert ran == jobs("list_shards manifest_artifact verify_artifact", "synthdog_en") | PUBLISH
    assert not asked
    assert Build(copy.folder, {}).manifest("synthdog_en")["sources"][0]["revision"] == "v2"


def test_mirror_shards_replaced(built: Built, copy: Copy, tmp_path: Path) -> None:
    captions = built.mirror / "lmms-lab/LLaVA-ReCap-CC3M/data/train-00000-of-00002.parquet"
    name = artifact_of(SCIENCE)
    drawn = [row["id"] for row in copy.rows("image_thinking") if row["id"].startswith(f"{name}/")]
    stem, _, row = drawn[0].removeprefix(f"{name}/").removesuffix("#thinking.0").rpartition(":")
    science = built.mirror / ONEVISION / SCIENCE / f"{stem}.parquet"
    table = pq.read_table(science)
    conversations = table.column("conversations").to_pylist()
    conversations[int(row)][0]["value"] += " Say why."
    column = pa.array(conversations, table.schema.field("conversations").type)
    table = table.set_column(table.column_names.index("conversations"), "conversations", column)
    pq.write_table(table, tmp_path / "science.parquet")
    pq.write_table(pq.read_table(captions).slice(1), tmp_path / "captions.parquet")
    with (
        replaced(captions, (tmp_path / "captions.parquet").read_bytes()),
        replaced(science, (tmp_path / "science.parquet").read_bytes()),
    ):
        ran, asked = copy.run()
    both = ("LLaVA_ReCap_CC3M", name)
    assert ran == (
        jobs("list_shards", *both)
        | jobs("fetch_shard", f"{both[0]}/{captions.name}", f"{name}/{science.name}")
        | jobs("convert_llava", f"{both[0]}/{captions.stem}", f"{name}/{science.stem}")
        | down(*both, "image_thinking")
        | jobs("sample_images", name)
        | jobs("answer_image compare_image judge_image select_image", IMAGE_BATCHES[0])
    )
    assert asked == {"image": 1, "judge image": 1}


def largest(copy: Copy, name: str) -> int:
    """The pixels of an artifact's largest picture."""
    cells = (row["images"][0]["bytes"] for row in copy.rows(name))
    return max(math.prod(Image.open(io.BytesIO(cell)).size) for cell in cells)


def test_pictures_checked_otherwise(built: Built, copy: Copy) -> None:
    ran, asked = copy.run(images={"check": "header"})
    pictures = jobs("sample_images", *map(artifact_of, PICTURES))
    assert ran == conversions(built, *CONVERTED) | down(*CONVERTED) | pictures | ANSWERS["image"]
    assert not asked


def test_pictures_checked_otherwise_in_two_calls(built: Built, copy: Copy) -> None:
    """As make build does: what is assembled is seen once all shards are converted."""
    limit = max(largest(copy, name) for name in CONVERTED if name not in PAGES)
    changed = [name for name in PAGES if largest(copy, name) > limit]
    assert changed
    otherwise = {"images": {"check": "header", "max_pixels": limit}}
    assert copy.run("shards", **otherwise) == (
        conversions(built, *CONVERTED) | jobs("gather_parts", *CONVERTED),
        {},
    )
    assert copy.run(**otherwise) == (down(*changed) - jobs("gather_parts", *changed), {})


def test_max_samples_lowered_and_raised(built: Built, copy: Copy) -> None:
    name = "LLaVA_ReCap_CC12M"
    rows = [file["rows"] for file in read_json(built.folder / f"work/list_shards/{name}.json")["files"]]
    cut = shards(built, name)[1]
    expected = jobs("list_shards", name) | jobs("convert_llava", f"{name}/{cut}") | down(name)
    lowered, asked = copy.run(sources={name: {"max_samples": rows[0] + 1}})
    assert (lowered, asked) == (expected, {})
    assert Build(copy.folder, {}).manifest(name)["read"] == rows[0] + 1
    raised, asked = copy.run()
    assert (raised, asked) == (expected, {})
    assert Build(copy.folder, {}).manifest(name)["read"] == sum(rows)


ANSWERS = {
    "text": jobs("answer_text compare_text judge_text render_text", *TEXT_BATCHES) | down("text2image"),
    "image": jobs("answer_image compare_image judge_image select_image", *IMAGE_BATCHES)
    | down("image_thinking"),
}


def without(rules: str) -> set[str]:
    """Both kinds of reasoning, without the jobs of some rules."""
    left_out = jobs(rules, *TEXT_BATCHES)
    return (ANSWERS["text"] | ANSWERS["image"]) - left_out


def due(built: Built, kind_: str) -> int:
    """How many requests of a kind the build sent."""
    return sum(kind(json.loads(body)) == kind_ for body in built.asked)


def test_no_think_share_raised_and_another_image_model(built: Built, copy: Copy) -> None:
    ran, asked = copy.run(text_reasoning={"no_think_share": 1}, servers={"glm41v": {"model": "other"}})
    new = due(built, "thinking") - due(built, "no_thinking")
    assert ran == without("") | {"probe_glm41v"}
    assert asked.pop("probe") > 0
    assert asked == {
        **dict.fromkeys(("no_thinking", "judge text"), new),
        **dict.fromkeys(("image", "judge image"), due(built, "image")),
    }


def test_sampling_of_one_text_mode_and_the_filter_of_images(built: Built, copy: Copy) -> None:
    ran, asked = copy.run(
        text_reasoning={"sampling": {"thinking": {"temperature": 0.61}}},
        image_reasoning={"min_score": 5, "allow_empty": True},
    )
    assert ran == without("answer_image compare_image judge_image")
    assert asked == dict.fromkeys(("thinking", "judge text"), due(built, "thinking"))
    assert not copy.rows("image_thinking")


def test_the_judges_prompt_of_texts_and_the_sampling_of_images(built: Built, copy: Copy) -> None:
    prompt = built.clone / "prompts/judge_text.md"
    with replaced(prompt, prompt.read_bytes() + b"\nBe strict.\n"):
        ran, asked = copy.run(image_reasoning={"sampling": {"thinking": {"temperature": 0.81}}})
    assert ran == without("answer_text compare_text")
    assert asked == {kind_: due(built, kind_) for kind_ in ("judge text", "image", "judge image")}


def test_the_filter_and_drawing_of_texts_and_the_judges_prompt_of_images(built: Built, copy: Copy) -> None:
    prompt = built.clone / "prompts/judge_image.md"
    with replaced(prompt, prompt.read_bytes() + b"\nBe strict.\n"):
        ran, asked = copy.run(
            text_reasoning={"min_score": 2, "keep": "all", "keep_failed": True, "pass_rate": [0.1, 1]},
            render={"max_font_px": 24},
        )
    assert ran == without("answer_text compare_text judge_text answer_image compare_image")
    assert asked == {"judge image": due(built, "judge image")}
    assert copy.rows("text2image")


def test_what_a_rules_disagreement_decides_asks_nothing(built: Built, copy: Copy) -> None:
    """The judge is asked alike under both: a trial of `reject` costs no request, nor does the way back."""
    before = {name: copy.rows(name) for name in ("text2image", "image_thinking")}
    rejecting = {"rules": {"disagree": "reject"}}
    ran, asked = copy.run(text_reasoning=rejecting, image_reasoning=rejecting)
    before_selection = "answer_text compare_text judge_text answer_image compare_image judge_image"
    assert jobs("render_text", *TEXT_BATCHES) | jobs("select_image", *IMAGE_BATCHES) <= ran
    assert not ran & jobs(before_selection, *TEXT_BATCHES, *IMAGE_BATCHES)
    assert not asked
    logs = [(copy.folder / f"logs/render_text/{batch}.log").read_text() for batch in TEXT_BATCHES]
    taken = [re.search(r"(\d+) rows have their pages of the last run", log)[1] for log in logs]
    assert sum(map(int, taken)) == len(copy.rows("text2image")) > 0
    for name, rows in before.items():
        assert copy.rows(name) == [row for row in rows if row["rule"] != "disagrees"]
        assert {row["rule"] for row in rows} <= {"agrees", "disagrees", "cannot_tell"}
    ran, asked = copy.run()
    assert not asked
    assert {name: copy.rows(name) for name in before} == before


def test_the_judges_programs_edited_in_two_calls(built: Built, copy: Copy) -> None:
    """Verdicts that come out as they were, from the journal, draw and assemble nothing in the next run."""
    with edited(built, "judge_text.py", "judge_image.py"):
        ran, asked = copy.run("verdicts")
        assert ran == jobs("judge_text", *TEXT_BATCHES) | jobs("judge_image", *IMAGE_BATCHES)
        assert not asked
        assert copy.run() == (set(), {})


def test_max_questions_lowered_and_raised(built: Built, copy: Copy) -> None:
    """How batches are cut follows from what is read, and that from a listing: one run does for all of it."""
    expected = jobs("read_questions", *QUESTIONS) | {"batch_questions"} | down("text2image")
    expected |= jobs(
        "answer_text compare_text judge_text render_text", "00000"
    )  # the second batch stands as it was
    ran, asked = copy.run(text_reasoning={"max_questions": 5})
    assert (ran, asked) == (expected, {})
    assert {row["id"].split("#")[0].split(":")[1] for row in copy.rows("text2image")} <= set("01234")
    ran, asked = copy.run()
    assert (ran, asked) == (expected, {})
    assert copy.rows("text2image") == pq.read_table(built.folder / "data/text2image.parquet").to_pylist()
    assert copy.run() == (set(), {})


def added(name: str) -> set[str]:
    """The jobs that an artifact of one shard takes by itself."""
    rules = "list_shards gather_parts assemble_artifact manifest_artifact verify_artifact sample_images"
    return (
        jobs(rules, name)
        | jobs("fetch_shard", f"{name}/{ONE_SHARD}.parquet")
        | jobs("convert_llava", f"{name}/{ONE_SHARD}")
    )


def of_conversion(ran: set[str]) -> set[str]:
    """Those of the jobs that are listing, fetching, converting and assembling converted artifacts."""
    rules = ("list_shards", "fetch_shard", "convert_", "gather_parts", "assemble_artifact", "sample_images")
    reasoned = jobs("gather_parts assemble_artifact", "text2image", "image_thinking")
    return {job for job in ran if job.startswith(rules)} - reasoned


def test_batches_cut_otherwise_and_a_config_added_at_the_end(copy: Copy) -> None:
    ran, asked = copy.run(
        onevision={"configs": [*PICTURES, SHAPES]},
        text_reasoning={"batch_size": 7},
        image_reasoning={"batch_size": 6},
    )
    assert of_conversion(ran) == of_conversion(added(artifact_of(SHAPES)))
    assert asked == {"image": 6, "judge image": 6}


def test_more_is_asked_and_a_config_is_added_in_the_middle(built: Built, copy: Copy) -> None:
    ran, asked = copy.run(
        onevision={"configs": [DIAGRAMS, SHAPES, SCIENCE, WORDS]},
        text_reasoning={"samples": 2},
        image_reasoning={"samples_per_config": 8},
    )
    names = [artifact_of(folder) for folder in (*PICTURES, SHAPES)]
    assert of_conversion(ran) == of_conversion(added(artifact_of(SHAPES))) | jobs("sample_images", *names)
    assert asked["thinking"] == due(built, "thinking")
    assert asked["no_thinking"] == due(built, "no_thinking")
    assert asked["image"] == asked["judge image"] == 2 * 2 + 8  # all of the third's rows were drawn before


def test_a_branch_that_moves_is_followed_when_asked_to(tmp_path: Path) -> None:
    shutil.copytree(hub() / ONEVISION / WORDS, tmp_path / "hub" / ONEVISION / WORDS)
    shard = tmp_path / "hub" / ONEVISION / WORDS / f"{ONE_SHARD}.parquet"
    name = artifact_of(WORDS)
    target = f"data/manifest/{name}.json"
    refresh = ("refresh", "--forcerun", "resolve_revision")
    with Hub(tmp_path / "hub") as served:
        base = config("http://127.0.0.1:9/v1", onevision={"configs": [WORDS]})
        build = Build(tmp_path / "build", base | {"hub": {"mirror": None, "endpoint": served.endpoint}})

        def run(*arguments: str) -> set[str]:
            done = build.run(*arguments)
            assert done.returncode == 0, done.output[-3000:]
            return done.work

        revision = f"work/resolve_revision/{ONEVISION}@main.json"
        assert jobs("resolve_revision", f"{ONEVISION}@main") < run(target)
        first = build.manifest(name)["sources"][0]["commit"]
        pq.write_table(pq.read_table(shard).slice(1), shard)
        assert run("-n", target) == set()
        run(revision, *refresh[1:])
        assert jobs("list_shards", name) < run("-n", target)  # and what may follow
        assert jobs("fetch_shard", f"{name}/{shard.name}") < run(target)
        (source,) = build.manifest(name)["sources"]
        assert source["commit"] == served.commit(ONEVISION) != first
        run(revision, *refresh[1:])
        assert run("-n", target) == set()
        asked = len(served.requests)
        run(target, "--forcerun", "fetch_shard")
        assert len(served.requests) == asked  # what was downloaded is checked and kept


def test_what_servers_run_in(tmp_path: Path) -> None:
    clone, teachers = tmp_path / "clone", Teachers()
    left_out = (".*", "__pycache__", "demo", "bench", "tests", "work")
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(*left_out))
    path = conda(tmp_path / "conda")
    with FaultServer(teachers, slots=16) as server:
        base = config(
            server.base_url,
            onevision={"configs": [WORDS]},
            text_reasoning={"max_questions": 3},
            image_reasoning={"samples_per_config": 3},
        )
        managed = {"mode": "managed", "model": "model", "launcher": ["no-such-launcher"]}

        installed = ["--sdm", "conda"]

        def run(**servers: Any) -> set[str]:
            build = Build(tmp_path / "build", base | {"servers": base["servers"] | servers}, clone)
            done = build.run("stage3", *installed, path=path)
            assert done.returncode == 0, done.output[-4000:]
            return done.work - {"stage3"}

        run()
        asked = len(teachers.bodies)
        conda_on, installed = installed, []
        assert run() == set()
        assert run(glm41v=managed) == set()
        installed = conda_on
        assert run(glm41v=managed) == set()
        for file in (clone / "envs/vllm-glm41v.yaml", clone / "envs/vllm-glm41v.post-deploy.sh"):
            with replaced(file, file.read_bytes() + b"# other\n"):
                assert run(glm41v=managed) == set()
        assert len(teachers.bodies) == asked
