"""Public datasets become training rows: pictures pass through byte for byte, texts by the rules.

A converted shard holds the texts of the rows that are kept. Their pictures are read when it is made, and
copied once, from the raw shard into the artifact.

Files of rows are ancient(): the checksum file beside each, an input too, says whether it changed.

in:   raw/{source}/{shard} (a shard's name there has the ending of its container),
      raw/{source}@pictures/* (files that rows name)
mid:  work/convert_{form}/{source}/{shard}.{parquet,rejects.parquet,json},
      work/gather_parts/{name}.json (by which alone an artifact is assembled again)
out:  data/{name}.parquet (data/{name}/ where output.shard_bytes is set), data/rejects/{name}.parquet,
      work/assemble_artifact/{name}.json
"""


rule convert_llava:
    """Convert a shard of conversations in LLaVA's form."""
    input:
        unpack(list_conversion),
        # ancient(): only what params read from the listing makes a job stale.
        listing=ancient("work/list_shards/{source}.json"),
    output:
        shard="work/convert_llava/{source}/{shard}.parquet",
        rejects="work/convert_llava/{source}/{shard}.rejects.parquet",
        summary="work/convert_llava/{source}/{shard}.json",
    log:
        "logs/convert_llava/{source}/{shard}.log",
    benchmark:
        "work/benchmarks/convert_llava/{source}/{shard}.tsv"
    wildcard_constraints:
        source=one_of(NAMES.of(form="llava")),
    conda:
        "../envs/base.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: sources.reading_mb(wildcards.source, attempt),
        runtime=grow(60),
    params:
        program="convert_llava.py",
        code=code("convert_llava.py"),
        settings=as_json(conversion),
    shell:
        "exec {params.program} --raw {input.raw:q} --raw-summary {input.raw_summary:q}"
        " --pictures {input.pictures:q} --picture-summaries {input.picture_summaries:q}"
        " --name {wildcards.source:q} --settings {params.settings:q} --threads {threads}"
        " --shard {output.shard:q} --rejects {output.rejects:q} --summary {output.summary:q} 2> {log:q}"


use rule convert_llava as convert_messages with:
    """Convert a shard of conversations as chat messages."""
    output:
        shard="work/convert_messages/{source}/{shard}.parquet",
        rejects="work/convert_messages/{source}/{shard}.rejects.parquet",
        summary="work/convert_messages/{source}/{shard}.json",
    log:
        "logs/convert_messages/{source}/{shard}.log",
    benchmark:
        "work/benchmarks/convert_messages/{source}/{shard}.tsv"
    wildcard_constraints:
        source=one_of(NAMES.of(form="messages")),
    params:
        program="convert_messages.py",
        code=code("convert_messages.py"),
        settings=as_json(conversion),


use rule convert_llava as convert_caption with:
    """Convert a shard of captions."""
    output:
        shard="work/convert_caption/{source}/{shard}.parquet",
        rejects="work/convert_caption/{source}/{shard}.rejects.parquet",
        summary="work/convert_caption/{source}/{shard}.json",
    log:
        "logs/convert_caption/{source}/{shard}.log",
    benchmark:
        "work/benchmarks/convert_caption/{source}/{shard}.tsv"
    wildcard_constraints:
        source=one_of(NAMES.of(form="caption")),
    params:
        program="convert_caption.py",
        code=code("convert_caption.py"),
        settings=as_json(conversion),


use rule convert_llava as convert_qa with:
    """Convert a shard of questions and answers."""
    output:
        shard="work/convert_qa/{source}/{shard}.parquet",
        rejects="work/convert_qa/{source}/{shard}.rejects.parquet",
        summary="work/convert_qa/{source}/{shard}.json",
    log:
        "logs/convert_qa/{source}/{shard}.log",
    benchmark:
        "work/benchmarks/convert_qa/{source}/{shard}.tsv"
    wildcard_constraints:
        source=one_of(NAMES.of(form="qa")),
    params:
        program="convert_qa.py",
        code=code("convert_qa.py"),
        settings=as_json(conversion),


use rule convert_llava as convert_ocr with:
    """Convert a shard of pages with the text on them."""
    output:
        shard="work/convert_ocr/{source}/{shard}.parquet",
        rejects="work/convert_ocr/{source}/{shard}.rejects.parquet",
        summary="work/convert_ocr/{source}/{shard}.json",
    log:
        "logs/convert_ocr/{source}/{shard}.log",
    benchmark:
        "work/benchmarks/convert_ocr/{source}/{shard}.tsv"
    wildcard_constraints:
        source=one_of(NAMES.of(form="ocr")),
    params:
        program="convert_ocr.py",
        code=code("convert_ocr.py"),
        settings=as_json(conversion),


rule gather_parts:
    """Write the checksums of an artifact's parts, by which the next run knows whether to assemble it."""
    input:
        parts=list_parts,
        checkpoints=lambda wildcards: checkpoints_of(wildcards.name),
    output:
        gathered="work/gather_parts/{name}.json",
    log:
        "logs/gather_parts/{name}.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("gather_parts.py"),
    shell:
        "exec gather_parts.py --parts {input.parts:q} --summary {output.gathered:q} 2> {log:q}"


rule assemble_artifact:
    """Put the parts of an artifact, with their pictures, into one file or shards; and their rejects."""
    input:
        gathered="work/gather_parts/{name}.json",
        parts=lambda wildcards: [ancient(part) for part in list_parts(wildcards)],
        files=list_part_files,
        checkpoints=lambda wildcards: checkpoints_of(wildcards.name),
    output:
        artifact=directory(ARTIFACT) if NAMES.sharded else ARTIFACT,
        rejects="data/rejects/{name}.parquet",
        summary="work/assemble_artifact/{name}.json",
    log:
        "logs/assemble_artifact/{name}.log",
    benchmark:
        "work/benchmarks/assemble_artifact/{name}.tsv"
    conda:
        "../envs/base.yaml"
    resources:
        # Pictures are read from the raw shards.
        mem_mb=lambda wildcards, attempt: sources.reading_mb(wildcards.name, attempt),
        runtime=grow(240),
    params:
        code=code("assemble_artifact.py"),
        kind=lambda wildcards: kind_of(wildcards.name),
        notice=lambda wildcards: card.notice_of(config, wildcards.name),
        shard_bytes=config["output"]["shard_bytes"] or 0,
    shell:
        "exec assemble_artifact.py --parts {input.parts:q} --kind {params.kind}"
        " --notice {params.notice:q} --may-be-empty work/allow_empty.json --shard-bytes {params.shard_bytes}"
        " --artifact {output.artifact:q} --rejects {output.rejects:q}"
        " --summary {output.summary:q} 2> {log:q}"


rule refuse_other_form:
    """Say what to name where an artifact is named as a file and is a folder, or the other way round."""
    input:
        lambda wildcards: NAMES.refuse_other_form(wildcards.name),
    output:
        NAMES.other_form_of("{name}") if NAMES.sharded else directory(NAMES.other_form_of("{name}")),
