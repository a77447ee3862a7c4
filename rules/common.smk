"""The checked config, the names that wildcards may take, and the digest of a program's code.

A dry run needs nothing but Snakemake: what is imported here comes with it.
"""

import gc
import hashlib
import json
import os
import re
import sys
import time
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

from workflow_lib.code_digest import code_digest

# Thousands of jobs are millions of objects that all stay: looking through them takes a fifth of planning.
gc.set_threshold(1_000_000)

BASE = Path(workflow.basedir)
SCRIPTS = BASE / "scripts"
STARTED = time.time()

# What the jobs of a program are stale by.
code = partial(code_digest, SCRIPTS)

PATH_KEYS = (
    "hub.mirror",
    "text_reasoning.judge_prompt",
    "image_reasoning.judge_prompt",
    "render.fonts",
    "servers.*.conda_env",
)
"""The config keys that hold a path, or a list of paths; `*` is any key."""


def fail(line):
    """Stop before anything runs, with one line that says what, where, and what to do."""
    raise WorkflowError(f"config: {line}")


def check_config():
    """Hold the config against its schema and fill in what the schema has defaults for."""
    schema = yaml.safe_load((BASE / "config.schema.yaml").read_text(encoding="utf-8"))
    # JSON Schema takes 42.0 for an integer; the programs do not.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    )
    checker = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)
    found = checker(schema).iter_errors(config)
    if error := jsonschema.exceptions.best_match(found):
        place = ".".join(map(str, error.absolute_path)) or "top level"
        if place.endswith(".api_key_env"):  # a key that was put there is not repeated
            fail(f"{place}: is no name of a variable; put the key into a variable, and its name here")
        fail(f"{place}: {error.message}")
    # A key that another file names comes first; artifacts stay in the schema's order.
    order = schema["properties"]["sources"]["properties"]
    config["sources"] = {name: config["sources"][name] for name in order}
    server = schema["$defs"]["server"]["properties"]
    defaults = {key: value["default"] for key, value in server.items() if "default" in value}
    config["servers"] = {name: defaults | given for name, given in config["servers"].items()}


def check_folders():
    """Fail where Snakemake cannot work: braces in the checkout's path, or a file in a folder's place."""
    if set("{}") & set(str(BASE)):
        fail(f"the path of this checkout, {BASE}, has braces, which Snakemake reads as wildcards; move it")
    for folder in ("raw", "data", "data/rejects", "data/manifest", "work", "work/publish", "logs"):
        if os.path.lexists(folder) and not os.path.isdir(folder):
            fail(f"{Path(folder).absolute()} is not a folder, and the build writes into it; move it away")


def resolve_paths():
    """Make each path in the config absolute: a relative one starts at the config file that names it."""
    base = str(BASE / "config.yaml")
    files = [base, *(file for file in map(str, workflow.configfiles) if file != base)]
    named = [
        (Path(file).parent, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
        for file in files
        if os.path.isfile(file)
    ]

    def folder_of(keys):
        """The folder of the last file that has the key; what no file names starts at the checkout."""
        for folder, node in reversed(named):
            for key in keys:
                node = node.get(key) if isinstance(node, dict) else None
            if node is not None:
                return folder
        return BASE

    def resolve(node, pattern, keys):
        if not pattern:
            folder = folder_of(keys)
            if isinstance(node, list):
                return [os.path.normpath(folder / each) for each in node]
            return node and os.path.normpath(folder / node)
        chosen = list(node) if pattern[0] == "*" else [pattern[0]]
        return node | {key: resolve(node[key], pattern[1:], [*keys, key]) for key in chosen}

    for pattern in PATH_KEYS:
        config.update(resolve(config, pattern.split("."), []))


def report_failures():
    """Print the last line of each log that ends in an error and was written by this run.

    Programs end with one `error:` line in their log. Snakemake shows logs where jobs fail, which is pages
    above the end of a long run, and with `--quiet rules` not at all.
    """
    lines = []
    for log in sorted(Path("logs").rglob("*.log")):
        if log.stat().st_mtime >= STARTED - 1:  # file systems round times down
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            if last.startswith("error: "):
                lines.append(f"{last}\n       (log: {log})")
    if lines:
        print("\n".join(["", *lines]), file=sys.stderr, flush=True)


def artifact_of(onevision_config):
    """A OneVision config's artifact: `ai2d(cauldron,llava_format)` is …/ai2d_cauldron_llava_format."""
    name = re.sub(r"[(), -]", "_", onevision_config).rstrip("_")
    return f"llavaonevision_converted/{name}"


def one_of(names):
    """A wildcard constraint that admits exactly these names; short, since every path is matched by it."""
    folders = {}
    for name in names:
        folder, slash, last = name.rpartition("/")
        folders.setdefault(folder + slash, []).append(re.escape(last))
    found = [f"{re.escape(folder)}(?:{'|'.join(lasts)})" for folder, lasts in folders.items()]
    return "|".join(found) or "(?!)"


check_folders()
check_config()
resolve_paths()

# Programs are found by name: ours, then those beside this Python. An activated conda environment, which
# a job enters later, still comes first.
beside = [str(SCRIPTS), str(Path(sys.executable).parent)]
os.environ.update(PATH=os.pathsep.join([*beside, os.environ.get("PATH", os.defpath)]))

RECAP = [name for name in config["sources"] if name.startswith("LLaVA_ReCap")]
SYNTHDOG = [name for name in config["sources"] if name.startswith("synthdog")]
ONEVISION = {artifact_of(name): name for name in config["onevision"]["configs"]}
QUESTIONS = {Path(source["repo"]).name: source for source in config["text_reasoning"]["sources"]}
STAGES = {
    "stage1": ["LLaVA_ReCap_558K"],
    "stage2": [name for name in RECAP if name != "LLaVA_ReCap_558K"] + SYNTHDOG + list(ONEVISION),
    "stage3": ["text2image", "image_thinking"],
}
CONVERTED = STAGES["stage1"] + STAGES["stage2"]
ARTIFACTS = CONVERTED + STAGES["stage3"]

if len(ONEVISION) < len(config["onevision"]["configs"]):
    fail("onevision.configs: two of them give the same artifact name; leave one out")
if len(QUESTIONS) < len(config["text_reasoning"]["sources"]) or set(QUESTIONS) & set(ARTIFACTS):
    fail("text_reasoning.sources: the last parts of the repos must differ, and not be an artifact's name")
for task in ("text_reasoning", "image_reasoning"):
    for role in ("teacher", "judge"):
        if config[task][role] not in config["servers"]:
            fail(
                f"{task}.{role}: no server {config[task][role]!r} under servers ({', '.join(config['servers'])})"
            )
if config["render"]["min_font_px"] > config["render"]["max_font_px"]:
    fail("render.min_font_px: is more than render.max_font_px")


wildcard_constraints:
    name=one_of(ARTIFACTS),
    source=one_of([*CONVERTED, *QUESTIONS]),
    questions=one_of(QUESTIONS),
    shard=r"[^/]+",
    batch=r"\d{5}",


def stage_files(names):
    """What a stage's target builds: each artifact with its manifest and rejects, and the registration."""
    files = ("data/{name}.parquet", "data/manifest/{name}.json", "data/rejects/{name}.parquet")
    return [*expand(files, name=names), "work/publish/dataset_info.json"]
