"""Fuzzing campaign: all property tests, over and over with new random examples, until the time is over.

    fuzz.py --minutes 10 [--examples 500] [tests/test_hostile_files.py …]

A failure ends it. Hypothesis keeps the smallest example in .hypothesis/, which the next run tries first, and
prints it; put it into the test as an @example.
"""

import argparse
import os
import subprocess
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True, help="a round that has begun is ended")
    parser.add_argument("--examples", type=int, default=500, help="of each property in a round")
    parser.add_argument("tests", nargs="*", default=["tests"], help="left out: all")
    args = parser.parse_args()
    end, rounds = time.monotonic() + 60 * args.minutes, 0
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "hypothesis", "--timeout=0", *args.tests]
    while rounds == 0 or time.monotonic() < end:
        done = subprocess.run(command, env=os.environ | {"FUZZ_EXAMPLES": str(args.examples)}, check=False)
        if done.returncode:
            sys.exit(f"a property failed in round {rounds + 1}")
        rounds += 1
    print(f"{rounds} rounds of {args.examples} examples for each property, and none failed")


if __name__ == "__main__":
    main()
