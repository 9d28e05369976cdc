#!/usr/bin/env bash
# Checks with the providers' own Python packages that the model server of the tests answers as they do.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

python="$(packages_of models "$repository/tests/clients/models/requirements.txt")"
(cd "$repository" && cargo build --quiet --package test-support --example model_server) ||
    fail "The model server does not build."
exec "$python" "$repository/tests/clients/models/check.py" \
    "${CARGO_TARGET_DIR:-$repository/target}/debug/examples/model_server"
