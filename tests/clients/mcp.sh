#!/usr/bin/env bash
# Runs agents with MCP servers that others wrote: fastmcp from PyPI, by pipes and by HTTP, and
# @modelcontextprotocol/server-everything from npm.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

everything=@modelcontextprotocol/server-everything
node --version >/dev/null 2>&1 && npm --version >/dev/null 2>&1 || fail \
    "This check needs Node.js 20 or newer with npm." \
    "  Debian, Ubuntu: apt-get install nodejs npm" \
    "  Fedora:         dnf install nodejs npm" \
    "  macOS:          brew install node"
python="$(packages_of mcp "$repository/tests/clients/mcp/requirements.txt")"
packages="$environments/mcp-npm"
if [[ ! -d "$packages/node_modules/$everything" ]]; then
    mkdir -p "$packages"
    npm install --silent --no-audit --no-fund --prefix "$packages" "$everything@2026.8.31" >"$packages/npm.log" 2>&1 ||
        fail "$everything could not be installed: see $packages/npm.log"
fi
exec "$python" "$repository/tests/clients/mcp/check.py" "$(server_binary)" \
    "$packages/node_modules/$everything/dist/index.js"
