"""What an artifact is made of: shards, batches, and the sources that its manifest names."""


def raw_questions(wildcards):
    """The raw files of a source of questions; their identities alone say whether they changed."""
    return [ancient(f"raw/{wildcards.questions}/{shard}") for shard in needed(wildcards.questions)]


def question_identities(wildcards):
    """The identities of a source's raw files."""
    return [f"work/fetch_shard/{wildcards.questions}/{shard}.json" for shard in needed(wildcards.questions)]


def text_batches():
    """The batches of questions, once they are cut (the DAG waits for that)."""
    folder = Path(checkpoints.batch_questions.get().output.folder)
    think_again()
    return sorted(path.stem for path in folder.glob("*.json"))


def image_batches():
    """Whole artifacts in list order, as many a batch as fit by samples_per_config, and at least one."""
    names = list(ONEVISION)
    fit = max(1, IMAGE["batch_size"] // IMAGE["samples_per_config"])
    starts = range(0, len(names), fit)
    return {f"{number:05d}": names[start : start + fit] for number, start in enumerate(starts)}


IMAGE_BATCHES = image_batches()


def samples(wildcards):
    """The pictures of a batch; they are large, so their identities alone say whether they changed."""
    return [ancient(f"work/sample_images/{name}.parquet") for name in IMAGE_BATCHES[wildcards.batch]]


def sample_identities(wildcards):
    """The identities of a batch's pictures."""
    return [f"work/sample_images/{name}.json" for name in IMAGE_BATCHES[wildcards.batch]]


def judged(rule):
    """An input function: by what a batch's verdicts are known; once they are, what follows is decided anew."""

    def identity(wildcards):
        think_again()
        return f"work/{rule}/{wildcards.batch}.json"

    return identity


def parts(wildcards):
    """The summaries of what an artifact is assembled from, in order; each stands beside its shard."""
    name = wildcards.name
    if name == "text2image":
        read = [f"work/read_questions/{questions}.json" for questions in QUESTIONS]
        return read + [f"work/render_text/{batch}.json" for batch in text_batches()]
    if name == "image_thinking":
        return [f"work/select_image/{batch}.json" for batch in IMAGE_BATCHES]
    converter = "convert_synthdog" if name in SYNTHDOG else "convert_llava"
    return [f"work/{converter}/{name}/{Path(shard).stem}.json" for shard in needed(name)]


def gathered(wildcards):
    """What a converted artifact waits for besides its parts, to see whether these have changed."""
    return [f"work/gather_parts/{wildcards.name}.json"] if wildcards.name in CONVERTED else []


def part_files(wildcards):
    """What stands beside the summaries, which alone say whether it changed; and raw shards, for pictures.

    The folder of batches is named, so that text2image always waits for it to be cut.
    """
    stems = [part.removesuffix(".json") for part in parts(wildcards)]
    rows = [f"{stem}.parquet" for stem in stems if not stem.startswith("work/read_questions/")]
    rejects = [f"{stem}.rejects.parquet" for stem in stems]
    name = wildcards.name
    raw = [f"raw/{name}/{shard}" for shard in needed(name)] if name in CONVERTED else []
    batches = ["work/batch_questions"] if name == "text2image" else []
    return [ancient(file) for file in rows + rejects + raw + batches]


def sources_of(name):
    """The sources that an artifact's manifest lists."""
    if name == "text2image":
        return list(QUESTIONS)
    return list(ONEVISION) if name == "image_thinking" else [name]


def listings_of(name):
    """The listings of an artifact's sources."""
    return [f"work/list_shards/{source}.json" for source in sources_of(name)]


def other_states_of(name):
    """The summaries of the other artifacts whose assembly says what became of those sources' files."""
    return [f"work/assemble_artifact/{each}.json" for each in ONEVISION if name == "image_thinking"]


def memory_mb(source, attempt):
    """What reading a source's shards takes: pyarrow holds a page decompressed, and a page may be a row group.

    Where nothing is listed yet, or no row group is known, it is what those of ordinary size take. A job that
    ran out of memory gets more at its next attempt.
    """
    listing = Path(f"work/list_shards/{source}.json")
    files = _read_listing(str(listing), listing.stat().st_mtime_ns).values() if listing.exists() else ()
    largest = max((file.get("group_bytes") or 0 for file in files), default=0)
    return attempt * max(2000, 1500 + 2 * largest // 1_000_000)


def memory_to_convert(wildcards, attempt):
    """The memory of a job that converts a shard, in MB."""
    return memory_mb(wildcards.source, attempt)


def memory_to_assemble(wildcards, attempt):
    """The memory of a job that assembles an artifact, in MB; pictures are read from the raw shards."""
    return memory_mb(wildcards.name, attempt)
