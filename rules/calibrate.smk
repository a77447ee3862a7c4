"""How often the judges err: known errors and right answers in the place of kept ones, judged as those were.

No part of `all`: the target `judge_calibration` (make calibrate) asks for it.
Files of rows are ancient(): the checksum file beside each, an input too, says whether it changed.

in:   data/{text2image,image_thinking}.parquet, work/read_questions/{questions}.parquet,
      work/sample_{images,questions}/{name}.parquet, work/servers/{name}/probe.json
mid:  work/plant_errors/{what}.{parquet,asked.parquet,json}, work/compare_planted/{what}.{parquet,json},
      work/judge_planted/{what}.{parquet,json}, work/journal/{name}/*; what is text or image
out:  data/calibration.json, which report and card show
"""

MEASURED = settings.calibration_settings(config, NAMES)
"""The judges to measure, by what they are asked about: text, image."""


rule plant_errors:
    """Plant errors and right answers in the place of kept answers, always the same ones for a seed."""
    input:
        unpack(list_kept),
    output:
        asked="work/plant_errors/{what}.asked.parquet",
        answers="work/plant_errors/{what}.parquet",
        summary="work/plant_errors/{what}.json",
    log:
        "logs/plant_errors/{what}.log",
    wildcard_constraints:
        what=one_of(MEASURED),
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        code=code("plant_errors.py"),
        packages=settings.read_versions(settings.COMPARING_PACKAGES),
        settings=as_json({"samples": config["calibration"]["samples"], "seed": config["seed"]}),
    shell:
        "exec plant_errors.py --artifact {input.artifact:q} --questions {input.questions:q}"
        " --settings {params.settings:q} --asked {output.asked:q} --answers {output.answers:q}"
        " --summary {output.summary:q} 2> {log:q}"


use rule compare_text as compare_planted_text with:
    """Compare the planted answers to texts with their references, by rules."""
    input:
        questions=ancient("work/plant_errors/text.asked.parquet"),
        answers=ancient("work/plant_errors/text.parquet"),
        planted="work/plant_errors/text.json",
        checkpoints=checkpoints_of("text2image"),
    output:
        outcomes="work/compare_planted/text.parquet",
        summary="work/compare_planted/text.json",
    log:
        "logs/compare_planted/text.log",


use rule compare_image as compare_planted_image with:
    """Compare the planted answers about pictures with their references, by rules."""
    input:
        questions=ancient("work/plant_errors/image.asked.parquet"),
        answers=ancient("work/plant_errors/image.parquet"),
        planted="work/plant_errors/image.json",
        checkpoints=checkpoints_of("image_thinking"),
    output:
        outcomes="work/compare_planted/image.parquet",
        summary="work/compare_planted/image.json",
    log:
        "logs/compare_planted/image.log",


use rule judge_text as judge_planted_text with:
    """Ask the judge about every planted answer to a text, as it was asked about the teacher's."""
    input:
        questions=ancient("work/plant_errors/text.asked.parquet"),
        answers=ancient("work/plant_errors/text.parquet"),
        planted="work/plant_errors/text.json",
        outcomes=ancient("work/compare_planted/text.parquet"),
        compared="work/compare_planted/text.json",
        probe=TEXT_JUDGE.probe,
        checkpoints=checkpoints_of("text2image"),
    output:
        verdicts="work/judge_planted/text.parquet",
        summary="work/judge_planted/text.json",
    log:
        "logs/judge_planted/text.log",
    benchmark:
        "work/benchmarks/judge_planted_text/text.tsv"
    params:
        settings=as_json(settings.planted_settings(config, "text_reasoning")),
        progress="work/stats/judge_planted/text.json",


use rule judge_image as judge_planted_image with:
    """Ask the judge, with the picture, about every planted answer, as it was asked about the teacher's."""
    input:
        questions=ancient("work/plant_errors/image.asked.parquet"),
        answers=ancient("work/plant_errors/image.parquet"),
        planted="work/plant_errors/image.json",
        outcomes=ancient("work/compare_planted/image.parquet"),
        compared="work/compare_planted/image.json",
        probe=IMAGE_JUDGE.probe,
        checkpoints=checkpoints_of("image_thinking"),
    output:
        verdicts="work/judge_planted/image.parquet",
        summary="work/judge_planted/image.json",
    log:
        "logs/judge_planted/image.log",
    benchmark:
        "work/benchmarks/judge_planted_image/image.tsv"
    params:
        settings=as_json(settings.planted_settings(config, "image_reasoning")),
        progress="work/stats/judge_planted/image.json",


rule judge_calibration:
    """Measure the judges: how many planted errors each passes, and how many right answers it fails."""
    input:
        verdicts=ancient(expand("work/judge_planted/{what}.parquet", what=MEASURED)),
        judged=expand("work/judge_planted/{what}.json", what=MEASURED),
        checkpoints=checkpoints_of(*NAMES.reasoned),
    output:
        calibration=report(
            "data/calibration.json",
            caption="../report/calibration.rst",
            category="Checks",
        ),
    log:
        "logs/judge_calibration.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("judge_calibration.py"),
        about=as_json(MEASURED),
        samples=config["calibration"]["samples"],
    shell:
        "exec judge_calibration.py --about {params.about:q} --samples {params.samples}"
        " --verdicts {input.verdicts:q} --calibration {output.calibration:q} 2> {log:q}"
