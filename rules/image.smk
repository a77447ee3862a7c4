"""Pictures of the OneVision artifacts, reasoned over by the vision teacher and judged.

in:   data/llavaonevision_converted/*.parquet, work/servers/{name}/probe.json
mid:  work/sample_images/{name}.{parquet,json}, work/answer_image/{batch}.{parquet,json},
      work/judge_image/{batch}.{parquet,json}, work/journal/{name}/*
out:  work/select_image/{batch}.{parquet,rejects.parquet,json}, from which data/image_thinking.parquet is assembled
"""


rule sample_images:
    """Draw single-round rows of a OneVision artifact, always the same ones for a seed."""
    input:
        artifact=ancient("data/{name}.parquet"),
        summary="work/assemble_artifact/{name}.json",
    output:
        samples="work/sample_images/{name}.parquet",
        identity="work/sample_images/{name}.json",
    log:
        "logs/sample_images/{name}.log",
    wildcard_constraints:
        name=one_of(NAMES.onevision),
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("sample_images.py"),
        folder=lambda wildcards: NAMES.onevision[wildcards.name],
        samples=IMAGE["samples_per_config"],
        seed=config["seed"],
    shell:
        "exec sample_images.py --artifact {input.artifact:q} --name {wildcards.name:q} --folder {params.folder:q}"
        " --count {params.samples} --seed {params.seed} --samples {output.samples:q}"
        " --identity {output.identity:q} 2> {log:q}"


rule answer_image:
    """Ask the vision teacher about the pictures of a batch that are not in the journal."""
    input:
        samples=samples,
        identities=sample_identities,
        probe=IMAGE_TEACHER.probe,
    output:
        answers="work/answer_image/{batch}.parquet",
        identity="work/answer_image/{batch}.json",
    log:
        "logs/answer_image/{batch}.log",
    conda:
        IMAGE_TEACHER.environment
    threads: IMAGE_TEACHER.threads
    resources:
        **IMAGE_TEACHER.resources,
    params:
        code=code("answer_image.py"),
        model=IMAGE_TEACHER.model,
        max_model_len=IMAGE_TEACHER.settings["max_model_len"],
        sampling=as_json(IMAGE["sampling"]["thinking"]),
        samples=IMAGE["samples"],
        seed=config["seed"],
        longer_budget=IMAGE["longer_budget"] or 0,
        repetition=IMAGE["repetition"] or 0,
        server=IMAGE_TEACHER.file,
        journal=IMAGE_TEACHER.journal,
    shell:
        "exec answer_image.py --questions {input.samples:q} --server {params.server:q} --model {params.model:q} --probe {input.probe:q}"
        " --journal {params.journal:q} --progress work/stats/answer_image/{wildcards.batch}.json"
        " --sampling {params.sampling:q} --samples {params.samples} --seed {params.seed}"
        " --longer-budget {params.longer_budget} --repetition {params.repetition}"
        " --answers {output.answers:q} --identity {output.identity:q} 2> {log:q}"


checkpoint judge_image:
    """Ask the judge, with the picture, about every answer of a batch that has the right form."""
    input:
        samples=samples,
        identities=sample_identities,
        answers=ancient("work/answer_image/{batch}.parquet"),
        answered="work/answer_image/{batch}.json",
        probe=IMAGE_JUDGE.probe,
    output:
        verdicts="work/judge_image/{batch}.parquet",
        identity="work/judge_image/{batch}.json",
    log:
        "logs/judge_image/{batch}.log",
    conda:
        IMAGE_JUDGE.environment
    threads: IMAGE_JUDGE.threads
    resources:
        **IMAGE_JUDGE.resources,
    params:
        code=code("judge_image.py"),
        model=IMAGE_JUDGE.model,
        max_model_len=IMAGE_JUDGE.settings["max_model_len"],
        prompt_sha256=prompt_sha256(config, "image_reasoning"),
        sampling=as_json(IMAGE["sampling"]["judge"]),
        seed=config["seed"],
        longer_budget=IMAGE["longer_budget"] or 0,
        repetition=IMAGE["repetition"] or 0,
        server=IMAGE_JUDGE.file,
        journal=IMAGE_JUDGE.journal,
    shell:
        "exec judge_image.py --questions {input.samples:q} --answers {input.answers:q}"
        " --server {params.server:q} --model {params.model:q} --probe {input.probe:q} --journal {params.journal:q}"
        " --progress work/stats/judge_image/{wildcards.batch}.json"
        " --prompt work/prompts/image_reasoning.md --prompt-sha256 {params.prompt_sha256}"
        " --sampling {params.sampling:q} --seed {params.seed}"
        " --longer-budget {params.longer_budget} --repetition {params.repetition}"
        " --verdicts {output.verdicts:q} --identity {output.identity:q} 2> {log:q}"


rule select_image:
    """Keep what the judge passed, with the original picture and question."""
    input:
        samples=samples,
        identities=sample_identities,
        answers=ancient("work/answer_image/{batch}.parquet"),
        answered="work/answer_image/{batch}.json",
        verdicts=ancient("work/judge_image/{batch}.parquet"),
        judged=judged("judge_image"),
    output:
        shard="work/select_image/{batch}.parquet",
        rejects="work/select_image/{batch}.rejects.parquet",
        summary="work/select_image/{batch}.json",
    log:
        "logs/select_image/{batch}.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("select_image.py"),
        min_score=IMAGE["min_score"],
    shell:
        "exec select_image.py --questions {input.samples:q} --answers {input.answers:q} --verdicts {input.verdicts:q}"
        " --min-score {params.min_score} --shard {output.shard:q} --rejects {output.rejects:q}"
        " --summary {output.summary:q} 2> {log:q}"
