#!/bin/bash
# Installs vllm-qwen3.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/vllm-qwen3.txt"
echo "d258b399c273f7d4299f89080c6037105ed36539850010132f22e3b0fef5459c  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
