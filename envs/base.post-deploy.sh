#!/bin/bash
# Installs base.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/base.txt"
echo "6bee4e5313af0750fb7a201d2c6e71689418ca7db3d2658c9432c32e869bded3  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
