#!/bin/bash
# Installs vllm-glm41v.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/vllm-glm41v.txt"
echo "59ce0b4340e9a84447a6c8a7f7f5f304a8050c68819dcb048fcc8fb61be625f8  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
