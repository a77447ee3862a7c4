"""Questions answered by the text teacher, judged, and drawn as pictures.

Files of rows are ancient(): the checksum file beside each, an input too, says whether it changed.

in:   raw/{questions}/*, work/servers/{name}/probe.json
mid:  work/read_questions/{questions}.*, work/filter_text/{questions}.* (if any are left out),
      work/batch_questions/{batch}.*,
      work/answer_text/{batch}.{parquet,json}, work/compare_text/{batch}.{parquet,json},
      work/judge_text/{batch}.{parquet,json}, work/journal/{name}/*
out:  work/render_text/{batch}.{parquet,rejects.parquet,json}, from which data/text2image.parquet is assembled
"""


rule read_questions:
    """Read the questions of a source; empty and broken ones are rejected."""
    input:
        raw=lambda wildcards: list_raw_files(wildcards.questions),
        raw_summaries=lambda wildcards: [
            f"work/fetch_shard/{wildcards.questions}/{shard}.json"
            for shard in needed_shards(wildcards.questions)
        ],
        pictures=lambda wildcards: list_pictures(wildcards.questions),
        picture_summaries=lambda wildcards: list_picture_summaries(wildcards.questions),
    output:
        questions="work/read_questions/{questions}.parquet",
        rejects="work/read_questions/{questions}.rejects.parquet",
        summary="work/read_questions/{questions}.json",
    log:
        "logs/read_questions/{questions}.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(60),
    params:
        code=code("read_questions.py"),
        settings=as_json(
            lambda wildcards: settings.question_settings(config, NAMES.asked[wildcards.questions])
        ),
    shell:
        "exec read_questions.py --raw {input.raw:q} --raw-summaries {input.raw_summaries:q}"
        " --pictures {input.pictures:q}"
        " --settings {params.settings:q} --questions {output.questions:q}"
        " --rejects {output.rejects:q} --summary {output.summary:q} 2> {log:q}"


if FILTERED["text"] and NAMES.questions:

    rule filter_text:
        """Leave out questions that repeat others or overlap with evaluation sets, over all sources."""
        input:
            questions=ancient(expand("work/read_questions/{questions}.parquet", questions=NAMES.questions)),
            summaries=expand("work/read_questions/{questions}.json", questions=NAMES.questions),
            checkpoints=checkpoints_of(*NAMES.questions),
        output:
            questions=expand("work/filter_text/{questions}.parquet", questions=NAMES.questions),
            rejects=expand("work/filter_text/{questions}.rejects.parquet", questions=NAMES.questions),
            summaries=expand("work/filter_text/{questions}.json", questions=NAMES.questions),
        log:
            "logs/filter_text.log",
        conda:
            "../envs/base.yaml"
        resources:
            mem_mb=grow(4000),
            runtime=grow(240),
        params:
            code=code("filter_text.py"),
            packages=settings.read_versions(settings.FILTERING_PACKAGES),
            settings=as_json(lambda wildcards: filter_settings(config, "text_reasoning")),
            names=NAMES.questions,
        shell:
            "exec filter_text.py --questions {input.questions:q} --names {params.names:q}"
            " --settings {params.settings:q} --evaluation-files work/evaluation.json"
            " --folder work/filter_text 2> {log:q}"


checkpoint batch_questions:
    """Cut the questions of all sources, in order, into batches that a job answers."""
    input:
        questions=ancient([f"{questions_of(name)}.parquet" for name in NAMES.questions]),
        summaries=[f"{questions_of(name)}.json" for name in NAMES.questions],
    output:
        folder=directory("work/batch_questions"),
    log:
        "logs/batch_questions.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("batch_questions.py"),
        batch_size=TEXT["batch_size"],
        # Changes whenever read_questions or filter_text would run again. Snakemake must know that this checkpoint
        # runs again before it evaluates the listings: afterwards it takes the batches that stand for final.
        reading=lambda wildcards: [
            code("read_questions.py"),
            *(settings.question_settings(config, given) for given in map(NAMES.asked.get, NAMES.questions)),
            *(
                [code("filter_text.py"), filter_settings(config, "text_reasoning")]
                if FILTERED["text"]
                else []
            ),
        ],
    shell:
        "exec batch_questions.py --questions {input.questions:q} --batch-size {params.batch_size}"
        " --folder {output.folder:q} 2> {log:q}"


rule answer_text:
    """Ask the text teacher for what is due of a batch and not in the journal."""
    input:
        batches=ancient("work/batch_questions"),
        questions=ancient("work/batch_questions/{batch}.parquet"),
        batch_summary="work/batch_questions/{batch}.json",
        probe=TEXT_TEACHER.probe,
    output:
        answers="work/answer_text/{batch}.parquet",
        summary="work/answer_text/{batch}.json",
    log:
        "logs/answer_text/{batch}.log",
    benchmark:
        "work/benchmarks/answer_text/{batch}.tsv"
    priority: PRIORITIES["answer_text", TEXT_TEACHER.name]
    conda:
        TEXT_TEACHER.environment
    threads: share(TEXT_TEACHER.threads, TEXT_TEACHER.jobs_at_once)
    resources:
        **TEXT_TEACHER.job_resources(share),
    params:
        program="answer_text.py",
        code=code("answer_text.py"),
        settings=as_json(settings.request_settings(config, "text_reasoning", "teacher")),
        server=TEXT_TEACHER.name,
        progress="work/stats/answer_text/{batch}.json",
    shell:
        "exec {params.program} --questions {input.questions:q} --settings {params.settings:q}"
        " --server work/servers/{params.server}/server.json --probe {input.probe:q}"
        " --journal work/journal/{params.server} --progress {params.progress:q}"
        " --answers {output.answers:q} --summary {output.summary:q} 2> {log:q}"


rule compare_text:
    """Compare every answer of a batch that has the right form with its reference, by rules."""
    input:
        questions=ancient("work/batch_questions/{batch}.parquet"),
        batch_summary="work/batch_questions/{batch}.json",
        answers=ancient("work/answer_text/{batch}.parquet"),
        answered="work/answer_text/{batch}.json",
    output:
        outcomes="work/compare_text/{batch}.parquet",
        summary="work/compare_text/{batch}.json",
    log:
        "logs/compare_text/{batch}.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(120),
    params:
        program="compare_text.py",
        code=code("compare_text.py"),
        packages=settings.read_versions(settings.COMPARING_PACKAGES),
    shell:
        "exec {params.program} --questions {input.questions:q} --answers {input.answers:q}"
        " --outcomes {output.outcomes:q} --summary {output.summary:q} 2> {log:q}"


rule judge_text:
    """Ask the judge about every answer of a batch that has the right form.

    A verdict is stale when its question, its answer, the rule's comparison, the judge's probe, a param (the
    prompt is one, by its sha256), or the program changes.
    """
    input:
        questions=ancient("work/batch_questions/{batch}.parquet"),
        batch_summary="work/batch_questions/{batch}.json",
        answers=ancient("work/answer_text/{batch}.parquet"),
        answered="work/answer_text/{batch}.json",
        outcomes=ancient("work/compare_text/{batch}.parquet"),
        compared="work/compare_text/{batch}.json",
        probe=TEXT_JUDGE.probe,
    output:
        verdicts="work/judge_text/{batch}.parquet",
        summary="work/judge_text/{batch}.json",
    log:
        "logs/judge_text/{batch}.log",
    benchmark:
        "work/benchmarks/judge_text/{batch}.tsv"
    priority: PRIORITIES["judge_text", TEXT_JUDGE.name]
    conda:
        TEXT_JUDGE.environment
    threads: share(TEXT_JUDGE.threads, TEXT_JUDGE.jobs_at_once)
    resources:
        **TEXT_JUDGE.job_resources(share),
    params:
        program="judge_text.py",
        code=code("judge_text.py"),
        settings=as_json(settings.request_settings(config, "text_reasoning", "judge")),
        prompt="work/prompts/text_reasoning.md",
        server=TEXT_JUDGE.name,
        progress="work/stats/judge_text/{batch}.json",
    shell:
        "exec {params.program} --questions {input.questions:q} --answers {input.answers:q}"
        " --outcomes {input.outcomes:q} --settings {params.settings:q} --prompt {params.prompt:q}"
        " --server work/servers/{params.server}/server.json --probe {input.probe:q}"
        " --journal work/journal/{params.server} --progress {params.progress:q}"
        " --verdicts {output.verdicts:q} --summary {output.summary:q} 2> {log:q}"


rule render_text:
    """Keep what the judge passed, and draw its questions as pages.

    Pages in the shard that stands are not drawn again, so Snakemake leaves it there (update).
    """
    input:
        **rated_files("text"),
        questions=ancient("work/batch_questions/{batch}.parquet"),
        batch_summary="work/batch_questions/{batch}.json",
        answers=ancient(of_teachers("work/answer_text/{batch}.parquet", "text")),
        answered=of_teachers("work/answer_text/{batch}.json", "text"),
        verdicts=ancient(of_teachers("work/judge_text/{batch}.parquet", "text")),
        judged=of_teachers("work/judge_text/{batch}.json", "text"),
    output:
        shard=update("work/render_text/{batch}.parquet"),
        rejects="work/render_text/{batch}.rejects.parquet",
        summary="work/render_text/{batch}.json",
    log:
        "logs/render_text/{batch}.log",
    benchmark:
        "work/benchmarks/render_text/{batch}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=grow(4000),
        runtime=grow(120),
    params:
        code=code("render_text.py"),
        settings=as_json(
            {
                "render": config["render"],
                "seed": config["seed"],
                "drawing": settings.digest_drawing(config, code("render_text.py")),
            }
            | settings.selection_settings(config, "text_reasoning")
        ),
    shell:
        "exec render_text.py --questions {input.questions:q} --answers {input.answers:q}"
        " --verdicts {input.verdicts:q} --rated-answers {input.rated_answers:q}"
        " --rated-verdicts {input.rated_verdicts:q} --settings {params.settings:q} --threads {threads}"
        " --shard {output.shard:q} --rejects {output.rejects:q} --summary {output.summary:q} 2> {log:q}"
