"""What every test needs: where the checkout is, how signals stand, and how properties are run."""

import os
import signal
from pathlib import Path

import hypothesis

ROOT = Path(__file__).resolve().parent.parent

# A run in the background is started to ignore these, and so would be every program that the tests end by one.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Under `make test`, a make that a test starts would take itself for a part of that one, and say so.
for name in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
    os.environ.pop(name, None)

# What a property costs depends on the machine's load, which is no property of the code.
# `make fuzz` sets how many examples each property is tried with.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 0)) or None
hypothesis.settings.register_profile(
    "any_load", deadline=None, **({"max_examples": EXAMPLES} if EXAMPLES else {})
)
hypothesis.settings.load_profile("any_load")


def at_most(examples: int) -> hypothesis.settings:
    """The settings of a property whose examples are slow: so many, or as many as `make fuzz` asks for."""
    return hypothesis.settings(max_examples=EXAMPLES or examples)
