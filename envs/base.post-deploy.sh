#!/bin/bash
# Installs base.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/base.txt"
echo "bedf0e176eb26519fd4f9646bbefc4a177cedf688b2779b21a6f745a6c365623  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
