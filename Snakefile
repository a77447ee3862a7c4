"""Training parquet for reasoning vision-language models: captions, OCR, instructions, reasoning of two kinds.

hub -> listing -> raw shards -> shards -> data/*.parquet                          (stages 1 and 2)
questions -> batches -> answers -> verdicts -> pages -> data/text2image.parquet   (stage 3)
artifacts -> samples -> answers -> verdicts -> data/image_thinking.parquet        (stage 3)
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/parts.smk"
include: "rules/fetch.smk"
include: "rules/convert.smk"
include: "rules/servers.smk"
include: "rules/text.smk"
include: "rules/image.smk"
include: "rules/publish.smk"
include: "rules/plan.smk"


# Temporary files stay for as long as any checkpoint waits: where raw shards are, none waits for pictures.
if not config["keep_raw"]:
    for late in ("gather_parts", "judge_text", "judge_image"):
        workflow.get_rule(late).is_checkpoint = False


localrules:
    all,
    stage1,
    stage2,
    stage3,
    plan,
    refresh,
    targets,


rule all:
    """Every artifact, with its manifest, rejects, card and report."""
    default_target: True
    input:
        stage_files(NAMES.stages["stage1"] + NAMES.stages["stage2"] + NAMES.stages["stage3"]),
        PUBLISHED,


rule stage1:
    """LLaVA-ReCap 558K: captions that align the vision encoder."""
    input:
        stage_files(NAMES.stages["stage1"]),


rule stage2:
    """LLaVA-ReCap CC3M and CC12M, SynthDoG, and every LLaVA-OneVision config."""
    input:
        stage_files(NAMES.stages["stage2"]),


rule stage3:
    """Questions as pictures, and pictures reasoned over: what the teachers answered."""
    input:
        stage_files(NAMES.stages["stage3"]),


rule refresh:
    """Ask anew which commits branches and tags name: `snakemake refresh --forcerun resolve_revision`."""
    input:
        expand("work/resolve_revision/{resolved}.json", resolved=REVISIONS),


rule targets:
    """Print what can be built or run by name."""
    log:
        "logs/targets.log",
    conda:
        "envs/base.yaml"
    params:
        names=target_lines(NAMES, config["servers"]),
    shell:
        "printf '%s\n' {params.names:q} | tee {log:q}"


onstart:
    planned = list(workflow.dag.needrun_jobs())
    starting = {job.rule.name for job in planned}
    # Printing names must not change the settings of a run that goes on in this folder.
    if starting - {"targets"}:
        write_settings(
            config,
            NAMES,
            MIRROR,
            manifest_jobs=[job.wildcards.name for job in planned if job.rule.name == "manifest_artifact"],
        )
    if "probe" in starting:
        forget_probes(config)


onerror:
    report_failures(since=STARTED)
