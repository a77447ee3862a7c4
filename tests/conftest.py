"""What every test needs: where the checkout is, how signals stand, and how properties are run."""

import signal
from pathlib import Path

import hypothesis

ROOT = Path(__file__).resolve().parent.parent

# A run in the background is started to ignore these, and so would be every program that the tests end by one.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# What a property costs depends on the machine's load, which is no property of the code.
hypothesis.settings.register_profile("any_load", deadline=None)
hypothesis.settings.load_profile("any_load")
