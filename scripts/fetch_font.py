#!/usr/bin/env python
"""Fetch a Chinese face in the Kai style, which no wheel has, from a Debian package: without root, by hash.

LXGW WenKai is under the SIL Open Font License 1.1: https://github.com/lxgw/LxgwWenKai
"""

import argparse
import hashlib
import http.client
import io
import tarfile
import urllib.request
from pathlib import Path

from prep.runtime import program
from prep.runtime.program import UserError
from prep.storage.atomic import atomic_write

DEBIAN = "https://deb.debian.org/debian"
PACKAGE = "pool/main/f/fonts-lxgw-wenkai/fonts-lxgw-wenkai_1.250+repack-1_all.deb"
SHA256 = "6d1e4c4aac78ad32062aefa2c836ee4d6e58f9dcf8b3f4407c9eefe304615318"
FILES = ("LXGWWenKai-Regular.ttf", "LXGWWenKai-Bold.ttf")
HEADER = 60
"""Bytes before a member of an ar archive: its name in the first 16, its size as text in 48 to 58 (ar(5))."""


def fetch(mirror: str) -> bytes:
    """The package, whole and as it was when it was chosen."""
    url = f"{mirror}/{PACKAGE}"
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            package = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{url}: {error}; --mirror names another mirror of Debian") from error
    if hashlib.sha256(package).hexdigest() != SHA256:
        raise UserError(f"{url} is not the package that was chosen: its sha256 is not {SHA256}")
    return package


def read_member(package: bytes, prefix: bytes) -> bytes:
    """The content of an ar archive's first member whose name begins so; KeyError where none does."""
    at = len(b"!<arch>\n")
    while at < len(package):
        name, size = package[at : at + 16], int(package[at + 48 : at + 58])
        at += HEADER
        if name.startswith(prefix):
            return package[at : at + size]
        at += size + size % 2
    raise KeyError(prefix)


def main() -> None:
    args = parse_args()
    data = read_member(fetch(args.mirror), b"data.tar")
    with tarfile.open(fileobj=io.BytesIO(data)) as files:
        for member in files:
            if (name := Path(member.name).name) in FILES:
                with atomic_write(args.folder / name) as part:
                    part.write_bytes(files.extractfile(member).read())


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="out: the font files")
    parser.add_argument("--mirror", default=DEBIAN, help=f"of Debian; default: {DEBIAN}")
    return parser.parse_args()


if __name__ == "__main__":
    program.run(main)
