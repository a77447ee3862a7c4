#!/bin/bash
# Installs base.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/base.txt"
echo "609d616052da53f5646854330c7e7674e9fffcbd396d0d5de874b022559046b0  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
