#!/bin/bash
# Installs vllm-new.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/vllm-new.txt"
echo "17468245d0ea6ae7aa747d436ed9edbd41757bf87621b88f89c42f250f8e800e  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
