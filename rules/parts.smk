"""What an artifact is made of: shards, batches, and the sources that its manifest names."""


def resolved_revision(wildcards):
    """The file that holds the commit of the source's revision; none where the revision is a commit."""
    name = "{repo}@{revision}".format(**SOURCES[wildcards.source])
    return [f"work/resolve_revision/{name}.json"] if name in REVISIONS else []


@cache
def find_listing(source):
    """The listing of a source, once it is there: the DAG waits for that, and a checkpoint ends once."""
    return Path(checkpoints.list_shards.get(source=source).output.listing)


def list_files(source):
    """A source's files by name, in source order."""
    return sources.read_listing(find_listing(source))


def needed_shards(source):
    """The names of the shards that are read, for input functions."""
    return [name for name, file in list_files(source).items() if file["take"] != 0]


def find_file(source, name):
    """What is listed of one file of a source."""
    files = list_files(source)
    if name not in files:
        fail(f"{source} lists no file {name}; see work/list_shards/{source}.json")
    return files[name]


def find_raw_name(wildcards):
    """The name of the file that a shard is converted from: its ending is that of its container."""
    files = list_files(wildcards.source)
    for ending in CONTAINERS:
        if f"{wildcards.shard}{ending}" in files:
            return f"{wildcards.shard}{ending}"
    fail(f"{wildcards.source} lists no file {wildcards.shard}; see work/list_shards/{wildcards.source}.json")


def list_conversion(wildcards):
    """What a shard is converted from: its raw file, and files of pictures that its rows name.

    One function in the place of five: Snakemake takes longer to call one than to plan what it returns.
    """
    source, raw = wildcards.source, find_raw_name(wildcards)
    return {
        "raw": ancient(f"raw/{source}/{raw}"),
        "raw_summary": f"work/fetch_shard/{source}/{raw}.json",
        "pictures": list_pictures(source),
        "picture_summaries": list_picture_summaries(source),
        "checkpoints": checkpoints_of(source),
    }


def list_pictures(source):
    """The files that hold a source's pictures: archives, and the folder of loose pictures."""
    if source not in NAMES.pictures:
        return []
    pictures = NAMES.pictures[source]
    return [*list_raw_files(pictures), *(ancient(f"raw/{each}") for each in list_loose(pictures))]


def list_picture_summaries(source):
    """The summaries of the files that hold a source's pictures, in the same order."""
    if source not in NAMES.pictures:
        return []
    pictures = NAMES.pictures[source]
    fetched = [f"work/fetch_shard/{pictures}/{shard}.json" for shard in needed_shards(pictures)]
    return fetched + [f"work/fetch_pictures/{each}.json" for each in list_loose(pictures)]


def list_loose(pictures):
    """The one folder of a source's loose pictures; none where all are in archives."""
    return [f"{pictures}@loose"] if sources.loose_digest(find_listing(pictures)) else []


def conversion(wildcards):
    """How a shard is converted: by its source's entry, and as many rows as are read."""
    take = find_file(wildcards.source, find_raw_name(wildcards))["take"]
    return {"take": take, **settings.conversion_settings(config, NAMES.entries[wildcards.source])}


def list_raw_files(source):
    """A source's raw files that are read; their summaries alone say whether they changed."""
    return [ancient(f"raw/{source}/{shard}") for shard in needed_shards(source)]


def list_text_batches():
    """The batches of questions, once they are cut (the DAG waits for that)."""
    if not NAMES.questions:
        return []
    folder = Path(checkpoints.batch_questions.get().output.folder)
    return sorted(path.stem for path in folder.glob("*.json"))


IMAGE_BATCHES = cut_batches(NAMES.quotas, IMAGE["batch_size"])


def questions_of(name):
    """Where the questions of a source are that batches are cut from."""
    return f"work/{'filter_text' if FILTERED['text'] else 'read_questions'}/{name}"


def samples_of(name):
    """Where the sampled rows of an artifact, or of a source of questions about pictures, are."""
    return f"work/sample_questions/{name}" if name in NAMES.pictured else f"work/sample_images/{name}"


def pictures_of(name):
    """Where the questions about pictures are that a teacher is asked."""
    return f"work/filter_image/{name}" if FILTERED["image"] else samples_of(name)


def list_samples(wildcards):
    """The pictures of a batch; they are large, so their summaries alone say whether they changed."""
    names = IMAGE_BATCHES[wildcards.batch]
    return {
        "questions": [ancient(f"{pictures_of(name)}.parquet") for name in names],
        "summaries": [f"{pictures_of(name)}.json" for name in names],
        "checkpoints": checkpoints_of(*names),
    }


def list_kept(wildcards):
    """What a judge is measured on: the artifact of its answers, and their questions."""
    name = {"text": "text2image", "image": "image_thinking"}[wildcards.what]
    asked = {
        "text": [f"work/read_questions/{each}" for each in NAMES.questions],
        "image": [samples_of(each) for each in [*NAMES.sampled, *NAMES.pictured]],
    }[wildcards.what]
    return {
        "artifact": ancient(NAMES.path_of(name)),
        "summary": f"work/assemble_artifact/{name}.json",
        "questions": [ancient(f"{stem}.parquet") for stem in asked],
        "questions_summaries": [f"{stem}.json" for stem in asked],
        "checkpoints": checkpoints_of(name),
    }


def list_parts(wildcards):
    """The summaries of what an artifact is assembled from, in order; each stands beside its shard."""
    name = wildcards.name
    if name == "text2image":
        read = [f"work/read_questions/{questions}.json" for questions in NAMES.questions]
        if FILTERED["text"]:
            read += [f"work/filter_text/{questions}.json" for questions in NAMES.questions]
        return read + [f"work/render_text/{batch}.json" for batch in list_text_batches()]
    if name == "image_thinking":
        read = [f"work/read_questions/{questions}.json" for questions in NAMES.pictured]
        if FILTERED["image"]:
            read += [f"work/filter_image/{asked}.json" for asked in [*NAMES.sampled, *NAMES.pictured]]
        return read + [f"work/select_image/{batch}.json" for batch in IMAGE_BATCHES]
    form = NAMES.entries[name]["form"]
    return [f"work/convert_{form}/{name}/{Path(shard).stem}.json" for shard in needed_shards(name)]


NOT_ROWS = ("work/read_questions/", "work/filter_text/", "work/filter_image/")
"""Parts that have rejects, and questions in place of an artifact's rows."""


def list_part_files(wildcards):
    """The files of an artifact's parts, and the raw shards that hold their pictures.

    They are ancient(): only the checksums that gather_parts writes say whether they changed.
    """
    stems = [part.removesuffix(".json") for part in list_parts(wildcards)]
    rows = [f"{stem}.parquet" for stem in stems if not stem.startswith(NOT_ROWS)]
    rejects = [f"{stem}.rejects.parquet" for stem in stems]
    name = wildcards.name
    raw = [*list_raw_files(name), *list_pictures(name)] if name in NAMES.converted else []
    return [*(ancient(file) for file in rows + rejects), *raw]


def listings_of(name):
    """The listings of an artifact's sources."""
    return [f"work/list_shards/{source}.json" for source in NAMES.sources_of(name)]


def checkpoints_of(*names):
    """The outputs of the checkpoints before these artifacts, as ancient() inputs of the jobs that follow.

    When a checkpoint ends, Snakemake decides anew only about jobs that have its output as an input. Other jobs
    that were planned because of it run, even if the checkpoint wrote the same as before.
    """
    listings = dict.fromkeys(listing for name in names for listing in listings_of(name))
    batches = ["work/batch_questions"] if "text2image" in names else []
    return [ancient(file) for file in [*listings, *batches]]


def other_states_of(name):
    """The summaries of the artifacts that image_thinking samples: its manifest takes their files' states."""
    return [f"work/assemble_artifact/{each}.json" for each in NAMES.sampled if name == "image_thinking"]


def kind_of(name):
    """What the rows of an artifact are: converted, reasoned, or with a column for the teacher of each."""
    if name in NAMES.converted:
        return "converted"
    return "reasoned_by" if "teachers" in config[card.TASK_OF[name]] else "reasoned"


def list_questions(wildcards):
    """The questions of a batch of texts."""
    stem = f"work/batch_questions/{wildcards.batch}"
    return {
        "batches": ancient("work/batch_questions"),
        "questions": ancient(f"{stem}.parquet"),
        "batch_summary": f"{stem}.json",
    }


def of_teachers(stem, what):
    """A batch's file `stem` of each teacher: that of the first has no name in it."""
    teachers = list(teachers_of(config, f"{what}_reasoning"))[1:]
    return [stem, *(stem.replace("{batch}", f"{{batch}}.{name}") for name in teachers)]


def rated_files(what):
    """The answers and verdicts of a batch that pass rates are of, where those are not the teachers' own."""
    rated = config[f"{what}_reasoning"]["pass_rate_server"]
    steps = ("answer", "judge") if rated else ()
    stems = [f"work/{step}_{what}/{{batch}}.{rated['server']}" for step in steps]
    return {
        "rated_answers": ancient([f"{stem}.parquet" for stem in stems[:1]]),
        "rated_verdicts": ancient([f"{stem}.parquet" for stem in stems[1:]]),
        "rated": [f"{stem}.json" for stem in stems],
    }


def write_missing_manifests():
    """Give each artifact that was built as a target alone its manifest, and register all artifacts."""
    lacking = [name for name in NAMES.artifacts if manifests.lacks_manifest(name, NAMES.path_of(name))]
    for name in lacking:
        manifests.write_manifest(BASE / "scripts", name, listings_of(name), other_states_of(name))
    if lacking:
        manifests.register(BASE / "scripts", NAMES.artifacts, NAMES.sharded)
