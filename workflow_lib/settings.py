"""Settings files for programs, the config digest, and the texts of prompts."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workflow_lib.card import TASK_OF
from workflow_lib.config import ROLES, TASKS, fail
from workflow_lib.entries import Entry, content_of, form_of, read_entries
from workflow_lib.evaluation import evaluation_files, filter_settings, is_filtered
from workflow_lib.names import Names
from workflow_lib.prompts import prompt_sha256, prompt_text
from workflow_lib.servers import ServerSettings
from workflow_lib.teachers import askers_of, teachers_of

BASE_LOCK = Path(__file__).parents[1] / "envs/base.txt"
"""The packages of every program that starts no server, as every way to install them has them."""

CONTENT_KEYS = (
    *("images", "on_bad_shard"),
    *("text_reasoning", "image_reasoning", "render", "seed"),
)
"""The config keys that decide what artifacts hold, besides the entries of sources; the others say where and
how large things run."""
LIMIT_KEYS = ("batch_size", "max_malformed_share", "allow_empty")
"""The keys of a task that decide when a run ends, or how large its jobs are, and no artifact."""


def fonts_sha256(config: dict[str, Any]) -> str | None:
    """A digest of the fonts that the config adds to those of the requirements; None without any."""
    named = [Path(font) for font in config["render"]["fonts"]]
    for path in named:
        if not os.path.exists(path):
            fail(f"render.fonts: no file or folder {path}")
    files = [file for path in named for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
    return hashlib.sha256("".join(sums).encode()).hexdigest() if sums else None


FILTERING_PACKAGES = ("datasketch", "imagehash", "numpy", "pillow", "scipy")
"""What hashes texts and pictures to compare them."""

COMPARING_PACKAGES = ("math-verify", "latex2sympy2-extended", "sympy", "antlr4-python3-runtime")
"""What compares formulas."""

RENDERING_PACKAGES = (
    "typst", "pypdfium2", "pillow", "numpy", "isal", "fonttools", "manimgx-fonts", "manimgx-fonts-cjk",
    "pylopdf-fonts-zh-cn", "fontpkg-atkinson-hyperlegible", "fontpkg-caveat", "fontpkg-eb-garamond",
    "fontpkg-ibm-plex-serif", "fontpkg-inter", "fontpkg-kalam", "fontpkg-lora", "fontpkg-noto-sans",
    "fontpkg-pt-serif", "fontpkg-roboto", "fontpkg-roboto-slab", "fontpkg-source-serif-4",
)  # fmt: skip
"""What draws a page: the engines, and the wheels of the fonts."""

CHARTING_PACKAGES = ("pygal",)
"""What draws the charts of the report."""


def read_versions(packages: Sequence[str], lock: Path = BASE_LOCK) -> dict[str, str]:
    """The versions that a lock has of packages; KeyError for a package that it lacks.

    They are params of the rules whose bytes a package decides. How it is installed does not matter.
    """
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    return {package: locked[package] for package in packages}


def digest_drawing(config: dict[str, Any], code: str) -> str:
    """A digest of all that decides a page but its question: code, fonts, engines, settings, and the seed."""
    packages = read_versions(RENDERING_PACKAGES)
    parts = [code, fonts_sha256(config), packages, config["render"], config["seed"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def content_sha256(config: dict[str, Any]) -> str:
    """A digest of the config without what only says where and how large things run."""
    content = {key: config[key] for key in CONTENT_KEYS}
    content["sources"] = {name: content_of(entry) for name, entry in read_entries(config).items()}
    content["render"] = content["render"] | {"fonts": fonts_sha256(config)}
    for task in TASKS:
        used = {role: config["servers"][config[task][role]] for role in ROLES}
        content[task] = {key: value for key, value in config[task].items() if key not in LIMIT_KEYS}
        content[task] |= {role: [server["model"], server["max_model_len"]] for role, server in used.items()}
        content[task]["judge_prompt"] = prompt_text(config, task)
        # Without a filter the digest is what it was before there was one.
        del content[task]["duplicates"]
        if rated := content[task].pop("pass_rate_server"):
            server = config["servers"][rated["server"]]
            content[task]["pass_rate_of"] = rated | {"model": server["model"]}
        if filtered := filter_settings(config, task):
            content[task]["filter"] = filtered
        if "teachers" in config[task]:
            models = {name: config["servers"][name] for name in config[task]["teachers"]}
            content[task]["models"] = {
                name: [server["model"], server["max_model_len"]] for name, server in models.items()
            }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def request_settings(
    config: dict[str, Any], task: str, role: str, teacher: str | None = None
) -> dict[str, Any]:
    """What decides the answers of a task's teacher, or the verdicts of its judge.

    The text of the judge's prompt is in a file, for short commands. Of several teachers it is the first, or
    the one named; where they share the questions, each has a part. The server whose pass rate counts is asked
    all questions, with a number of samples of its own.
    """
    given = config[task]
    teacher = teacher or given["teacher"]
    server = config["servers"][given["judge"] if role == "judge" else teacher]
    shared = {
        "model": server["model"],
        "max_model_len": server["max_model_len"],
        "seed": config["seed"],
        "longer_budget": given["longer_budget"] or 0,
        "repetition": given["repetition"] or 0,
    }
    if role == "judge":
        prompt = prompt_sha256(config, task)
        sampling, request = given["sampling"]["judge"], given["request"]["judge"]
        told = {"when": given["judge_when"], "votes": given["judge_votes"], "prompt_sha256": prompt}
        return shared | told | {"sampling": sampling, "request": request}
    asked, teachers = askers_of(config, task), list(teachers_of(config, task))
    own = {key: given[key] for key in ("samples", "no_think_share") if key in given}
    own |= {key: asked[teacher][key] for key in ("form", "samples") if key in asked[teacher]}
    own["checks"] = {key: given[key] for key in ("refusals", "language")}
    by_mode = {
        key: {mode: values for mode, values in asked[teacher][key].items() if mode != "judge"}
        for key in ("request", "sampling")
    }
    is_shared = given.get("mix") == "hash" and teacher in teachers
    shares = {"part": [teachers.index(teacher), len(teachers)]} if is_shared else {}
    return shared | own | {"request": by_mode["request"]} | by_mode["sampling"] | shares


def planted_settings(config: dict[str, Any], task: str) -> dict[str, Any]:
    """What decides the verdicts of a task's judge on planted answers: it is asked about every one."""
    return request_settings(config, task, "judge") | {"when": "always"}


def calibration_settings(config: dict[str, Any], names: Names) -> dict[str, dict[str, Any]]:
    """What decides how verdicts on planted answers are counted, by what is asked about (text, image).

    The digest is of all that decides a verdict, so that the rates of another judge are told apart.
    """
    found = {}
    for artifact in names.reasoned:
        task = TASK_OF[artifact]
        asked = planted_settings(config, task)
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        about = {"artifact": artifact, "judge": asked["model"], "min_score": config[task]["min_score"]}
        found[task.removesuffix("_reasoning")] = about | {"judge_sha256": digest}
    return found


def find_calibration(config: dict[str, Any], names: Names, file: Path) -> list[str]:
    """The file of rates as a list, if it stands and is of today's judges; else none."""
    about = calibration_settings(config, names)
    try:
        tasks = json.loads(file.read_text(encoding="utf-8"))["tasks"]
        is_of_today = tasks.keys() == about.keys() and all(
            about[what].items() <= tasks[what].items() for what in about
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
    return [str(file)] if is_of_today else []


def blind_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What decides the text teacher's answers to questions about pictures, without these: one each."""
    given = request_settings(config, "text_reasoning", "teacher")
    request = {"thinking": given["request"]["thinking"]}
    left_out = ("no_thinking", "no_think_share", "part")
    return {key: value for key, value in given.items() if key not in left_out} | {
        "samples": 1,
        "request": request,
    }


def blind_judge_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What decides verdicts on answers without a picture: one vote, where no rule agrees."""
    return request_settings(config, "image_reasoning", "judge") | {"when": "undecided", "votes": 1}


def selection_settings(config: dict[str, Any], task: str) -> dict[str, Any]:
    """What decides which answers of a task are kept, and tells those of several teachers apart.

    Where each is asked every question, samples are numbered on from one teacher to the next.
    """
    given = config[task]
    decides = {key: given[key] for key in ("min_score", "keep", "keep_failed")}
    decides |= {"disagree": given["rules"]["disagree"], "pass_rate": given["pass_rate"] or [0, 1]}
    if "blind_check" in given:
        decides["blind_check"] = given["blind_check"] or "off"
    if "teachers" not in given:
        return decides
    return decides | {
        "teachers": list(given["teachers"]),
        "samples": given["samples"] if given["mix"] == "all" else 0,
    }


def several_teachers(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """How the answers of several teachers are told apart, by the artifacts of tasks that have several."""
    given = {name: selection_settings(config, task) for name, task in TASK_OF.items()}
    return {
        name: {"names": about["teachers"], "samples": about["samples"]}
        for name, about in given.items()
        if "teachers" in about
    }


def picture_columns(names: Names) -> dict[str, str | None]:
    """The column of pictures of each source where it is not `image`; None: files of their own hold them."""
    found = {name: entry["columns"]["image"] for name, entry in names.entries.items()}
    found |= {name: names.asked[name]["image"] for name in names.pictured}
    found |= dict.fromkeys(names.pictures)
    return {name: column for name, column in found.items() if column != "image"}


def conversion_settings(config: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """How the rows of a source are converted; a source may have a pixel limit of its own.

    The seed decides only which of several prompts a row has.
    """
    limit = config["images"]["max_pixels"]
    images = config["images"] | {"max_pixels": min(limit, entry["max_pixels"] or limit)}
    prompts = entry.get("prompts") or []
    seed = {"prompt_seed": config["seed"]} if len(prompts) > 1 else {}
    folder = {"picture_folder": entry["pictures"].get("folder", "")} if entry["pictures"] else {}
    return form_of(entry) | seed | folder | images | {"on_bad_shard": config["on_bad_shard"]}


def question_settings(config: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """What is read of a source of questions."""
    own = {key: source.get(key) for key in ("repo", "question", "reference")}
    own |= {key: source[key] for key in ("name", "choices", "answer_by", "image") if key in source}
    if "image" in source:
        own |= config["images"] | {"picture_folder": (source.get("pictures") or {}).get("folder", "")}
    shared = {
        "max_questions": config["text_reasoning"]["max_questions"],
        "on_bad_shard": config["on_bad_shard"],
    }
    return own | shared


def as_json(value: Any) -> Callable[[Any], str]:
    """A params function that gives a value, or what a function of wildcards returns, as JSON.

    A text as it is will not do: Snakemake would take its braces for wildcards.
    """
    return lambda wildcards: json.dumps(value(wildcards) if callable(value) else value)


def write_settings(
    config: dict[str, Any], names: Names, mirror: Path | None, servers: dict[str, ServerSettings]
) -> None:
    """Write the files that programs read besides declared inputs: where things are, what the plan assumes.

    They decide no content. They also keep commands short, which Snakemake prints whole where a job fails.
    """
    hub = {
        "mirror": mirror and str(mirror),
        "endpoint": config["hub"]["endpoint"],
        "keep": config["keep_raw"],
    }
    may_be_empty = [name for name, task in TASK_OF.items() if config[task]["allow_empty"]]
    settings = {"work/hub.json": hub, "work/plan.json": plan_settings(config, names)}
    settings["work/allow_empty.json"] = may_be_empty
    settings["work/evaluation.json"] = evaluation_files(config)
    settings["work/render.json"] = {key: config[key] for key in ("render", "seed")}
    for name, server in servers.items():
        own = {"max_failed_share": config["max_failed_share"], "samplings": samplings_of(config, name)}
        own["requests"] = requests_of(config, name)
        own |= {"launcher": server.launcher, "teaches": teaching_of(config, name)}
        own["judges"] = {
            task: config[task]["max_malformed_share"] for task in TASKS if config[task]["judge"] == name
        }
        settings[f"work/servers/{name}/server.json"] = {"name": name} | server.settings | own
    texts = {path: json.dumps(value, indent=2) + "\n" for path, value in settings.items()}
    texts |= {f"work/prompts/{task}.md": prompt_text(config, task) for task in TASKS}
    for path, text in texts.items():
        if Path(path).is_file() and Path(path).read_text(encoding="utf-8") == text:
            continue
        part = Path(f"{path}.{os.getpid()}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)


def samplings_of(config: dict[str, Any], server: str) -> dict[str, Any]:
    """The samplings that a server is asked with, by config key (`text_reasoning.sampling.thinking`)."""
    return by_key(config, server, "sampling")


def requests_of(config: dict[str, Any], server: str) -> dict[str, Any]:
    """What requests of a server carry besides, by the keys of `samplings_of`."""
    return by_key(config, server, "request")


def list_asked_servers(config: dict[str, Any], names: Names) -> list[str]:
    """The servers that a build asks: teachers and judges of the tasks that have questions."""
    tasks = [TASK_OF[name] for name in names.reasoned]
    asked = [server for task in tasks for server in (*askers_of(config, task), config[task]["judge"])]
    if "image_thinking" in names.reasoned and config["image_reasoning"]["blind_check"]:
        asked.append(config["text_reasoning"]["teacher"])
    return [server for server in config["servers"] if server in asked]


def by_key(config: dict[str, Any], server: str, what: str) -> dict[str, Any]:
    """What a server is asked with (`sampling` or `request`), by the config key of the kind's sampling."""
    found = {}
    for task in TASKS:
        own = askers_of(config, task).get(server, {what: {}})[what]
        kinds = {kind: values for kind, values in own.items() if kind != "judge"}
        if config[task]["judge"] == server:
            kinds["judge"] = config[task][what]["judge"]
        found |= {f"{task}.sampling.{kind}": values for kind, values in kinds.items()}
    return found


def teaching_of(config: dict[str, Any], server: str) -> dict[str, Any]:
    """The tasks that a server is the teacher of: its answers' form, and when they are a misfit."""
    # Questions about pictures alone are asked of the text teacher by the blind check, which thinks.
    is_text_asked = any(not each.get("image") for each in config["text_reasoning"]["sources"])
    return {
        task: {
            "form": own["form"],
            "max_malformed_share": config[task]["max_malformed_share"],
            "kinds": [
                "thinking",
                *(["no_thinking"] if is_text_asked and config[task].get("no_think_share") else []),
            ],
        }
        for task in TASKS
        if (own := askers_of(config, task).get(server))
    }


def forms_of(config: dict[str, Any], server: str) -> dict[str, Any]:
    """What a probe is to find in a teacher's answers: form and kinds, by task."""
    return {task: [about["form"], about["kinds"]] for task, about in teaching_of(config, server).items()}


def plan_settings(config: dict[str, Any], names: Names) -> dict[str, Any]:
    """What is built and asked, and what is assumed of it, as the plan takes it."""
    text, image = (
        config[task] | {"prompt": prompt_text(config, task), "teachers": askers_of(config, task)}
        for task in TASKS
    )
    return {
        "converted": names.converted,
        "sampled": names.sampled,
        "pictured": names.pictured,
        "quotas": names.quotas,
        "questions": dict.fromkeys(names.questions, config["text_reasoning"]["max_questions"]),
        "text": text,
        "image": image,
        "filtered": [task.partition("_")[0] for task in TASKS if is_filtered(config, task)],
        "seed": config["seed"],
        "models": {name: server["model"] for name, server in config["servers"].items()},
        "servers": {name: plan_server(name, server) for name, server in config["servers"].items()},
        "rates": config["plan"],
    }


def plan_server(name: str, server: dict[str, Any]) -> dict[str, Any]:
    """What the plan takes of a server. An external one has the GPUs that `args` would start it on."""
    named = {key: server[key] for key in ("concurrency", "replicas", "max_model_len")}
    gpus = ServerSettings(name, server | {"mode": "managed"}, Path()).gpus
    return named | {"gpus": gpus, "starts": server["mode"] == "managed"}
