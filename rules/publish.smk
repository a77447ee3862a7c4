"""What stands beside the artifacts: manifests, the registration for training, the card, the report.

Files of rows are ancient(): the checksum file beside each, an input too, says whether it changed.

in:   work/list_shards/*.json, work/assemble_artifact/{name}.json, data/{name}.parquet,
      data/rejects/{name}.parquet, work/read_questions/{questions}.parquet
mid:  work/publish/verified/{name}.txt, work/verify_again/{name}.txt,
      work/publish/{dataset_info.json,manifest.json,README.md,report.html,llamafactory/{stage}.yaml}
out:  data/manifest/{name}.json, data/legibility.json, and what work/publish holds, installed into data/

`publish_built` publishes what stands at the moment: it builds no artifact and asks no teacher.
"""


# Two rules write data/report.html and data/manifest.json: as targets they mean those of all artifacts.
ruleorder: publish_manifest > publish_manifest_built
ruleorder: publish_report > publish_report_built


rule manifest_artifact:
    """Say where an artifact's rows are from, and what became of those that are not in it."""
    input:
        summary="work/assemble_artifact/{name}.json",
        listings=lambda wildcards: listings_of(wildcards.name),
        states=lambda wildcards: other_states_of(wildcards.name),
        checkpoints=lambda wildcards: checkpoints_of(wildcards.name),
    output:
        manifest="data/manifest/{name}.json",
    log:
        "logs/manifest_artifact/{name}.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("manifest_artifact.py"),
    shell:
        "exec manifest_artifact.py --name {wildcards.name:q} --summary {input.summary:q}"
        " --listings {input.listings:q} --states {input.states:q} --manifest {output.manifest:q} 2> {log:q}"


rule verify_artifact:
    """Read an artifact again as its users do, and hold it against its manifest."""
    input:
        manifest="data/manifest/{name}.json",
        artifact=ancient(ARTIFACT),
        rejects=ancient("data/rejects/{name}.parquet"),
        checkpoints=lambda wildcards: checkpoints_of(wildcards.name),
    output:
        verified=report(
            "work/publish/verified/{name}.txt",
            caption="../report/checks.rst",
            category="Checks",
            labels={"artifact": "{name}"},
        ),
    log:
        "logs/verify_artifact/{name}.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(120),
    params:
        code=code("verify_artifact.py"),
        seed=config["seed"],
        shard_bytes=config["output"]["shard_bytes"] or 0,
    shell:
        "exec verify_artifact.py --manifest {input.manifest:q} --data-root . --seed {params.seed}"
        " --shard-bytes {params.shard_bytes} --verified {output.verified:q} 2> {log:q}"


# As a target, `verify` reads all again each time; `all` reads an artifact once.
use rule verify_artifact as verify_artifact_again with:
    output:
        verified=temp("work/verify_again/{name}.txt"),
    log:
        "logs/verify_again/{name}.log",


rule verify:
    """Read every artifact again, and print what each check found."""
    input:
        verified=expand("work/verify_again/{name}.txt", name=NAMES.artifacts),
        checkpoints=checkpoints_of(*NAMES.artifacts),
    log:
        "logs/verify.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    # A reader that has seen enough (`| head`) ends cat by SIGPIPE, which is no error.
    shell:
        "cat {input.verified:q} > {log:q}; cat {log:q} || [ $? -eq 141 ]"


rule publish_registration:
    """Register every artifact for LLaMA-Factory; what others registered stays."""
    output:
        registration="work/publish/dataset_info.json",
    log:
        "logs/publish_registration.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("publish_registration.py"),
        names=NAMES.artifacts,
        sharded="--sharded" if NAMES.sharded else "",
    shell:
        "exec publish_registration.py --names {params.names:q} {params.sharded}"
        " --publish {output.registration:q} --data data 2> {log:q}"


rule publish_manifest:
    """Put all manifests into one."""
    input:
        manifests=expand("data/manifest/{name}.json", name=NAMES.artifacts),
        checkpoints=checkpoints_of(*NAMES.artifacts),
    output:
        manifest="work/publish/manifest.json",
        installed=report(
            "data/manifest.json",
            caption="../report/manifest.rst",
            category="Data",
        ),
    log:
        "logs/publish_manifest.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("publish_manifest.py"),
        # Evaluation sets may be large: they are read only where this job is planned.
        config_sha256=lambda wildcards: settings.content_sha256(config),
        manifests=expand("data/manifest/{name}.json", name=NAMES.artifacts),
    shell:
        "exec publish_manifest.py --manifests {params.manifests:q} --config-sha256 {params.config_sha256}"
        " --publish {output.manifest:q} --data data 2> {log:q}"


CALIBRATION = settings.find_calibration(config, NAMES, Path("data/calibration.json"))
"""The rates of the judges, where they were measured. A param: as an input they would be measured anew."""

DUPLICATES = [path for path in ["data/duplicates.json"] if os.path.isfile(path)]
"""The rows that repeat others, where they were counted: a param too."""


rule publish_card:
    """Write the dataset card."""
    input:
        manifest="work/publish/manifest.json",
        checkpoints=checkpoints_of(*NAMES.artifacts),
    output:
        card=report(
            "work/publish/README.md",
            caption="../report/card.rst",
            category="Data",
        ),
    log:
        "logs/publish_card.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("publish_card.py"),
        about=as_json(card.card_settings(config, NAMES)),
        calibration=CALIBRATION,
        measured=[content_digest(Path(file)) for file in CALIBRATION],
    shell:
        "exec publish_card.py --manifest {input.manifest:q} --about {params.about:q}"
        " --calibration {params.calibration:q} --publish {output.card:q} --data data 2> {log:q}"


rule publish_llamafactory:
    """Write a config for LLaMA-Factory of each stage of training; those that were edited stay."""
    input:
        manifest="work/publish/manifest.json",
        checkpoints=checkpoints_of(*NAMES.artifacts),
    output:
        configs=expand("work/publish/llamafactory/{stage}.yaml", stage=TRAINED),
    log:
        "logs/publish_llamafactory.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("publish_llamafactory.py"),
        stages=as_json(TRAINED),
        max_pixels=config["render"]["max_pixels"],
    shell:
        "exec publish_llamafactory.py --manifest {input.manifest:q} --stages {params.stages:q}"
        " --max-pixels {params.max_pixels} --publish {output.configs:q} --data data 2> {log:q}"


rule read_pages:
    """Have an OCR engine read some pages of text2image, to see that they can be read."""
    input:
        summary="work/assemble_artifact/text2image.json",
        artifact=ancient(NAMES.path_of("text2image")),
        questions=ancient(expand("work/read_questions/{questions}.parquet", questions=NAMES.questions)),
        checkpoints=checkpoints_of("text2image"),
    output:
        legibility=report(
            "data/legibility.json",
            caption="../report/legibility.rst",
            category="Checks",
        ),
    log:
        "logs/read_pages.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(3000),
        runtime=grow(30),
    params:
        code=code("read_pages.py"),
        max_pixels=config["render"]["max_pixels"],
        seed=config["seed"],
    shell:
        "exec read_pages.py --artifact {input.artifact:q} --questions {input.questions:q}"
        " --max-pixels {params.max_pixels} --seed {params.seed} --threads {threads}"
        " --legibility {output.legibility:q} 2> {log:q}"


rule publish_report:
    """Show what was made: counts, reasons, and rows to look at."""
    input:
        manifest="work/publish/manifest.json",
        artifacts=ancient(expand(ARTIFACT, name=NAMES.artifacts)),
        rejects=ancient(expand("data/rejects/{name}.parquet", name=NAMES.artifacts)),
        legibility=["data/legibility.json"] if "text2image" in NAMES.artifacts else [],
        checkpoints=checkpoints_of(*NAMES.artifacts),
    output:
        report="work/publish/report.html",
        installed=report(
            "data/report.html",
            caption="../report/rows.rst",
            category="Data",
        ),
    log:
        "logs/publish_report.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(60),
    params:
        code=code("publish_report.py"),
        packages=settings.read_versions(settings.CHARTING_PACKAGES),
        stages=as_json(TRAINED),
        columns=as_json(settings.picture_columns(NAMES)),
        teachers=as_json(settings.several_teachers(config)),
        notice=card.card_settings(config, NAMES)["notice"] or "",
        legibility=lambda wildcards, input: input.legibility,
        calibration=CALIBRATION,
        duplicates=DUPLICATES,
        measured=[content_digest(Path(file)) for file in [*CALIBRATION, *DUPLICATES]],
    shell:
        "exec publish_report.py --manifest {input.manifest:q} --data-root . --stages {params.stages:q}"
        " --picture-columns {params.columns:q} --teachers {params.teachers:q} --stats work/stats"
        " --rows-per-artifact 6 --legibility {params.legibility:q} --calibration {params.calibration:q}"
        " --duplicates {params.duplicates:q} --notice {params.notice:q}"
        " --publish {output.report:q} --data data 2> {log:q}"


rule publish_built:
    """Write manifest, card, configs and report of the artifacts that stand; nothing is built or asked."""
    input:
        expand("work/publish_built/{file}", file=["manifest.json", "README.md", "report.html"]),
        expand("work/publish_built/llamafactory/{stage}.yaml", stage=TRAINED),
        "work/publish/dataset_info.json",


BUILT = [
    f"data/manifest/{name}.json"
    for name in NAMES.artifacts
    if os.path.isfile(f"data/manifest/{name}.json") and os.path.exists(NAMES.path_of(name))
]
"""The manifests of the artifacts that stand."""


# The manifests are params: as inputs they would have stale artifacts built again.
use rule publish_manifest as publish_manifest_built with:
    input:
        [],
    output:
        manifest="work/publish_built/manifest.json",
        installed="data/manifest.json",
    log:
        "logs/publish_manifest_built.log",
    params:
        manifests=BUILT,
        known_by=[content_digest(Path(manifest)) for manifest in BUILT],


use rule publish_card as publish_card_built with:
    input:
        manifest="work/publish_built/manifest.json",
    output:
        card="work/publish_built/README.md",
    log:
        "logs/publish_card_built.log",


use rule publish_llamafactory as publish_llamafactory_built with:
    input:
        manifest="work/publish_built/manifest.json",
    output:
        configs=expand("work/publish_built/llamafactory/{stage}.yaml", stage=TRAINED),
    log:
        "logs/publish_llamafactory_built.log",


use rule publish_report as publish_report_built with:
    input:
        manifest="work/publish_built/manifest.json",
    output:
        report="work/publish_built/report.html",
        installed="data/report.html",
    log:
        "logs/publish_report_built.log",
    params:
        legibility=[path for path in ["data/legibility.json"] if os.path.exists(path)],
