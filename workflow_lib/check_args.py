"""Check of what make hands to Snakemake in ARGS: its config files, and its folder.

Snakemake 9.27 ends in a traceback where one of them cannot be read.
"""

import argparse
import os
from pathlib import Path

from workflow_lib.config import merge_files
from workflow_lib.config_error import exit_in_one_line, fail

BASE = Path(__file__).parent.parent


def check_folder(folder: Path) -> None:
    """Make a folder to build in, as Snakemake does, and enter it. Fails where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
    except (FileExistsError, NotADirectoryError):
        fail(f"--directory {folder} is no folder; name one")
    except OSError as error:
        fail(f"--directory {folder}: {error.strerror}; name a folder that can be written")


@exit_in_one_line()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--configfile", "--configfiles", type=Path, nargs="+", default=[])
    parser.add_argument("--directory", "-d", type=Path)
    args, _ = parser.parse_known_args()
    merge_files(BASE, args.configfile)
    if args.directory:
        check_folder(args.directory)


if __name__ == "__main__":
    main()
