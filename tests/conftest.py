"""Programs and their shared nouns are imported from scripts/, as the programs themselves do."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
