"""Pictures of artifacts whose entry says image_reasoning, reasoned over by the vision teacher and judged.

Files of rows are ancient(): the checksum file beside each, an input too, says whether it changed.

in:   data/{name}.parquet, work/servers/{name}/probe.json
mid:  work/sample_images/{name}.{parquet,json}, work/filter_image/{name}.* (if any are left out),
      work/answer_image/{batch}.{parquet,json},
      work/compare_image/{batch}.{parquet,json}, work/judge_image/{batch}.{parquet,json}, work/journal/{name}/*
      work/{answer,compare,judge}_blind/{batch}.{parquet,json} (where image_reasoning.blind_check is on)
out:  work/select_image/{batch}.{parquet,rejects.parquet,json}, parts of data/image_thinking.parquet
"""


rule sample_images:
    """Draw single-round rows of an artifact, always the same ones for a seed."""
    input:
        artifact=ancient(ARTIFACT),
        summary="work/assemble_artifact/{name}.json",
        checkpoints=lambda wildcards: checkpoints_of(wildcards.name),
    output:
        samples="work/sample_images/{name}.parquet",
        summary="work/sample_images/{name}.json",
    log:
        "logs/sample_images/{name}.log",
    wildcard_constraints:
        name=one_of(NAMES.sampled),
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(60),
    params:
        code=code("sample_images.py"),
        settings=as_json(
            lambda wildcards: {
                "folder": str(Path(NAMES.entries[wildcards.name]["files"][0]).parent),
                "ending": Path(NAMES.entries[wildcards.name]["files"][0]).suffix,
                "count": NAMES.quotas[wildcards.name],
                "seed": config["seed"],
            }
        ),
    shell:
        "exec sample_images.py --artifact {input.artifact:q} --name {wildcards.name:q}"
        " --settings {params.settings:q} --samples {output.samples:q}"
        " --summary {output.summary:q} 2> {log:q}"


rule sample_questions:
    """Draw questions about pictures, always the same ones for a seed."""
    input:
        questions=ancient("work/read_questions/{questions}.parquet"),
        read="work/read_questions/{questions}.json",
        checkpoints=lambda wildcards: checkpoints_of(wildcards.questions),
    output:
        samples="work/sample_questions/{questions}.parquet",
        summary="work/sample_questions/{questions}.json",
    log:
        "logs/sample_questions/{questions}.log",
    wildcard_constraints:
        questions=one_of(NAMES.pictured),
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(60),
    params:
        code=code("sample_questions.py"),
        settings=as_json(
            lambda wildcards: {"count": NAMES.quotas[wildcards.questions], "seed": config["seed"]}
        ),
    shell:
        "exec sample_questions.py --questions {input.questions:q} --settings {params.settings:q}"
        " --samples {output.samples:q} --summary {output.summary:q} 2> {log:q}"


if FILTERED["image"] and (asked := [*NAMES.sampled, *NAMES.pictured]):

    rule filter_image:
        """Leave out questions about pictures that repeat others, or whose picture an evaluation set has."""
        input:
            questions=ancient([f"{samples_of(name)}.parquet" for name in asked]),
            summaries=[f"{samples_of(name)}.json" for name in asked],
            checkpoints=checkpoints_of(*asked),
        output:
            questions=expand("work/filter_image/{asked}.parquet", asked=asked),
            rejects=expand("work/filter_image/{asked}.rejects.parquet", asked=asked),
            summaries=expand("work/filter_image/{asked}.json", asked=asked),
        log:
            "logs/filter_image.log",
        conda:
            "../envs/base.yaml"
        resources:
            mem_mb=grow(4000),
            runtime=grow(240),
        params:
            code=code("filter_image.py"),
            packages=settings.read_versions(settings.FILTERING_PACKAGES),
            settings=as_json(lambda wildcards: filter_settings(config, "image_reasoning")),
            names=asked,
        shell:
            "exec filter_image.py --questions {input.questions:q} --names {params.names:q}"
            " --settings {params.settings:q} --evaluation-files work/evaluation.json"
            " --folder work/filter_image 2> {log:q}"


use rule answer_text as answer_image with:
    """Ask the vision teacher about the pictures of a batch that are not in the journal."""
    input:
        unpack(list_samples),
        probe=IMAGE_TEACHER.probe,
    output:
        answers="work/answer_image/{batch}.parquet",
        summary="work/answer_image/{batch}.json",
    log:
        "logs/answer_image/{batch}.log",
    benchmark:
        "work/benchmarks/answer_image/{batch}.tsv"
    priority: PRIORITIES["answer_image", IMAGE_TEACHER.name]
    conda:
        IMAGE_TEACHER.environment
    threads: share(IMAGE_TEACHER.threads, IMAGE_TEACHER.jobs_at_once)
    resources:
        **IMAGE_TEACHER.job_resources(share),
    params:
        program="answer_image.py",
        code=code("answer_image.py"),
        settings=as_json(settings.request_settings(config, "image_reasoning", "teacher")),
        server=IMAGE_TEACHER.name,
        progress="work/stats/answer_image/{batch}.json",


use rule compare_text as compare_image with:
    """Compare every answer about a picture that has the right form with its reference, by rules."""
    input:
        unpack(list_samples),
        answers=ancient("work/answer_image/{batch}.parquet"),
        answered="work/answer_image/{batch}.json",
    output:
        outcomes="work/compare_image/{batch}.parquet",
        summary="work/compare_image/{batch}.json",
    log:
        "logs/compare_image/{batch}.log",
    params:
        program="compare_image.py",
        code=code("compare_image.py"),
        packages=settings.read_versions(settings.COMPARING_PACKAGES),


use rule judge_text as judge_image with:
    """Ask the judge, with the picture, about every answer of a batch that has the right form."""
    input:
        unpack(list_samples),
        answers=ancient("work/answer_image/{batch}.parquet"),
        answered="work/answer_image/{batch}.json",
        outcomes=ancient("work/compare_image/{batch}.parquet"),
        compared="work/compare_image/{batch}.json",
        probe=IMAGE_JUDGE.probe,
    output:
        verdicts="work/judge_image/{batch}.parquet",
        summary="work/judge_image/{batch}.json",
    log:
        "logs/judge_image/{batch}.log",
    benchmark:
        "work/benchmarks/judge_image/{batch}.tsv"
    priority: PRIORITIES["judge_image", IMAGE_JUDGE.name]
    conda:
        IMAGE_JUDGE.environment
    threads: share(IMAGE_JUDGE.threads, IMAGE_JUDGE.jobs_at_once)
    resources:
        **IMAGE_JUDGE.job_resources(share),
    params:
        program="judge_image.py",
        code=code("judge_image.py"),
        settings=as_json(settings.request_settings(config, "image_reasoning", "judge")),
        prompt="work/prompts/image_reasoning.md",
        server=IMAGE_JUDGE.name,
        progress="work/stats/judge_image/{batch}.json",


use rule answer_text as answer_blind with:
    """Ask the text teacher the questions of a batch without their pictures."""
    input:
        unpack(list_samples),
        probe=TEXT_TEACHER.probe,
    output:
        answers="work/answer_blind/{batch}.parquet",
        summary="work/answer_blind/{batch}.json",
    log:
        "logs/answer_blind/{batch}.log",
    benchmark:
        "work/benchmarks/answer_blind/{batch}.tsv"
    params:
        program="answer_blind.py",
        code=code("answer_blind.py"),
        settings=as_json(settings.blind_settings(config)),
        server=TEXT_TEACHER.name,
        progress="work/stats/answer_blind/{batch}.json",


use rule compare_image as compare_blind with:
    """Compare every answer without a picture with its reference, by rules."""
    input:
        unpack(list_samples),
        answers=ancient("work/answer_blind/{batch}.parquet"),
        answered="work/answer_blind/{batch}.json",
    output:
        outcomes="work/compare_blind/{batch}.parquet",
        summary="work/compare_blind/{batch}.json",
    log:
        "logs/compare_blind/{batch}.log",


use rule judge_image as judge_blind with:
    """Ask the judge, with the picture, about the answers without one that no rule decides."""
    input:
        unpack(list_samples),
        answers=ancient("work/answer_blind/{batch}.parquet"),
        answered="work/answer_blind/{batch}.json",
        outcomes=ancient("work/compare_blind/{batch}.parquet"),
        compared="work/compare_blind/{batch}.json",
        probe=IMAGE_JUDGE.probe,
    output:
        verdicts="work/judge_blind/{batch}.parquet",
        summary="work/judge_blind/{batch}.json",
    log:
        "logs/judge_blind/{batch}.log",
    benchmark:
        "work/benchmarks/judge_blind/{batch}.tsv"
    params:
        program="judge_image.py",
        code=code("judge_image.py"),
        settings=as_json(settings.blind_judge_settings(config)),
        prompt="work/prompts/image_reasoning.md",
        server=IMAGE_JUDGE.name,
        progress="work/stats/judge_blind/{batch}.json",


# What the blind check found, where it is on.
BLIND = {
    "blind_answers": ancient("work/answer_blind/{batch}.parquet"),
    "blind_answered": "work/answer_blind/{batch}.json",
    "blind_verdicts": ancient("work/judge_blind/{batch}.parquet"),
    "blind_judged": "work/judge_blind/{batch}.json",
}
if not IMAGE["blind_check"]:
    BLIND = dict.fromkeys(BLIND, [])


rule select_image:
    """Keep what the judge passed, with the original picture and question."""
    input:
        unpack(list_samples),
        **BLIND,
        **rated_files("image"),
        answers=ancient(of_teachers("work/answer_image/{batch}.parquet", "image")),
        answered=of_teachers("work/answer_image/{batch}.json", "image"),
        verdicts=ancient(of_teachers("work/judge_image/{batch}.parquet", "image")),
        judged=of_teachers("work/judge_image/{batch}.json", "image"),
    output:
        shard="work/select_image/{batch}.parquet",
        rejects="work/select_image/{batch}.rejects.parquet",
        summary="work/select_image/{batch}.json",
    log:
        "logs/select_image/{batch}.log",
    benchmark:
        "work/benchmarks/select_image/{batch}.tsv"
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        code=code("select_image.py"),
        settings=as_json(settings.selection_settings(config, "image_reasoning")),
    shell:
        "exec select_image.py --questions {input.questions:q} --answers {input.answers:q}"
        " --verdicts {input.verdicts:q} --rated-answers {input.rated_answers:q}"
        " --rated-verdicts {input.rated_verdicts:q} --blind-answers {input.blind_answers:q}"
        " --blind-verdicts {input.blind_verdicts:q} --settings {params.settings:q} --shard {output.shard:q}"
        " --rejects {output.rejects:q} --summary {output.summary:q} 2> {log:q}"
