"""What a run will take, before it is paid for; and what it took so far.

in:   work/list_shards/*.json, work/journal/*, data/manifest/*
out:  a table on the terminal, and in logs/plan.log
"""


rule plan:
    """Print what is to be fetched, written and asked; it lists the sources, and fetches and asks nothing."""
    input:
        listings=expand("work/list_shards/{source}.json", source=SOURCES),
    log:
        "logs/plan.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        code=code("plan.py"),
    # A reader that has seen enough (`| head`) ends cat by SIGPIPE, which is no error.
    shell:
        "plan.py --about work/plan.json --listings {input.listings:q} --folder . > {log:q} 2>&1"
        " && {{ cat {log:q} || [ $? -eq 141 ]; }}"
