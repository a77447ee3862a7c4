"""Programs and their shared nouns are imported from scripts/, as the programs themselves do."""

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

# A run in the background is started to ignore these, and so would be every program that the tests end by one.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
