#!/bin/bash
# Installs base.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/base.txt"
echo "9ff38e9929b3aaa12bb20c00462c8025cac30f6c37c1bcce7c965fb082537cf5  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
