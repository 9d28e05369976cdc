# shellcheck shell=bash
# Sourced by the checks that need more than a Rust toolchain: a Python, packages from PyPI, and the
# server's binary.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
environments="$repository/target/clients"
# LiteLLM, a dependency of openhands-sdk, would otherwise fetch its price table when imported.
export LITELLM_LOCAL_MODEL_COST_MAP=True
export PIP_DISABLE_PIP_VERSION_CHECK=1
# For agent_server.py beside this file; and checks leave nothing in the source tree.
export PYTHONPATH="$repository/tests/clients" PYTHONDONTWRITEBYTECODE=1

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

# The first interpreter that can be used; PYTHON is tried before all others.
find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.13 python3.12 python3 \
        "$HOME"/.pyenv/versions/3.13*/bin/python "$HOME"/.pyenv/versions/3.12*/bin/python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' \
            >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    fail "This check needs Python 3.12 or newer with its venv module, and found none." \
        "  Debian, Ubuntu: apt-get install python3 python3-venv" \
        "  Fedora:         dnf install python3" \
        "  macOS:          brew install python@3.13" \
        "  anywhere:       pyenv install 3.13, or set PYTHON to an interpreter"
}

# packages_of NAME REQUIREMENTS: prints the Python of an environment with those packages, made at
# the first call and again when the requirements or the interpreter changed.
packages_of() {
    local folder="$environments/$1-venv" requirements="$2" python stamp log
    python="$(find_python)" || exit
    stamp="$("$python" --version) $(cksum <"$requirements")"
    if [[ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ]]; then
        echo "installing $(basename "$(dirname "$requirements")")/$(basename "$requirements") into $folder" >&2
        rm -rf "$folder"
        mkdir -p "$environments"
        log="$folder.log"
        { "$python" -m venv "$folder" &&
            "$folder/bin/python" -m pip install --requirement "$requirements"; } >"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            fail "The packages of $requirements could not be installed: see $log"
        }
        printf '%s' "$stamp" >"$folder/stamp"
    fi
    echo "$folder/bin/python"
}

# Prints the path of a release build that is up to date; AGENT_SERVER names another binary.
server_binary() {
    if [[ -n "${AGENT_SERVER:-}" ]]; then
        echo "$AGENT_SERVER"
        return
    fi
    (cd "$repository" && cargo build --quiet --release --bin agent-server) >&2 ||
        fail "The server does not build."
    echo "${CARGO_TARGET_DIR:-$repository/target}/release/agent-server"
}
