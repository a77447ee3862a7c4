"""How many rows of stages 1 and 2 repeat others. Nothing is left out: conversion keeps sources as they are.

No part of `all`: the target `count_duplicates` (make duplicates) asks for it.

in:   data/{name}.parquet
mid:  work/fingerprint_rows/{name}.{parquet,json}
out:  data/duplicates.json
"""


rule fingerprint_rows:
    """Take the fingerprints of an artifact's rows: of pictures, of how these look, and of texts."""
    input:
        artifact=ancient(ARTIFACT),
        summary="work/assemble_artifact/{name}.json",
        checkpoints=lambda wildcards: checkpoints_of(wildcards.name),
    output:
        fingerprints="work/fingerprint_rows/{name}.parquet",
        summary="work/fingerprint_rows/{name}.json",
    log:
        "logs/fingerprint_rows/{name}.log",
    wildcard_constraints:
        name=one_of(NAMES.converted),
    conda:
        "../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=grow(4000),
        runtime=grow(240),
    params:
        code=code("fingerprint_rows.py"),
        packages=settings.read_versions(settings.FILTERING_PACKAGES),
    shell:
        "exec fingerprint_rows.py --artifact {input.artifact:q} --threads {threads}"
        " --fingerprints {output.fingerprints:q} --summary {output.summary:q} 2> {log:q}"


rule count_duplicates:
    """Count the rows of each artifact that repeat an earlier one, of its own or of another artifact."""
    input:
        artifacts=ancient([NAMES.path_of(name) for name in NAMES.converted]),
        fingerprints=ancient(expand("work/fingerprint_rows/{name}.parquet", name=NAMES.converted)),
        summaries=expand("work/fingerprint_rows/{name}.json", name=NAMES.converted),
        checkpoints=checkpoints_of(*NAMES.converted),
    output:
        duplicates=report(
            "data/duplicates.json",
            caption="../report/duplicates.rst",
            category="Checks",
        ),
    log:
        "logs/count_duplicates.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(60),
    params:
        code=code("count_duplicates.py"),
        names=NAMES.converted,
    shell:
        "exec count_duplicates.py --names {params.names:q} --artifacts {input.artifacts:q}"
        " --fingerprints {input.fingerprints:q} --duplicates {output.duplicates:q} 2> {log:q}"
