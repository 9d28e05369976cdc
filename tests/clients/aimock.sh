#!/usr/bin/env bash
# Whole turns in all three wire formats with a mock of the providers that others wrote: @copilotkit/aimock
# from npm, on loopback.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

here="$repository/tests/clients/aimock"
packages="$environments/aimock"

node_can() { node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 15) ? 0 : 1)'; }

node_can 2>/dev/null && command -v npm >/dev/null ||
    fail "This check needs Node.js 20.15 or newer with npm, and found none." \
        "  Debian, Ubuntu: apt-get install nodejs npm" \
        "  Fedora:         dnf install nodejs" \
        "  macOS:          brew install node" \
        "  anywhere:       https://nodejs.org/en/download"

python="$(find_python)"
binary="$(server_binary)"
mkdir -p "$packages"
if ! cmp --silent "$here/package.json" "$packages/installed.json"; then
    echo "installing aimock into $packages" >&2
    cp "$here/package.json" "$packages/package.json"
    (cd "$packages" && npm install --no-audit --no-fund --ignore-scripts --loglevel error) >"$packages/log" 2>&1 || {
        tail -n 20 "$packages/log" >&2
        fail "aimock could not be installed: see $packages/log"
    }
    cp "$here/package.json" "$packages/installed.json"
fi

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"$python" "$here/check.py" "$binary" "$packages/node_modules/@copilotkit/aimock" "$folder"
