"""Whole turns with aimock as the provider, in each wire format, streamed and not.

Every scenario of fixtures.json is a conversation: its turn has to end as expected, and so has the next
one, whose request carries all of the first. aimock refuses what no fixture matches.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_server import AgentServer

HERE = Path(__file__).parent
# Guards against hanging.
TURN_SECONDS = 60
PAUSE_SECONDS = 0.02
LISTENING = re.compile(r"listening on (http://\S+)")
HELLO = "Hello! Grüße, 你好 🙂"
# By the format: a model that is spoken to in it, and where.
FORMATS = {
    "chat": ("openai/mock", "/v1/chat/completions"),
    "responses": ("openai/gpt-5.6", "/v1/responses"),
    "messages": ("anthropic/claude-opus-5-5", "/v1/messages"),
}
# What the user says; the results of tools; what the model says last, or how the run fails.
SCENARIOS = [
    ("say hello", [], HELLO),
    ("call once", ["one-42"], "It says one-42."),
    ("call twice", ["first-2", "second-4"], "They say first-2 and second-4."),
    ("think first", ["thought-6"], "It says thought-6."),
    ("talk long", [], "I end."),
    ("wait a moment", [], "Now I have time."),
    ("be refused", [], {"code": "LLMBadRequestError"}),
]
THOUGHT = "Ich überlege: a command will tell."


def main() -> None:
    binary, package, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with provider(package, folder) as url, AgentServer(binary, folder) as server:
        for api_mode in FORMATS:
            for stream in (False, True):
                for scenario in SCENARIOS:
                    check(server, url, api_mode, stream, scenario)
                sent = "streamed" if stream else "whole"
                print(f"{api_mode}, {sent}: {len(SCENARIOS)} conversations of two turns")
        check_requests(url)
        if server.stop() != 0:
            sys.exit("the server did not stop well")


@contextmanager
def provider(package: Path, folder: Path) -> Iterator[str]:
    """aimock in a process of its own; gives its address."""
    log = folder / "aimock.txt"
    command = ["node", str(package / "dist/cli.js"), "--port", "0", "--strict"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--validate-on-load", "--fixtures", str(HERE / "fixtures.json")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + TURN_SECONDS
        while not (found := LISTENING.search(log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"aimock did not start:\n{log.read_text()}")
            time.sleep(PAUSE_SECONDS)
        yield found.group(1)
    finally:
        process.terminate()
        process.wait()


def check(server: AgentServer, url: str, api_mode: str, stream: bool, scenario: tuple) -> None:
    said, results, last = scenario
    name = f"{api_mode}, stream: {stream}, {said!r}"
    conversation = create(server, url, api_mode, stream, name, said)
    events = at_rest(server, conversation, name)
    expect(name, [text(event["observation"]) for event in of(events, "ObservationEvent")], results)
    if isinstance(last, str):
        expect(name, spoken(events)[-1:], [last])
    else:
        failures = of(events, "ConversationErrorEvent")
        expect(name, [{"code": failure["code"]} for failure in failures], [last])
    if said == "think first":
        thoughts = [thought(event) for event in of(events, "ActionEvent")]
        expect(name, thoughts, [THOUGHT])

    message = {"role": "user", "content": [{"type": "text", "text": "say hello"}], "run": True}
    call(f"{server.url}/conversations/{conversation}/events", message)
    events = at_rest(server, conversation, name, after=len(events))
    expect(f"{name}, next turn", spoken(events)[-1:], [HELLO])
    if not usage(server, conversation):
        sys.exit(f"{name}: no tokens are counted")


def check_requests(url: str) -> None:
    """All formats were spoken, streamed and not, and aimock had an answer to every request."""
    entries = call(f"{url}/__aimock/journal?limit=1000")
    seen = {(entry["path"], bool(entry["body"].get("stream"))) for entry in entries}
    expect("requests", seen, {(path, s) for _, path in FORMATS.values() for s in (False, True)})
    statuses = {entry["response"]["status"] for entry in entries}
    expect("answers", statuses, {200, 400, 429})
    print(f"{len(entries)} requests, each with an answer that a fixture gives")


def create(
    server: AgentServer, url: str, api_mode: str, stream: bool, name: str, said: str
) -> str:
    llm = {
        "model": FORMATS[api_mode][0],
        "api_mode": api_mode,
        "base_url": f"{url}/v1",
        "api_key": "none",
        "stream": stream,
        "num_retries": 2,
        "retry_min_wait": 0,
        "retry_max_wait": 0,
        # aimock counts requests by this name.
        "extra_headers": {"X-Test-Id": re.sub("[^a-z]+", "-", name.lower())},
    }
    body = {
        "agent": {"llm": llm, "tools": [{"name": "terminal"}], "include_default_tools": []},
        "initial_message": {"role": "user", "content": [{"type": "text", "text": said}]},
    }
    return call(f"{server.url}/conversations", body)["id"]


def at_rest(server: AgentServer, conversation: str, name: str, after: int = 0) -> list[dict]:
    """All events, once no run is active and there are more than `after`."""
    at = f"{server.url}/conversations/{conversation}"
    deadline = time.monotonic() + TURN_SECONDS
    while time.monotonic() < deadline:
        resting = call(at)["execution_status"] not in ("idle", "running")
        events = call(f"{at}/events/search?limit=100")["items"]
        if resting and any(event["kind"] != "ConversationStateUpdateEvent" for event in events[after:]):
            ends = [event.get("value") for event in events[after:] if event.get("key") == "execution_status"]
            if ends and ends[-1] not in ("idle", "running"):
                return events
        time.sleep(PAUSE_SECONDS)
    sys.exit(f"{name}: the turn does not end")


def of(events: list[dict], kind: str) -> list[dict]:
    return [event for event in events if event["kind"] == kind]


def spoken(events: list[dict]) -> list[str]:
    messages = [event for event in of(events, "MessageEvent") if event["source"] == "agent"]
    return [text(event["llm_message"]) for event in messages]


def text(holder: dict) -> str:
    return "".join(part.get("text", "") for part in holder["content"])


def thought(action: dict) -> str:
    """What the model thought before a call, in any format's words."""
    summary = (action.get("responses_reasoning_item") or {}).get("summary") or []
    return action.get("reasoning_content") or "".join(summary)


def usage(server: AgentServer, conversation: str) -> int:
    stats = call(f"{server.url}/conversations/{conversation}")["stats"]["usage_to_metrics"]
    counted = [metrics["accumulated_token_usage"] for metrics in stats.values()]
    return sum(each["prompt_tokens"] + each["completion_tokens"] for each in counted)


def expect(name: str, found: object, wanted: object) -> None:
    if found != wanted:
        sys.exit(f"{name}: expected {wanted!r}, found {found!r}")


def call(url: str, body: dict | None = None) -> dict:
    request = urllib.request.Request(
        url,
        None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
