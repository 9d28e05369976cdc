#!/usr/bin/env bash
# Checks the server's own description of its interface with a tool that knows the standard.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

python="$(packages_of openapi "$repository/tests/clients/openapi/requirements.txt")"
binary="$(server_binary)"
exec "$python" "$repository/tests/clients/openapi/check.py" "$binary"
