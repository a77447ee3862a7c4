"""The checked config, and what rules take from it: names, sources, servers, digests.

The functions are in workflow_lib/. Snakemake puts the folder of each Snakefile on sys.path, so also of ours.
"""

import gc
import math
import os
import sys
import time
from functools import cache, partial
from pathlib import Path

from snakemake.utils import update_config

from workflow_lib import card, live, manifests, settings, sources
from workflow_lib.cluster import cancel_jobs, check_status_command
from workflow_lib.code_digest import code_digest, content_digest
from workflow_lib.config import check_choices, check_folders, check_schema, check_switched_off, check_values
from workflow_lib.config import check_run_folder, fail, resolve_paths
from workflow_lib.config_files import read_config_files, read_own
from workflow_lib.due_jobs import list_due_outputs
from workflow_lib.entries import CONTAINERS
from workflow_lib.evaluation import filter_settings, is_filtered
from workflow_lib.failures import check_room, explain_errors, report_failures
from workflow_lib.locked_folder import note_run
from workflow_lib.names import Names, cut_batches, one_of, target_lines
from workflow_lib.run_folder import export_run
from workflow_lib.servers import ServerSettings, job_priorities
from workflow_lib.settings import as_json
from workflow_lib.stop_signals import end_at_signals, wait_for_locks_at_sigterm
from workflow_lib.teachers import askers_of, teachers_of
from workflow_lib.training import training_stages

# Thousands of jobs are millions of objects that all stay: looking through them takes a fifth of planning.
gc.set_threshold(1_000_000)

STARTED = time.time()

end_at_signals()

# The config that a module is given is merged over the checkout's, as a --configfile is.
base_config = read_own(BASE / "config.yaml")
update_config(base_config, config)
config = base_config

check_folders(BASE)
if not {"-l", "--list", "--list-rules", "--list-target-rules", "--lint"} & set(sys.argv):
    check_run_folder()
written = read_config_files(BASE, workflow.configfiles)
check_values(config)
check_schema(config, read_own(BASE / "config.schema.yaml"))
check_switched_off(config, written)
resolve_paths(config, BASE, written)
NAMES = Names(config)
check_choices(config)
live.follow(workflow, NAMES.artifacts)
# Where an artifact is: a file, or a folder of shards.
ARTIFACT = NAMES.path_of("{name}")
# The artifacts of each stage of training.
TRAINED = training_stages(NAMES)

# Programs are found by name: ours, then those beside this Python. An activated conda environment, which
# a job enters later, still comes first.
beside = [str(BASE / "scripts"), str(Path(sys.executable).parent)]
# envs/*.post-deploy.sh find the locks by VLM_DATA_PREP.
path = os.pathsep.join([*beside, os.environ.get("PATH", os.defpath)])
os.environ.update(PATH=path, VLM_DATA_PREP=str(BASE))
export_run(workflow.is_main_process, workflow.remote_exec)
explain_errors()
# code("x.py") is the digest that makes the jobs of a program stale when its code changes.
code = partial(code_digest, BASE / "scripts")

TEXT, IMAGE = config["text_reasoning"], config["image_reasoning"]
SERVERS = {name: ServerSettings(name, given, BASE) for name, given in config["servers"].items()}
TEXT_TEACHER, TEXT_JUDGE, IMAGE_TEACHER, IMAGE_JUDGE = (
    SERVERS[task[role]] for task in (TEXT, IMAGE) for role in ("teacher", "judge")
)
# Who is asked besides the first teacher, by what about: further teachers, and a server whose pass rate counts.
FURTHER = {
    what: {name: SERVERS[name] for name in list(askers_of(config, f"{what}_reasoning"))[1:]}
    for what in ("text", "image")
}
# Whether a task's questions are compared with each other, or with evaluation sets, before they are asked.
FILTERED = {what: is_filtered(config, f"{what}_reasoning") for what in ("text", "image")}
PRIORITIES = job_priorities(config)
MIRROR = sources.mirror_folder(config)
SOURCES = sources.configured_sources(NAMES)
# Which commit a branch or tag names is asked once for all sources of a repository, until asked anew.
REVISIONS = {} if MIRROR else sources.moving_revisions(SOURCES)


wildcard_constraints:
    name=one_of(NAMES.artifacts),
    source=one_of(SOURCES),
    questions=one_of(NAMES.asked),
    shard=r"[^/]+",
    batch=r"\d{5}",


def stage_files(names):
    """What a stage's target builds: each artifact with its manifest and rejects, and the registration."""
    files = (ARTIFACT, "data/manifest/{name}.json", "data/rejects/{name}.parquet")
    return [*expand(files, name=names), "work/publish/dataset_info.json"]


def share(amount, jobs):
    """A job's part of what its server takes, for `threads` and `resources`.

    On a cluster the job starts the server and takes all; on one machine so many jobs of the run share it.
    """
    whole = lambda: workflow.non_local_exec or workflow.remote_exec
    return lambda wildcards: amount if whole() else math.ceil(amount / jobs)


def grow(amount):
    """Memory or time of a job, for `resources`: as much again each time that it is tried."""
    return lambda wildcards, attempt: amount * attempt
