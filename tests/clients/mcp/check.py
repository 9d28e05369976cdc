"""Runs one conversation with the scripted model, whose message says which tools to call, over servers that
others wrote, and checks what came back."""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from agent_server import AgentServer

BINARY, EVERYTHING = sys.argv[1], sys.argv[2]
FASTMCP = str(Path(__file__).with_name("server.py"))


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, holds):
    for _ in range(600):
        if found := holds():
            return found
        time.sleep(0.1)
    raise SystemExit(f"{what} did not come")


def events_of(server, conversation):
    page = call(f"{server.url}/conversations/{conversation}/events/search?limit=100")
    return page["items"]


def run(server, config, steps):
    message = "Do this:\n```json\n" + json.dumps([{"tool": t, "args": a} for t, a in steps]) + "\n```"
    agent = {"llm": {"model": "scripted"}, "mcp_config": config}
    made = call(f"{server.url}/conversations", {"agent": agent, "initial_message": message})
    url = f"{server.url}/conversations/{made['id']}"
    wait_for("the end", lambda: call(url)["execution_status"] in ("finished", "error", "stuck"))
    events = events_of(server, made["id"])
    told = [event["value"] for event in events if event.get("key") == "mcp_servers"][-1]
    assert all(server["status"] == "connected" for server in told), told
    seen = [event["observation"] for event in events if event["kind"] == "ObservationEvent"]
    return events, [observation for observation in seen if observation["kind"] == "MCPToolObservation"]


def texts(observation):
    return "\n".join(part.get("text", "") for part in observation["content"])


def check_fastmcp(server, config, how):
    steps = [("add", {"a": 1, "b": 2}), ("fail", {}), ("picture", {}), ("grow", {}), ("grown", {})]
    events, seen = run(server, {"made": config}, steps)
    assert len(seen) == 5, [texts(observation) for observation in seen]
    added, failed, picture, grow, grown = seen
    assert texts(added) == "3" and not added["is_error"], added
    assert failed["is_error"] and "on purpose" in texts(failed), failed
    assert picture["content"][0]["image_urls"][0].startswith("data:image/png;base64,"), picture
    assert texts(grown) == "grown indeed", grown
    print(f"fastmcp {how}: {len(seen)} calls")
    return events


def check_everything(server):
    config = {"command": "node", "args": [EVERYTHING, "stdio"]}
    steps = [
        ("echo", {"message": "hello"}),
        ("get-sum", {"a": 2, "b": 3}),
        ("get-tiny-image", {}),
        ("get-structured-content", {"location": "New York"}),
        ("get-annotated-message", {"messageType": "error", "includeImage": True}),
        ("get-resource-links", {"count": 2}),
        ("trigger-long-running-operation", {"duration": 1, "steps": 4}),
    ]
    events, seen = run(server, {"everything": config}, steps)
    assert len(seen) == len(steps), [texts(observation) for observation in seen]
    assert "hello" in texts(seen[0]) and "5" in texts(seen[1]), seen[:2]
    assert any(part["type"] == "image" for part in seen[2]["content"]), seen[2]
    assert "resource link" in texts(seen[5]).lower(), seen[5]
    assert not any(observation["is_error"] for observation in seen), seen
    print(f"server-everything by pipes: {len(seen)} calls")
    return events


def main():
    with tempfile.TemporaryDirectory() as folder, AgentServer(BINARY, Path(folder)) as server:
        events = check_fastmcp(server, {"command": sys.executable, "args": [FASTMCP]}, "by pipes")
        events += check_everything(server)
        port = free_port()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        far = subprocess.Popen([sys.executable, FASTMCP, str(port)], **quiet)
        try:
            def listens():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            wait_for("the HTTP server", listens)
            events += check_fastmcp(server, {"url": f"http://127.0.0.1:{port}/mcp"}, "by HTTP")
        finally:
            far.kill()
            far.wait()
        if len(sys.argv) > 3:
            Path(sys.argv[3]).write_text(json.dumps(events))


main()
