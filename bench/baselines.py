"""What the conversion is measured against: bare programs that do a part of it, or all of it plainly."""

import argparse
import hashlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

PROCESSES = 2


def pass_through(source: Path, target: Path) -> None:
    """Row group by row group from file to file, no picture compressed, and the sha256 of what was written."""
    file = pq.ParquetFile(source)
    texts = [path for path in _leaves(file) if path != "image.bytes"]
    compression = {path: "ZSTD" if path in texts else "NONE" for path in _leaves(file)}
    with pq.ParquetWriter(target, file.schema_arrow, compression=compression, use_dictionary=texts) as writer:
        for group in range(file.num_row_groups):
            writer.write_table(file.read_row_group(group))
    with target.open("rb") as written:
        print(hashlib.file_digest(written, "sha256").hexdigest())


def _leaves(file: pq.ParquetFile) -> list[str]:
    return [file.schema.column(i).path for i in range(len(file.schema))]


def decode(source: Path) -> None:
    """Each picture through the conversion's own decoder, in processes that do nothing else."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        groups = range(pq.ParquetFile(source).num_row_groups)
        print(sum(pool.map(partial(_decode_group, source), groups)))


def _decode_group(source: Path, group: int) -> int:
    from prep.convert.image_check import find_rejection  # imported by the processes that use it alone

    cells = pq.ParquetFile(source).read_row_group(group, ["image"]).column("image").to_pylist()
    return sum(find_rejection(cell["bytes"], 89_478_485, "decode") is None for cell in cells)


def datasets_map(source: Path, target: Path) -> None:
    """The same conversion as the datasets library's pages show it: pictures decoded and encoded again."""
    import datasets
    from datasets import Features, Image, Value, load_dataset

    features = Features(
        {
            "id": Value("string"),
            "messages": [{"content": Value("string"), "role": Value("string")}],
            "images": [Image()],
        }
    )
    datasets.disable_progress_bars()
    cache = str(target.parent / "cache")
    rows = load_dataset("parquet", data_files=str(source), split="train", cache_dir=cache)
    rows.map(_converted, num_proc=PROCESSES, features=features, remove_columns=rows.column_names).to_parquet(
        str(target)
    )


def _converted(row: dict) -> dict:
    turns = [(turn["from"], turn["value"]) for turn in row["conversations"]]
    if "<image>" not in turns[0][1]:
        turns[0] = (turns[0][0], "<image>\n" + turns[0][1])
    roles = {"human": "user", "gpt": "assistant"}
    return {
        "id": row["id"],
        "messages": [{"content": text, "role": roles[speaker]} for speaker, text in turns],
        "images": [row["image"]],
    }


def main() -> None:
    programs = {program.__name__: program for program in (pass_through, decode, datasets_map)}
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("program", choices=programs)
    flags.add_argument("files", nargs="+", type=Path, help="the source, and what is written, if anything is")
    args = flags.parse_args()
    programs[args.program](*args.files)


if __name__ == "__main__":
    main()
