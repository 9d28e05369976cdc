"""Guards against hanging. Nothing that works comes near them, and no test measures time."""

import time
from collections.abc import Callable

# For `conversation.run(timeout=…)`. Below the 30 s after which the client stops waiting for the
# snapshot that ends a run, so that a server which the client cannot hear ending fails here.
RUN_SECONDS = 25
# For everything else that takes a moment to happen.
PATIENCE_SECONDS = 60


def eventually(what: str, holds: Callable[[], object]) -> None:
    """Waits until something holds, and fails when it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)
