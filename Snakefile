"""Training parquet for reasoning vision-language models: captions, OCR, instructions, reasoning of two kinds.

hub -> listing -> raw shards -> shards -> data/*.parquet                          (stages 1 and 2)
questions -> batches -> answers -> verdicts -> pages -> data/text2image.parquet   (stage 3)
artifacts -> samples -> answers -> verdicts -> data/image_thinking.parquet        (stage 3)
"""

import atexit
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


# The folder of this Snakefile, also where another workflow includes it as a module.
BASE = Path(str(workflow.current_basedir))


configfile: f"{BASE}/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/parts.smk"
include: "rules/fetch.smk"
include: "rules/convert.smk"
include: "rules/servers.smk"
include: "rules/text.smk"
include: "rules/image.smk"
include: "rules/teachers.smk"
include: "rules/calibrate.smk"
include: "rules/duplicates.smk"
include: "rules/publish.smk"
include: "rules/plan.smk"


rule all:
    """Every artifact, verified, with its manifest, rejects, card and report."""
    default_target: True
    input:
        stage_files(NAMES.artifacts),
        expand("work/publish/verified/{name}.txt", name=NAMES.artifacts),
        expand("work/publish/{file}", file=["manifest.json", "README.md", "report.html"]),
        expand("work/publish/llamafactory/{stage}.yaml", stage=TRAINED),
        "data/manifest.json",
        "data/report.html",


rule stage1:
    """Sources of stage 1: LLaVA-ReCap 558K, captions that align the vision encoder."""
    input:
        stage_files(NAMES.stages["stage1"]),


rule stage2:
    """Sources of stage 2: LLaVA-ReCap CC3M and CC12M, SynthDoG, every LLaVA-OneVision config."""
    input:
        stage_files(NAMES.stages["stage2"]),


rule stage3:
    """Questions as pictures, and pictures reasoned over: what the teachers answered."""
    input:
        stage_files(NAMES.stages["stage3"]),


rule raw_shards:
    """Every raw shard: a call before the others where jobs on a cluster have no network."""
    input:
        lambda wildcards: [
            f"work/fetch_shard/{source}/{shard}.json"
            for source in SOURCES
            for shard in needed_shards(source)
        ],
        lambda wildcards: [
            f"work/fetch_pictures/{folder}.json"
            for pictures in NAMES.pictures.values()
            for folder in list_loose(pictures)
        ],


rule shards:
    """Every converted shard: a call before `all`, which then assembles only what changed (make build)."""
    input:
        expand("work/gather_parts/{name}.json", name=NAMES.converted),


rule verdicts:
    """Every verdict of the judges: a call before `all`, which then draws and assembles only what changed."""
    input:
        lambda wildcards: expand(
            of_teachers("work/judge_text/{batch}.json", "text"), batch=list_text_batches()
        ),
        expand(of_teachers("work/judge_image/{batch}.json", "image"), batch=IMAGE_BATCHES),


rule refresh:
    """Ask anew which commits branches and tags name: `snakemake refresh --forcerun resolve_revision`."""
    input:
        expand("work/resolve_revision/{resolved}.json", resolved=REVISIONS),


rule targets:
    """Print what can be built or run by name."""
    log:
        "logs/targets.log",
    localrule: True
    conda:
        "envs/base.yaml"
    params:
        names=target_lines(NAMES, config["servers"]),
    # A reader that has seen enough (`| head`) ends cat by SIGPIPE, which is no error.
    shell:
        "printf '%s\n' {params.names:q} > {log:q}; cat {log:q} || [ $? -eq 141 ]"


# A module's hooks run only where the workflow that includes it calls them.
if BASE != Path(workflow.basedir):
    settings.write_settings(config, NAMES, MIRROR, SERVERS)


onstart:
    check_room(list_due_outputs(workflow))
    note_run()
    wait_for_locks_at_sigterm()
    check_status_command(workflow.executor_settings)
    # When the head ends early: also after a second Ctrl-C, when `onerror` is not called.
    atexit.register(cancel_jobs, workflow.executor_settings, log)
    settings.write_settings(config, NAMES, MIRROR, SERVERS)


onsuccess:
    atexit.unregister(cancel_jobs)
    write_missing_manifests()


onerror:
    report_failures(since=STARTED, run_logs=log, shown=live.shows_failures(workflow))
    write_missing_manifests()
