# Everything a developer does here, by name. `just` alone lists it.

_default:
    @just --list --unsorted

# Serve, and restart when the sources, the binary or the configuration change
dev *flags:
    cargo run --bin agent-server -- --reload {{ flags }}

# Serve
run *flags:
    cargo run --release --bin agent-server -- {{ flags }}

# Watch an agent do real work through the public API
demo *arguments:
    cargo run --release --bin agent-server -- demo {{ arguments }}

# All tests that need nothing but a Rust toolchain
test *arguments:
    cargo test --workspace {{ arguments }}

# What the tests reach, as a table and as lcov.info
coverage:
    @cargo llvm-cov --version >/dev/null 2>&1 || { \
        echo "This needs cargo-llvm-cov: cargo install cargo-llvm-cov --locked" >&2; \
        echo "and rustup component add llvm-tools" >&2; \
        exit 1; \
    }
    cargo llvm-cov --workspace --no-report
    cargo llvm-cov report --lcov --output-path lcov.info
    cargo llvm-cov report

# Formatting and clippy, as CI has them
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Format all code
fmt:
    cargo fmt --all

# The documentation of all crates
docs *flags:
    cargo doc --workspace --no-deps {{ flags }}

# Licences, advisories and sources of all dependencies
deny:
    @cargo deny --version >/dev/null 2>&1 || { \
        echo "This needs cargo-deny: cargo install cargo-deny --locked" >&2; \
        exit 1; \
    }
    cargo deny check

# Drive the server with public clients (needs Python 3.12 and PyPI)
clients *arguments:
    tests/clients/python/run.sh {{ arguments }}

# Use MCP servers that others wrote (needs Python 3.12 with PyPI, and Node.js with npm)
mcp:
    tests/clients/mcp.sh

# Check the OpenAPI document with a public validator (needs Python 3.12 and PyPI)
openapi:
    tests/clients/openapi.sh

# Turns in all three wire formats with a mock of the providers that others wrote (needs Node.js 20.15 and npm)
aimock:
    tests/clients/aimock.sh

# Start time and memory, beside a minimal server
bench-start:
    cargo build --release --bin agent-server --example minimal_actix
    cargo run --release -p agent-server --example bench_start

# A step's overhead and memory at step 1,000 beside step 20 (--rounds N, chat, responses, messages)
bench-steps *arguments:
    cargo build --release --bin agent-server
    cargo run --release -p agent-server --example bench_steps -- {{ arguments }}

# A conversation with a real model on a real repository (needs Python 3.12 and PyPI)
real-model:
    tests/real_model/run.sh

# What a change has to pass
ci:
    .ci/run

# Load over real sockets: latencies, rates and memory beside their bars (--quick, --url URL)
load *arguments:
    cargo build --release -p agent-server -p load
    cargo run --release -p load --bin load -- {{ arguments }}

# Kill the server at random moments under load, and check that it kept all it had acknowledged
crash *arguments:
    cargo build -p agent-server -p crash
    cargo run -p crash -- {{ arguments }}

# Do to the server what once brought it down, and check that it stands (--only WORD)
attack *arguments:
    cargo build -p agent-server -p attack
    cargo run -p attack -- {{ arguments }}

# The store against arbitrary files: reader, recovery, sidecars; `just fuzz recovery 600` for ten minutes
fuzz target='recovery' seconds='120':
    @cargo fuzz --version >/dev/null 2>&1 || { \
        echo "This needs cargo-fuzz: cargo install cargo-fuzz --locked" >&2; \
        exit 1; \
    }
    cd crates/store-fs && RUSTC_BOOTSTRAP=1 cargo fuzz run {{ target }} -- \
        -max_total_time={{ seconds }} -rss_limit_mb=1024 -timeout=30

# The store's benchmarks, with a table of bars at the end (--quick, or a word of a name)
bench *arguments:
    cargo bench -p store-fs -- {{ arguments }}
