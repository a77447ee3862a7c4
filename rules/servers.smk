"""Model servers: their settings, their probes, and how to run one by hand.

in:   servers in config.yaml
mid:  work/servers/{name}/server.json (written when a run starts; what places a model decides no answer)
out:  work/servers/{name}/probe.json (what the client adapts to), details.json (the rest, to read)
"""

for server_name, server in SERVERS.items():
    # So many jobs at once at each server, unless the run says otherwise. On one machine they share its start.
    if f"server_{server_name}" not in workflow.resource_settings.resources:
        workflow.register_resource(f"server_{server_name}", server.jobs_at_once)

    rule:
        """Ask a server a few greedy questions, and write down what the client adapts to."""
        name:
            f"probe_{server_name}"
        output:
            probe=server.probe,
        log:
            f"logs/probe_server/{server_name}.log",
        priority: max((n for (_, name), n in PRIORITIES.items() if name == server_name), default=0)
        conda:
            server.environment
        threads: share(server.threads, server.jobs_at_once)
        resources:
            **server.job_resources(share) | {"runtime": server.probe_minutes},
        params:
            code=code("probe_server.py"),
            model=server.settings["model"],
            server=server_name,
            forms=as_json(settings.forms_of(config, server_name)),
            requests=as_json(settings.requests_of(config, server_name)),
        shell:
            "exec probe_server.py --server work/servers/{params.server}/server.json --code {params.code}"
            " --probe {output.probe:q} --details work/servers/{params.server}/details.json 2> {log:q}"

    rule:
        """Run a server in the foreground until Ctrl-C, for several runs to use as an external one."""
        name:
            f"serve_{server_name}"
        log:
            f"logs/serve_server/{server_name}.log",
        conda:
            server.environment
        threads: server.threads
        resources:
            **server.resources,
        params:
            code=code("serve_server.py"),
            server=server_name,
        shell:
            "exec serve_server.py --server work/servers/{params.server}/server.json"
            " --key-file work/servers/{params.server}/key 2> >(tee {log:q} >&2)"


rule forget_probes:
    """Forget what the servers said: the next probe of each asks anew (make probe)."""
    log:
        "logs/forget_probes.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        details=[f"work/servers/{server_name}/details.json" for server_name in SERVERS],
    shell:
        "rm -f {params.details:q} 2> {log:q}"


rule probe:
    """Ask every server that the build asks, and show what the client adapts to."""
    input:
        [SERVERS[name].probe for name in settings.list_asked_servers(config, NAMES)],
    log:
        "logs/probe.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    # A reader that has seen enough (`| head`) ends cat by SIGPIPE, which is no error.
    shell:
        "for probe in {input:q}; do grep '' \"$probe\" /dev/null; done > {log:q}"
        "; cat {log:q} || [ $? -eq 141 ]"
