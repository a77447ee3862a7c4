"""A shard in LLaVA-ReCap's layout, as large as is asked for, the same bytes each time."""

import argparse
import io
import random
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib.metadata import distribution
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from prep.storage.atomic import atomic_write

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "rocket.jpg",
)
"""Photographs of scikit-image in colour that are CC0 or in the public domain."""
SIZES = ((640, 480), (800, 600), (1024, 768), (768, 1024), (1280, 960))
"""Pixels of the pictures, by row in turn."""
FORMATS = (*("JPEG",) * 298, "PNG", "WEBP", "progressive JPEG")
"""How the pictures are encoded, by row in turn: caption sets were downloaded by tools that store JPEG.

One in a hundred is of another kind; these take ten to twenty times as long to decode.
"""
GROUP_ROWS = 100
"""Rows of a row group, as in the published shards."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
        ("data_source", pa.string()),
    ]
).with_metadata(
    {
        "huggingface": '{"info": {"features": {"id": {"dtype": "string", "_type": "Value"}, '
        '"image": {"_type": "Image"}, "conversations": [{"from": {"dtype": "string", "_type": "Value"}, '
        '"value": {"dtype": "string", "_type": "Value"}}], '
        '"data_source": {"dtype": "string", "_type": "Value"}}}}'
    }
)
WORDS = [
    "a",
    "the",
    "photograph",
    "shows",
    "small",
    "large",
    "bright",
    "dark",
    "left",
    "right",
    "of",
    "in",
    "front",
    "behind",
    "stands",
    "lies",
    "red",
    "blue",
]


def build(path: Path, rows: int) -> None:
    """Write a shard of `rows` rows, about 110 kB each, drawn in two processes."""
    starts = range(0, rows, GROUP_ROWS)
    with atomic_write(path) as part, pq.ParquetWriter(part, SCHEMA) as writer, ProcessPoolExecutor(2) as pool:
        for group in pool.map(partial(_group, rows=rows), starts):
            writer.write_table(group)


def _group(start: int, rows: int) -> pa.Table:
    numbers = range(start, min(start + GROUP_ROWS, rows))
    return pa.Table.from_pylist([row(number) for number in numbers], SCHEMA)


def row(number: int) -> dict:
    """A row of the shard: a part of a photograph, and a made-up caption of about 200 words."""
    draw = random.Random(number)
    suffix, data = picture(number, draw)
    asked = "Describe the picture." if number % 8 == 0 else "<image>\nDescribe the picture."
    caption = " ".join(draw.choices(WORDS, k=200))
    return {
        "id": f"{number:09d}",
        "image": {"bytes": data, "path": f"{number:09d}.{suffix}"},
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": caption}],
        "data_source": "bench",
    }


def picture(number: int, draw: random.Random) -> tuple[str, bytes]:
    """A picture as (name's suffix, bytes): a part of a photograph that no other row has."""
    photograph = _photograph(draw.choice(PHOTOGRAPHS))
    width, height = SIZES[number % len(SIZES)]
    part_width = min(photograph.width, width) - draw.randrange(40)
    part_height = min(photograph.height, height) - draw.randrange(40)
    left = draw.randrange(photograph.width - part_width + 1)
    top = draw.randrange(photograph.height - part_height + 1)
    part = photograph.resize((width, height), box=(left, top, left + part_width, top + part_height))
    file = io.BytesIO()
    kind = FORMATS[number % len(FORMATS)]
    if kind == "PNG":
        part.save(file, "PNG", compress_level=1)
    elif kind == "WEBP":
        part.save(file, "WEBP", quality=90, method=0)
    else:
        part.save(file, "JPEG", quality=85, progressive=kind != "JPEG")
    return {"PNG": "png", "WEBP": "webp"}.get(kind, "jpg"), file.getvalue()


@cache
def _photograph(name: str) -> Image.Image:
    with Image.open(distribution("scikit-image").locate_file(f"skimage/data/{name}")) as file:
        return file.convert("RGB")


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("path", type=Path)
    flags.add_argument("rows", type=int)
    args = flags.parse_args()
    build(args.path, args.rows)


if __name__ == "__main__":
    main()
