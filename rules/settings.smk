"""What the config says of servers, prompts and the card, in the words that rules need."""

TEXT = config["text_reasoning"]
IMAGE = config["image_reasoning"]
SERVERS = config["servers"]


def check_url(key, url):
    """Fail where a server's address is none, or has a password in it, which would be told in logs."""
    if "@" in url:
        fail(f"{key}: an address has a name or password in it; see api_key_env")
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or re.search(r"\s", url):
            raise ValueError("no host")
    except ValueError as error:
        fail(f"{key}: {url} is no address ({error})")


# One job at a time at each server, unless the run says otherwise: no two start a model on the same GPUs.
for server_name in SERVERS:
    workflow.global_resources.setdefault(f"server_{server_name}", 1)
    if SERVERS[server_name]["replicas"] > 1 and SERVERS[server_name]["mode"] != "managed":
        fail(f"servers.{server_name}.replicas: only managed servers have some")
    for url in SERVERS[server_name]["base_urls"]:
        check_url(f"servers.{server_name}.base_urls", url)


def write_settings(manifest_jobs):
    """Write the files that programs read besides declared inputs: where things are, what the plan assumes.

    They decide no content. They also keep commands short, which Snakemake prints whole where a job fails.
    `manifest_jobs` are the artifacts whose manifest a job of this run writes, so that assembling need not.
    """
    server_keys = {"max_failed_share": config["max_failed_share"]}
    settings = {
        "work/hub.json": {
            "mirror": MIRROR and str(MIRROR),
            "endpoint": config["hub"]["endpoint"],
            "keep": config["keep_raw"],
        },
        "work/plan.json": planned(),
        "work/registration.json": {"names": ARTIFACTS, "manifest_jobs": manifest_jobs},
    }
    for name, server in SERVERS.items():
        asked = {"samplings": samplings(name)}
        settings[f"work/servers/{name}/server.json"] = {"name": name} | server | server_keys | asked
    texts = {path: json.dumps(value, indent=2) + "\n" for path, value in settings.items()}
    texts |= {f"work/prompts/{task}.md": prompt_text(task) for task in ("text_reasoning", "image_reasoning")}
    for path, text in texts.items():
        part = Path(f"{path}.{os.getpid()}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)


def forget_probes():
    """Have servers asked anew: where nothing is known of an earlier probe, the next one asks."""
    for name in SERVERS:
        Path(f"work/servers/{name}/details.json").unlink(missing_ok=True)


def samplings(name):
    """What is asked of a server, by the key that says so: `text_reasoning.sampling.thinking`, say."""
    return {
        f"{task}.sampling.{kind}": values
        for task in ("text_reasoning", "image_reasoning")
        for kind, values in config[task]["sampling"].items()
        if config[task]["judge" if kind == "judge" else "teacher"] == name
    }


def environment(name):
    """The conda environment of the jobs that use a server: its own when they start it, else the base.

    The embedded server comes with the requirements, so its jobs stay in the environment of Snakemake.
    """
    envs = {"managed": SERVERS[name]["conda_env"], "external": "envs/base.yaml", "embedded": None}
    env = envs[SERVERS[name]["mode"]]
    # Snakemake reads braces in the path of an environment as wildcards.
    return env and str(BASE / env).replace("{", "{{").replace("}", "}}")


def server_resources(name):
    """What a job that uses a server takes: the one place at it, and, when it starts it, its GPUs."""
    taken = {f"server_{name}": 1, "mem_mb": 8000, "runtime": 2880}
    if SERVERS[name]["mode"] == "managed":
        taken |= {"gpu": gpus(name), "mem_mb": 64000 * SERVERS[name]["replicas"]}
    return taken


def server_threads(name):
    """The cores of a job that uses a server: one to ask, and when it starts it, two more for each GPU."""
    return 1 + 2 * gpus(name) if SERVERS[name]["mode"] == "managed" else 1


def gpus(name):
    """How many GPUs a managed server takes: replicas x tensor x pipeline x data parallel, by vLLM's flags."""
    flags = " ".join(SERVERS[name]["args"]).replace("_", "-")
    short = {"tensor": "tp", "pipeline": "pp", "data": "dp"}
    count = SERVERS[name]["replicas"]
    for kind, letters in short.items():
        found = re.search(rf"(?:--{kind}-parallel-size|-{letters})[ =](\d+)", flags)
        count *= int(found[1]) if found else 1
    return count


def notice(name):
    """What a file that an embedded model helped to make must say; None when there was none."""
    task = {"text2image": "text_reasoning", "image_thinking": "image_reasoning"}.get(name)
    used = [SERVERS[config[task][role]] for role in ("teacher", "judge")] if task else []
    small = sorted({server["model"] for server in used if server["mode"] == "embedded"})
    if not small:
        return None
    return (
        f"Made with the small embedded model {', '.join(small)}, which cannot see, reason or judge:"
        " good for trying the build, not for training."
    )


def prompt_text(task):
    """What the judge is told: the text decides verdicts, not the file's place or time."""
    path = Path(config[task]["judge_prompt"])
    if not path.is_file():
        fail(f"{task}.judge_prompt: no file {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        fail(f"{task}.judge_prompt: {path} is not UTF-8: {error}")
    for blank in ("{question}", "{reference}", "{answer}"):
        if blank not in text:
            fail(f"{task}.judge_prompt: {path} has no {blank}, and the judge must see it")
    return text


def prompt_sha256(task):
    """The digest by which a judge's prompt is declared; its text is in a file, for short commands."""
    return hashlib.sha256(prompt_text(task).encode()).hexdigest()


def fonts_sha256():
    """A digest of the font files that are named besides those of the requirements; None without any."""
    named = [Path(font) for font in config["render"]["fonts"]]
    for path in named:
        if not path.exists():
            fail(f"render.fonts: no file or folder {path}")
    files = [file for path in named for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
    return hashlib.sha256("".join(sums).encode()).hexdigest() if sums else None


def literally(text):
    """A params function that gives a text as it is, whose braces Snakemake would take for wildcards."""
    return lambda wildcards: text


def sampling(task, kind):
    """The sampling of a kind of request, as the programs take it."""
    return literally(json.dumps(config[task]["sampling"][kind]))


PUBLISHED = [
    f"work/publish/{file}" for file in ("dataset_info.json", "manifest.json", "README.md", "report.html")
]

BUILT = [
    f"data/manifest/{name}.json"
    for name in ARTIFACTS
    if os.path.isfile(f"data/manifest/{name}.json") and os.path.exists(f"data/{name}.parquet")
]
"""The manifests of the artifacts that stand."""

# Licences as the sources' own cards name them.
LICENCES = {
    "tatsu-lab/alpaca": {"licence": "CC-BY-NC-4.0", "note": "non-commercial use only"},
    "lmms-lab/LLaVA-OneVision-Data": {
        "licence": "Apache-2.0",
        "note": "each config has terms of its own source",
    },
    "lmms-lab/LLaVA-ReCap-558K": {"licence": "none named", "note": ""},
    "lmms-lab/LLaVA-ReCap-CC3M": {"licence": "none named", "note": ""},
    "lmms-lab/LLaVA-ReCap-CC12M": {"licence": "none named", "note": ""},
}


def about():
    """What the card says that no manifest does."""
    kinds = {"text2image": "text_reasoning", "image_thinking": "image_reasoning"}
    return {
        "notice": next(filter(None, map(notice, kinds)), None),
        "licences": LICENCES,
        "teachers": {
            name: {role: SERVERS[config[task][role]]["model"] for role in ("teacher", "judge")}
            for name, task in kinds.items()
        },
    }


def content_sha256():
    """A digest of the config without what only says where and how large things run."""
    keys = (
        "sources",
        "onevision",
        "images",
        "on_bad_shard",
        "text_reasoning",
        "image_reasoning",
        "render",
        "seed",
    )
    content = {key: config[key] for key in keys}
    content["render"] = content["render"] | {"fonts": fonts_sha256()}
    for task in ("text_reasoning", "image_reasoning"):
        used = {role: SERVERS[config[task][role]] for role in ("teacher", "judge")}
        content[task] = {key: value for key, value in config[task].items() if key != "batch_size"}
        content[task] |= {role: [server["model"], server["max_model_len"]] for role, server in used.items()}
        content[task]["judge_prompt"] = prompt_text(task)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def planned():
    """What is built and asked, and what is assumed of it, as the plan takes it."""
    of_task = ("teacher", "judge", "sampling", "samples", "no_think_share", "samples_per_config")
    text, image = (
        {key: config[task][key] for key in of_task if key in config[task]} | {"prompt": prompt_text(task)}
        for task in ("text_reasoning", "image_reasoning")
    )
    return {
        "converted": CONVERTED,
        "sampled": list(ONEVISION),
        "questions": {name: TEXT["max_questions"] for name in QUESTIONS},
        "text": text,
        "image": image,
        "seed": config["seed"],
        "models": {name: server["model"] for name, server in SERVERS.items()},
        "rates": config["plan"],
    }


def target_names():
    """Every target with a line of its own: stages, artifacts, servers."""
    stages = {"all": "everything"} | {stage: f"{len(names)} artifacts" for stage, names in STAGES.items()}
    files = {f"data/{name}.parquet": stage for stage, names in STAGES.items() for name in names}
    servers = {"probe": "every server"}
    servers |= {f"probe_{name}": server["model"] for name, server in SERVERS.items()}
    servers |= {f"serve_{name}": server["model"] for name, server in SERVERS.items()}
    looks = {
        "plan": "what a run will fetch, write and ask",
        "publish_built": "manifest, card and report of the artifacts that stand",
        "refresh": "what branches name now",
    }
    return [f"{target:<72} {what}" for target, what in (stages | looks | files | servers).items()]
