"""Teachers of a task besides the first: each asks, is compared and judged, in files with its name.

Which rows are kept of all teachers' is decided by render_text and select_image. A server whose pass rate counts
(`pass_rate_server`) is asked in the same way, and none of its answers are kept.

in:   what answer_text, judge_text, answer_image and judge_image read, work/servers/{name}/probe.json
out:  work/answer_{text,image}/{batch}.{name}.{parquet,json}, work/compare_{text,image}/{batch}.{name}.{parquet,json},
      work/judge_{text,image}/{batch}.{name}.{parquet,json}
"""

ASKED = {
    "text": ("text_reasoning", list_questions, TEXT_JUDGE),
    "image": ("image_reasoning", list_samples, IMAGE_JUDGE),
}

for what, teacher in ((what, teacher) for what in FURTHER for teacher in FURTHER[what].values()):
    task, list_asked, judge = ASKED[what]
    file = f"{{batch}}.{teacher.name}"

    rule:
        """Ask a further teacher for what is due of a batch and not in the journal."""
        name:
            f"answer_{what}_{teacher.name}"
        input:
            unpack(list_asked),
            probe=teacher.probe,
        output:
            answers=f"work/answer_{what}/{file}.parquet",
            summary=f"work/answer_{what}/{file}.json",
        log:
            f"logs/answer_{what}/{file}.log",
        benchmark:
            f"work/benchmarks/answer_{what}_{teacher.name}/{{batch}}.tsv"
        priority: PRIORITIES[f"answer_{what}", teacher.name]
        conda:
            teacher.environment
        threads: share(teacher.threads, teacher.jobs_at_once)
        resources:
            **teacher.job_resources(share),
        params:
            program=f"answer_{what}.py",
            code=code(f"answer_{what}.py"),
            settings=as_json(settings.request_settings(config, task, "teacher", teacher.name)),
            server=teacher.name,
            progress=f"work/stats/answer_{what}/{file}.json",
        shell:
            "exec {params.program} --questions {input.questions:q} --settings {params.settings:q}"
            " --server work/servers/{params.server}/server.json --probe {input.probe:q}"
            " --journal work/journal/{params.server} --progress {params.progress:q}"
            " --answers {output.answers:q} --summary {output.summary:q} 2> {log:q}"

    rule:
        """Compare the answers of a further teacher with their references, by rules."""
        name:
            f"compare_{what}_{teacher.name}"
        input:
            unpack(list_asked),
            answers=ancient(f"work/answer_{what}/{file}.parquet"),
            answered=f"work/answer_{what}/{file}.json",
        output:
            outcomes=f"work/compare_{what}/{file}.parquet",
            summary=f"work/compare_{what}/{file}.json",
        log:
            f"logs/compare_{what}/{file}.log",
        conda:
            "../envs/base.yaml"
        resources:
            mem_mb=grow(4000),
            runtime=grow(120),
        params:
            program=f"compare_{what}.py",
            code=code(f"compare_{what}.py"),
            packages=settings.read_versions(settings.COMPARING_PACKAGES),
        shell:
            "exec {params.program} --questions {input.questions:q} --answers {input.answers:q}"
            " --outcomes {output.outcomes:q} --summary {output.summary:q} 2> {log:q}"

    rule:
        """Ask the judge about the answers of a further teacher."""
        name:
            f"judge_{what}_{teacher.name}"
        input:
            unpack(list_asked),
            answers=ancient(f"work/answer_{what}/{file}.parquet"),
            answered=f"work/answer_{what}/{file}.json",
            outcomes=ancient(f"work/compare_{what}/{file}.parquet"),
            compared=f"work/compare_{what}/{file}.json",
            probe=judge.probe,
        output:
            verdicts=f"work/judge_{what}/{file}.parquet",
            summary=f"work/judge_{what}/{file}.json",
        log:
            f"logs/judge_{what}/{file}.log",
        benchmark:
            f"work/benchmarks/judge_{what}_{teacher.name}/{{batch}}.tsv"
        priority: PRIORITIES[f"judge_{what}", judge.name]
        conda:
            judge.environment
        threads: share(judge.threads, judge.jobs_at_once)
        resources:
            **judge.job_resources(share),
        params:
            program=f"judge_{what}.py",
            code=code(f"judge_{what}.py"),
            settings=as_json(settings.request_settings(config, task, "judge")),
            prompt=f"work/prompts/{task}.md",
            server=judge.name,
            progress=f"work/stats/judge_{what}/{file}.json",
        shell:
            "exec {params.program} --questions {input.questions:q} --answers {input.answers:q}"
            " --outcomes {input.outcomes:q} --settings {params.settings:q} --prompt {params.prompt:q}"
            " --server work/servers/{params.server}/server.json --probe {input.probe:q}"
            " --journal work/journal/{params.server} --progress {params.progress:q}"
            " --verdicts {output.verdicts:q} --summary {output.summary:q} 2> {log:q}"
