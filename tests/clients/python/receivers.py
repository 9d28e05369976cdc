"""Receivers of webhooks: the one of the manual, and one that keeps what it is asked."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from waiting import eventually

MANUAL = Path(__file__).parents[3] / "docs" / "WEBHOOKS.md"
# Where the manual's receiver listens.
ADDRESS = '("127.0.0.1", 9000)'


class ManualReceiver:
    """The receiver in the manual's Python block, as a process of its own over `folder`.

    Only its port is another one, so that tests need not share it.
    """

    def __init__(self, folder: Path, secret: str) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/"
        program = folder / "receiver.py"
        program.write_text(
            receiver_of_the_manual().replace(ADDRESS, f'("127.0.0.1", {self._port})')
        )
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            cwd=folder,
            env=dict(os.environ) | {"HOOK_SECRET": secret},
        )
        eventually("the manual's receiver listens", self._listens)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def kept(self, conversation: object) -> list[dict]:
        """The events that it has of a conversation, in the order in which they came."""
        with closing(sqlite3.connect(self._folder / "events.db")) as db:
            question = "SELECT event FROM events WHERE conversation = ? ORDER BY rowid"
            return [json.loads(event) for (event,) in db.execute(question, [str(conversation)])]

    def _listens(self) -> bool:
        assert self._process.poll() is None, "the manual's receiver ended by itself"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def receiver_of_the_manual() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```$", MANUAL.read_text(), re.DOTALL | re.MULTILINE)
    [receiver] = [block for block in blocks if "HTTPServer(" in block]
    assert receiver.count(ADDRESS) == 1
    return receiver


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: object


@dataclass
class Recorder:
    """Takes everything, and keeps it in the order in which it came."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)

    def to(self, path: str) -> list[Request]:
        return [request for request in list(self.requests) if request.path == path]


@contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorder.requests.append(Request(self.command, self.path, headers, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        do_POST = do_PUT = do_PATCH = answer

        def log_message(self, format: str, *args: object) -> None:
            """Keeps quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    recorder.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
