#!/usr/bin/env python
"""Compare two builds: which rows came, went or changed, by artifact and reason.

Rows are joined by id. Of an artifact with the same checksum in both manifests nothing is read; of others, all
columns but the pictures, which `--pictures` reads too. `snakemake verify` holds files against manifests. The
page is one HTML file.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from prep.report.built_files import find_artifact, list_columns, read_manifests, read_rows
from prep.report.difference import KEPT, NOT_READ, Difference, format_differences
from prep.report.formatting import load_template
from prep.runtime import program
from prep.runtime.program import UserError
from prep.runtime.sanitize import sanitize
from prep.storage import parquet
from prep.storage.atomic import atomic_write


def compare_artifact(
    name: str, builds: tuple[Path, Path], manifests: tuple[dict | None, dict | None], with_pictures: bool
) -> Difference:
    """Compare one artifact of two builds; a manifest is None where a build lacks it."""
    old, new = manifests
    found = Difference(name, old and old["rows"], new and new["rows"])
    if old and new and _is_same(old, new):
        return found
    before, after = (
        dict(_read_rows(data, manifest, with_pictures)) if manifest else {}
        for data, manifest in zip(builds, manifests, strict=True)
    )
    was_rejected, is_rejected = (
        dict(_read_rejects(data, name)) if manifest else {}
        for data, manifest in zip(builds, manifests, strict=True)
    )
    for id_, digest in before.items():
        if id_ not in after:
            found.add((KEPT, is_rejected.get(id_, NOT_READ)), id_)
        elif after[id_] != digest:
            found.add((KEPT, KEPT), id_)
    for id_ in after:
        if id_ not in before:
            found.add((was_rejected.get(id_, NOT_READ), KEPT), id_)
    for id_ in {**was_rejected, **is_rejected}:
        if id_ in before or id_ in after:
            continue
        group = was_rejected.get(id_, NOT_READ), is_rejected.get(id_, NOT_READ)
        if group[0] != group[1]:
            found.add(group, id_)
    return found


def _is_same(old: dict, new: dict) -> bool:
    """Whether two manifests tell of the same rows and rejects."""
    keys = ("sha256", "rejected", "read")
    files = [[file["sha256"] for file in manifest.get("files", ())] for manifest in (old, new)]
    return files[0] == files[1] and all(old.get(key) == new.get(key) for key in keys)


def _read_rows(data: Path, manifest: dict, with_pictures: bool) -> Iterator[tuple[str, bytes]]:
    """The id of each row of an artifact, and a digest of the row."""
    for file in parquet.list_files(find_artifact(data, manifest)):
        names = [name for name in list_columns(file) if with_pictures or name != "images"]
        for row in read_rows(file, names):
            digest = hashlib.blake2b(digest_size=16)
            for picture in row.pop("images", None) or ():
                digest.update(hashlib.sha256(picture["bytes"]).digest())
            digest.update(json.dumps(row).encode(errors="surrogatepass"))
            yield row["id"], digest.digest()


def _read_rejects(data: Path, name: str) -> Iterator[tuple[str, str]]:
    """The id and the reason of each row that was rejected."""
    for row in read_rows(data / "rejects" / f"{name}.parquet", ["id", "reason"]):
        yield row["id"], row["reason"]


def compare_builds(old: Path, new: Path, with_pictures: bool) -> list[Difference]:
    """Compare every artifact that either build has, in the order of their names."""
    before, after = read_manifests(old), read_manifests(new)
    return [
        compare_artifact(name, (old, new), (before.get(name), after.get(name)), with_pictures)
        for name in sorted(before.keys() | after.keys())
    ]


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--old", required=True, help="the data/ folder of a build")
    parser.add_argument("--new", required=True, help="the data/ folder of another build")
    parser.add_argument("--pictures", action="store_true", help="compare the bytes of pictures too")
    parser.add_argument("--page", type=Path, help="out: the same as an HTML page, with examples")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not (args.old and args.new):
        raise UserError("which builds? OLD=before/data NEW=after/data say it")
    if args.page:
        program.check_replaceable(args.page)
    found = compare_builds(Path(args.old), Path(args.new), args.pictures)
    print(sanitize(format_differences(found)))
    if args.page:
        template = load_template("compare_builds.html")
        with atomic_write(args.page) as part:
            part.write_text(template.render(old=args.old, new=args.new, artifacts=found), encoding="utf-8")
        print(f"\n{args.page}")


if __name__ == "__main__":
    program.run(main)
