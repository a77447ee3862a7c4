#!/bin/bash
# Installs base.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/base.txt"
echo "efba3129daa948d73034e6d492b1531e9d64ed1d3a4abe5089bcefe3f824010d  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
