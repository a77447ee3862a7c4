"""What stands beside the artifacts: manifests, the registration for training, the card, the report.

in:   work/list_shards/*.json, work/assemble_artifact/{name}.json, data/{name}.parquet, data/rejects/{name}.parquet,
      work/read_questions/{questions}.parquet
mid:  work/publish/{dataset_info.json,manifest.json,README.md,report.html}
out:  data/manifest/{name}.json, data/legibility.json, and what work/publish holds, installed into data/
"""


rule manifest_artifact:
    """Say where an artifact's rows are from, and what became of those that are not in it."""
    input:
        summary="work/assemble_artifact/{name}.json",
        listings=lambda wildcards: [
            f"work/list_shards/{source}.json" for source in sources_of(wildcards.name)
        ],
        states=lambda wildcards: [f"work/assemble_artifact/{name}.json" for name in states_of(wildcards.name)],
    output:
        manifest="data/manifest/{name}.json",
    log:
        "logs/manifest_artifact/{name}.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code("manifest_artifact.py"),
    shell:
        "exec manifest_artifact.py --name {wildcards.name:q} --summary {input.summary:q} --listings {input.listings:q}"
        " --states {input.states:q} --manifest {output.manifest:q} 2> {log:q}"


rule publish_registration:
    """Register every artifact for LLaMA-Factory; what others registered stays."""
    output:
        registration="work/publish/dataset_info.json",
    log:
        "logs/publish_registration.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code("publish_registration.py"),
        names=ARTIFACTS,
    shell:
        "exec publish_registration.py --names {params.names:q} --publish {output.registration:q} --data data 2> {log:q}"


rule publish_manifest:
    """Put all manifests into one."""
    input:
        manifests=expand("data/manifest/{name}.json", name=ARTIFACTS),
    output:
        manifest="work/publish/manifest.json",
    log:
        "logs/publish_manifest.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code("publish_manifest.py"),
        config_sha256=content_sha256(),
    shell:
        "exec publish_manifest.py --manifests {input.manifests:q} --config-sha256 {params.config_sha256}"
        " --publish {output.manifest:q} --data data 2> {log:q}"


rule publish_card:
    """Write the dataset card."""
    input:
        manifest="work/publish/manifest.json",
    output:
        card="work/publish/README.md",
    log:
        "logs/publish_card.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code("publish_card.py"),
        about=literally(json.dumps(about())),
    shell:
        "exec publish_card.py --manifest {input.manifest:q} --about {params.about:q} --publish {output.card:q}"
        " --data data 2> {log:q}"


rule read_pages:
    """Have an OCR engine read some pages of text2image, to see that they can be read."""
    input:
        summary="work/assemble_artifact/text2image.json",
        artifact=ancient("data/text2image.parquet"),
        questions=ancient(expand("work/read_questions/{questions}.parquet", questions=QUESTIONS)),
    output:
        legibility="data/legibility.json",
    log:
        "logs/read_pages.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        code=code("read_pages.py"),
        seed=config["seed"],
    shell:
        "exec read_pages.py --artifact {input.artifact:q} --questions {input.questions:q} --seed {params.seed}"
        " --threads {threads} --legibility {output.legibility:q} 2> {log:q}"


rule publish_report:
    """Show what was made: counts, reasons, and rows to look at."""
    input:
        manifest="work/publish/manifest.json",
        artifacts=ancient(expand("data/{name}.parquet", name=ARTIFACTS)),
        rejects=ancient(expand("data/rejects/{name}.parquet", name=ARTIFACTS)),
        legibility="data/legibility.json",
    output:
        report="work/publish/report.html",
    log:
        "logs/publish_report.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("publish_report.py"),
        notice=about()["notice"] or "",
    shell:
        "exec publish_report.py --manifest {input.manifest:q} --data-root . --stats work/stats --rows-per-artifact 6"
        " --legibility {input.legibility:q} --notice {params.notice:q} --publish {output.report:q} --data data 2> {log:q}"
