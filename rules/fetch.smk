"""Where datasets come from: the hub or a mirror of it.

in:   the hub at a revision, or hub.mirror
mid:  work/resolve_revision/{repo}@{revision}.json, work/list_shards/{source}.json,
      work/fetch_shard/{source}/{shard}.json (a shard's summary)
out:  raw/{source}/{shard}, raw/{source}@loose/ (pictures that are in no archive)
"""


rule resolve_revision:
    """Write down which commit a branch or tag names; it stays until asked anew (make refresh)."""
    output:
        resolved="work/resolve_revision/{resolved}.json",
    log:
        "logs/resolve_revision/{resolved}.log",
    wildcard_constraints:
        resolved=one_of(REVISIONS),
    localrule: True
    conda:
        "../envs/base.yaml"
    resources:
        hub_connections=1,
    params:
        code=code("resolve_revision.py"),
        repo=lambda wildcards: REVISIONS[wildcards.resolved]["repo"],
        revision=lambda wildcards: REVISIONS[wildcards.resolved]["revision"],
    shell:
        "exec resolve_revision.py --repo {params.repo:q} --revision {params.revision:q} --hub work/hub.json"
        " --resolved {output.resolved:q} 2> {log:q}"


checkpoint list_shards:
    """List a source's shards: bytes, sha256, rows, and how many of these are read."""
    input:
        resolved=resolved_revision,
    output:
        listing="work/list_shards/{source}.json",
    log:
        "logs/list_shards/{source}.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    resources:
        hub_connections=4,
    params:
        code=code("list_shards.py"),
        source=as_json(lambda wildcards: SOURCES[wildcards.source]),
        incomplete=config["hub"]["incomplete"],
        mirrored=lambda wildcards: sources.mirror_digest(MIRROR, SOURCES[wildcards.source]),
    shell:
        "exec list_shards.py --source {wildcards.source:q} --settings {params.source:q}"
        " --resolved {input.resolved:q} --incomplete {params.incomplete} --hub work/hub.json"
        " --connections {resources.hub_connections} --listing {output.listing:q} 2> {log:q}"


rule fetch_shard:
    """Fetch a shard as it was listed: link it from the mirror, or download and check it."""
    input:
        # ancient(): only what params read from the listing makes a job stale.
        listing=ancient("work/list_shards/{source}.json"),
    output:
        raw=("raw/{source}/{shard}" if config["keep_raw"] else temp("raw/{source}/{shard}")),
        summary="work/fetch_shard/{source}/{shard}.json",
    log:
        "logs/fetch_shard/{source}/{shard}.log",
    conda:
        "../envs/base.yaml"
    resources:
        hub_connections=1,
        mem_mb=grow(1000),
        runtime=grow(240),
    params:
        code=code("fetch_shard.py"),
        sha256=lambda wildcards: find_file(wildcards.source, wildcards.shard)["sha256"],
    shell:
        "exec fetch_shard.py --listing {input.listing:q} --hub work/hub.json --raw {output.raw:q}"
        " --summary {output.summary:q} 2> {log:q}"


rule fetch_pictures:
    """Fetch the loose pictures of a source into one folder: link them, or download and check them."""
    input:
        listing=ancient("work/list_shards/{source}.json"),
    output:
        raw=directory("raw/{source}@loose") if config["keep_raw"] else temp(directory("raw/{source}@loose")),
        summary="work/fetch_pictures/{source}@loose.json",
    log:
        "logs/fetch_pictures/{source}.log",
    wildcard_constraints:
        source=one_of(NAMES.pictures.values()),
    conda:
        "../envs/base.yaml"
    resources:
        hub_connections=4,
        mem_mb=grow(1000),
        runtime=grow(240),
    params:
        code=code("fetch_pictures.py"),
        listed=lambda wildcards: sources.loose_digest(find_listing(wildcards.source)),
    shell:
        "exec fetch_pictures.py --listing {input.listing:q} --hub work/hub.json"
        " --connections {resources.hub_connections} --raw {output.raw:q}"
        " --summary {output.summary:q} 2> {log:q}"
