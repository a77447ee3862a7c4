"""Questions answered by the text teacher, judged, and drawn as pictures.

in:   raw/{questions}/*, work/servers/{name}/probe.json
mid:  work/read_questions/{questions}.*, work/batch_questions/{batch}.*, work/answer_text/{batch}.{parquet,json},
      work/judge_text/{batch}.{parquet,json}, work/journal/{name}/*
out:  work/render_text/{batch}.{parquet,rejects.parquet,json}, from which data/text2image.parquet is assembled
"""


rule read_questions:
    """Read the questions of a source; empty and broken ones are rejected."""
    input:
        raw=raw_questions,
        identities=question_identities,
    output:
        questions="work/read_questions/{questions}.parquet",
        rejects="work/read_questions/{questions}.rejects.parquet",
        summary="work/read_questions/{questions}.json",
    log:
        "logs/read_questions/{questions}.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("read_questions.py"),
        repo=lambda wildcards: NAMES.questions[wildcards.questions]["repo"],
        question=lambda wildcards: NAMES.questions[wildcards.questions]["question"],
        reference=lambda wildcards: NAMES.questions[wildcards.questions].get("reference", []),
        max_questions=TEXT["max_questions"] or -1,
        on_bad_shard=config["on_bad_shard"],
    shell:
        "exec read_questions.py --raw {input.raw:q} --identities {input.identities:q} --repo {params.repo:q}"
        " --question {params.question:q} --reference {params.reference:q} --max-questions {params.max_questions}"
        " --on-bad-shard {params.on_bad_shard} --questions {output.questions:q} --rejects {output.rejects:q}"
        " --summary {output.summary:q} 2> {log:q}"


checkpoint batch_questions:
    """Cut the questions of all sources, in order, into batches that a job answers."""
    input:
        questions=ancient(expand("work/read_questions/{questions}.parquet", questions=NAMES.questions)),
        summaries=expand("work/read_questions/{questions}.json", questions=NAMES.questions),
    output:
        folder=directory("work/batch_questions"),
    log:
        "logs/batch_questions.log",
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("batch_questions.py"),
        batch_size=TEXT["batch_size"],
        # By what questions are read: that they are cut anew is to be known before a listing is looked at,
        # after which Snakemake takes the batches that stand for final.
        reading=[
            code("read_questions.py"),
            [[each["question"], each.get("reference")] for each in NAMES.questions.values()],
            TEXT["max_questions"],
            config["on_bad_shard"],
        ],
    shell:
        "exec batch_questions.py --questions {input.questions:q} --batch-size {params.batch_size}"
        " --folder {output.folder:q} 2> {log:q}"


rule answer_text:
    """Ask the text teacher for what is due of a batch and not in the journal."""
    input:
        batches=ancient("work/batch_questions"),
        questions=ancient("work/batch_questions/{batch}.parquet"),
        identity="work/batch_questions/{batch}.json",
        probe=TEXT_TEACHER.probe,
    output:
        answers="work/answer_text/{batch}.parquet",
        identity="work/answer_text/{batch}.json",
    log:
        "logs/answer_text/{batch}.log",
    conda:
        TEXT_TEACHER.environment
    threads: TEXT_TEACHER.threads
    resources:
        **TEXT_TEACHER.resources,
    params:
        code=code("answer_text.py"),
        model=TEXT_TEACHER.model,
        max_model_len=TEXT_TEACHER.settings["max_model_len"],
        thinking=as_json(TEXT["sampling"]["thinking"]),
        no_thinking=as_json(TEXT["sampling"]["no_thinking"]),
        no_think_share=TEXT["no_think_share"],
        samples=TEXT["samples"],
        seed=config["seed"],
        longer_budget=TEXT["longer_budget"] or 0,
        repetition=TEXT["repetition"] or 0,
        server=TEXT_TEACHER.file,
        journal=TEXT_TEACHER.journal,
    shell:
        "exec answer_text.py --questions {input.questions:q} --server {params.server:q} --model {params.model:q} --probe {input.probe:q}"
        " --journal {params.journal:q} --progress work/stats/answer_text/{wildcards.batch}.json"
        " --thinking {params.thinking:q} --no-thinking {params.no_thinking:q}"
        " --no-think-share {params.no_think_share} --samples {params.samples} --seed {params.seed}"
        " --longer-budget {params.longer_budget} --repetition {params.repetition}"
        " --answers {output.answers:q} --identity {output.identity:q} 2> {log:q}"


checkpoint judge_text:
    """Ask the judge about every answer of a batch that has the right form."""
    input:
        questions=ancient("work/batch_questions/{batch}.parquet"),
        identity="work/batch_questions/{batch}.json",
        answers=ancient("work/answer_text/{batch}.parquet"),
        answered="work/answer_text/{batch}.json",
        probe=TEXT_JUDGE.probe,
    output:
        verdicts="work/judge_text/{batch}.parquet",
        identity="work/judge_text/{batch}.json",
    log:
        "logs/judge_text/{batch}.log",
    conda:
        TEXT_JUDGE.environment
    threads: TEXT_JUDGE.threads
    resources:
        **TEXT_JUDGE.resources,
    params:
        code=code("judge_text.py"),
        model=TEXT_JUDGE.model,
        max_model_len=TEXT_JUDGE.settings["max_model_len"],
        prompt_sha256=prompt_sha256(config, "text_reasoning"),
        sampling=as_json(TEXT["sampling"]["judge"]),
        seed=config["seed"],
        longer_budget=TEXT["longer_budget"] or 0,
        repetition=TEXT["repetition"] or 0,
        server=TEXT_JUDGE.file,
        journal=TEXT_JUDGE.journal,
    shell:
        "exec judge_text.py --questions {input.questions:q} --answers {input.answers:q}"
        " --server {params.server:q} --model {params.model:q} --probe {input.probe:q} --journal {params.journal:q}"
        " --progress work/stats/judge_text/{wildcards.batch}.json"
        " --prompt work/prompts/text_reasoning.md --prompt-sha256 {params.prompt_sha256}"
        " --sampling {params.sampling:q} --seed {params.seed}"
        " --longer-budget {params.longer_budget} --repetition {params.repetition}"
        " --verdicts {output.verdicts:q} --identity {output.identity:q} 2> {log:q}"


rule render_text:
    """Keep what the judge passed, and draw its questions as pages."""
    input:
        questions=ancient("work/batch_questions/{batch}.parquet"),
        identity="work/batch_questions/{batch}.json",
        answers=ancient("work/answer_text/{batch}.parquet"),
        answered="work/answer_text/{batch}.json",
        verdicts=ancient("work/judge_text/{batch}.parquet"),
        judged=judged("judge_text"),
    output:
        shard="work/render_text/{batch}.parquet",
        rejects="work/render_text/{batch}.rejects.parquet",
        summary="work/render_text/{batch}.json",
    log:
        "logs/render_text/{batch}.log",
    conda:
        "../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code("render_text.py"),
        min_score=TEXT["min_score"],
        render=as_json(config["render"]),
        fonts=fonts_sha256(config),
        seed=config["seed"],
    shell:
        "exec render_text.py --questions {input.questions:q} --answers {input.answers:q} --verdicts {input.verdicts:q}"
        " --min-score {params.min_score} --render {params.render:q} --seed {params.seed} --threads {threads}"
        " --shard {output.shard:q} --rejects {output.rejects:q} --summary {output.summary:q} 2> {log:q}"
