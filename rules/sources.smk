"""What is known of sources: where they are, which files they have, and what is read of each."""

MIRROR = config["hub"]["mirror"] and Path(config["hub"]["mirror"]).resolve()
if MIRROR and not MIRROR.is_dir():
    fail(f"hub.mirror: no folder {MIRROR}; give one that holds <org>/<name>/<files>, or null for the hub")


def _source(given, *patterns):
    return {
        "repo": given["repo"],
        "revision": given["revision"],
        "patterns": list(patterns),
        "max_rows": given.get("max_samples", -1),
    }


# Other .json files of a repository are metadata.
QUESTION_FILES = ["data/train-*.parquet", "train-*.parquet", "*.jsonl", "data/train-*.json", "train-*.json"]
SOURCES = (
    {name: _source(given, "data/train-*.parquet") for name, given in config["sources"].items()}
    | {name: _source(config["onevision"], f"{folder}/train-*.parquet") for name, folder in ONEVISION.items()}
    | {name: _source(given, *given.get("files", QUESTION_FILES)) for name, given in QUESTIONS.items()}
)


def of_source(key):
    """A params function: what the config says of the wildcard's source."""
    return lambda wildcards: SOURCES[wildcards.source][key]


# What branches and tags name is asked once for all sources of a repository, and stays until asked anew.
REVISIONS = {
    f"{source['repo']}@{source['revision']}": source
    for source in SOURCES.values()
    if not MIRROR and not re.fullmatch(r"[0-9a-f]{40}", source["revision"])
}


def resolved(wildcards):
    """Where it is written down which commit the source's revision names, unless it names itself."""
    name = f"{SOURCES[wildcards.source]['repo']}@{SOURCES[wildcards.source]['revision']}"
    return [f"work/resolve_revision/{name}.json"] if name in REVISIONS else []


def of_revision(key):
    """A params function: the repository, or the revision, of a name in REVISIONS."""
    return lambda wildcards: REVISIONS[wildcards.resolved][key]


def mirrored(wildcards):
    """What the source's files in the mirror look like from outside, so that a changed one is listed anew."""
    if not MIRROR:
        return None
    folder = MIRROR / SOURCES[wildcards.source]["repo"]
    looks = sorted(
        f"{file.relative_to(folder)} {look_of(file)}"
        for pattern in SOURCES[wildcards.source]["patterns"]
        for file in folder.glob(pattern)
    )
    return hashlib.sha256("\n".join(looks).encode(errors="surrogateescape")).hexdigest()[:16]


def look_of(file):
    """A file's size and time; "gone" where a link leads to none, which listing the source reports."""
    try:
        status = file.stat()
    except OSError:
        return "gone"
    return f"{status.st_size} {status.st_mtime_ns}"


def think_again():
    """Let Snakemake decide anew which jobs that are still to start have a reason to.

    When a checkpoint has run, Snakemake compares all inputs again, but a job that was planned because one
    before it was to run stays planned, even where that has written what stood there. The reasons are not of
    Snakemake's public face: where they are not found, such jobs run, and change nothing.
    """
    dag = getattr(workflow, "_dag", None)
    running = getattr(dag, "_running", None)
    for job, reason in getattr(dag, "_reason", {}).items():
        if running is not None and job not in running and not reason.finished:
            reason.clear()


@cache
def _read_listing(path, _changed):
    return {Path(file["file"]).name: file for file in json.loads(Path(path).read_text())["files"]}


def listed(source):
    """A source's files by name, in source order, once they are listed (the DAG waits for that)."""
    path = checkpoints.list_shards.get(source=source).output.listing
    return _read_listing(path, os.stat(path).st_mtime_ns)


def needed(source):
    """The names of the shards that are read, for input functions."""
    think_again()
    return [name for name, file in listed(source).items() if file["take"] != 0]


def listed_file(source, name):
    """What is listed of one file of a source."""
    if name not in listed(source):
        fail(f"{source} lists no file {name}; see work/list_shards/{source}.json")
    return listed(source)[name]


def listed_sha256(wildcards):
    """The sha256 by which a raw shard is fetched anew."""
    return listed_file(wildcards.source, wildcards.shard)["sha256"]


SYNTHDOG_MAX_PIXELS = 50_000_000


def missing_tag(wildcards):
    """Whether a first turn without `<image>` gets one in front: where the source is known to leave it out."""
    folder = ONEVISION.get(wildcards.source)
    repaired = folder is None or "cauldron" in folder or "llava_format" in folder
    return "prepend" if repaired else "reject"


def take(wildcards):
    """How many rows of the shard are read; -1 is all."""
    rows = listed_file(wildcards.source, f"{wildcards.shard}.parquet")["take"]
    return -1 if rows is None else rows
