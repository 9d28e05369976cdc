"""The server as a process of its own, for checks that are written in Python."""

import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

# How long a start or a stop may take before it counts as hanging.
PATIENCE_SECONDS = 60
LISTENING = re.compile(r"listening on (http://\S+)")


class AgentServer:
    """One server over one folder, which can be stopped, killed and started again.

    It listens on a free loopback port. Everything it keeps is below `folder`, its log lines in
    `folder/server.txt`.
    """

    def __init__(self, binary: str, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.url = ""
        self._command = [binary, "serve", "--host", "127.0.0.1"]
        self._environment = without_settings(dict(os.environ)) | variables
        self._log = folder / "server.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "AgentServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self, port: int = 0) -> None:
        """Starts it and waits until it is ready; `url` is its address then."""
        begin = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--port", str(port)],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url = self._wait_for(lambda: self._address(begin))
        self._wait_for(lambda: status_of(f"{self.url}/ready") == 200)

    def stop(self) -> int:
        """Asks it to end with SIGTERM; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """Ends it without warning, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _address(self, begin: int) -> str | None:
        written = self._log.read_bytes()[begin:].decode(errors="replace")
        found = LISTENING.search(written)
        return found and found.group(1)

    def _wait_for(self, answer):
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended by itself:\n{self.log}")
            if found := answer():
                return found
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the server did not become ready:\n{self.log}")


def without_settings(environment: dict[str, str]) -> dict[str, str]:
    """An environment without what would change how a server behaves."""
    ours = ("OH_", "LLM_", "SESSION_API_KEY", "OPENHANDS_AGENT_SERVER_")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


def status_of(url: str) -> int | None:
    """The status of a GET, or None when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
