#!/usr/bin/env bash
# Drives the server with openhands-sdk, and checks its webhooks, with packages as published. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

here="$repository/tests/clients/python"
python="$(packages_of python "$here/requirements.txt")"
AGENT_SERVER="$(server_binary)"
export AGENT_SERVER OPENHANDS_SUPPRESS_BANNER=1
cd "$here"
exec "$python" -m pytest "$@"
