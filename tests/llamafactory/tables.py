"""What polars and duckdb read of parquet files: ids, messages, and the sha256 of each picture, as JSON."""

import hashlib
import json
import sys
from collections.abc import Callable

import duckdb
import polars


def read_polars(file: str) -> list[dict]:
    return polars.read_parquet(file).to_dicts()


def read_duckdb(file: str) -> list[dict]:
    table = duckdb.sql(f"SELECT * FROM read_parquet('{file}')")
    return [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]


READERS: dict[str, Callable[[str], list[dict]]] = {"polars": read_polars, "duckdb": read_duckdb}


def main() -> None:
    for file in sys.argv[1:]:
        for name, read in READERS.items():
            for row in read(file):
                row["images"] = [hashlib.sha256(picture["bytes"]).hexdigest() for picture in row["images"]]
                print(json.dumps({"reader": name, "file": file, "row": row}))


if __name__ == "__main__":
    main()
