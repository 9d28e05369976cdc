"""Holds a conversation with a real model, streaming, and prints it.

The model is too small to plan, so what it says is not judged. What is: that its words arrive
piece by piece, that one event has them all, and that whatever it does leaves a working server.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_server import AgentServer, status_of
from server import MODEL_NAME
from websockets.sync.client import connect

# Guards against hanging: a busy machine may take minutes to read a long prompt.
START_SECONDS = 120
SAY_SECONDS = 300
# The tiny model may well go in circles with tools, so here it is stopped.
ACT_SECONDS = 240
STOPPED = ("finished", "error", "stuck", "paused")
README_LINES = 12


def main() -> None:
    binary, folder = sys.argv[1], Path(sys.argv[2])
    (folder / "server").mkdir()
    with model_server(folder) as base_url, AgentServer(binary, folder / "server") as server:
        ask_directly(base_url)
        talk(server, base_url, folder / "workspace")
        act(server, base_url, folder / "workspace")
        if status_of(f"{server.url}/ready") != 200:
            sys.exit("the server is no longer ready")
        if server.stop() != 0:
            sys.exit("the server did not stop well")
    print("\nAll of it went well.")


@contextmanager
def model_server(folder: Path) -> Iterator[str]:
    """The model's server in a process of its own; gives its base URL."""
    log = folder / "model.txt"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            base_url = process.stdout.readline().decode().strip()
            if not base_url:
                sys.exit(f"the model's server did not start:\n{log.read_text()}")
            yield base_url
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ask_directly(base_url: str) -> None:
    """One question without any agent, so that a fault here is known to be the model server's."""
    question = {
        "model": MODEL_NAME,
        "max_completion_tokens": 16,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}],
    }
    reply = post(f"{base_url}/chat/completions", question, START_SECONDS)
    print(f"model server: {base_url}, asked directly: {first_choice(reply)!r}")


def first_choice(reply: dict) -> str:
    return reply["choices"][0]["message"]["content"]


def talk(server: AgentServer, base_url: str, workspace: Path) -> None:
    """Two turns in words, without tools."""
    readme = "\n".join(opening(workspace))
    conversation = create(
        server,
        workspace,
        agent(base_url, tools=[], include_default_tools=[], system_prompt="You answer briefly."),
    )
    for question in (f"What is this project about?\n\n{readme}", "Thank you. Say it in five words."):
        print(f"\n--- user: {question}")
        events, deltas = turn(server, conversation, question, SAY_SECONDS)
        replies = [text_of(event) for event in events if is_reply(event)]
        pieces = [delta["content"] for delta in deltas if delta.get("content")]
        print(f"--- model, in {len(pieces)} pieces: {'|'.join(pieces)}")
        if len(replies) != 1:
            sys.exit(f"expected one message of the agent, found {len(replies)}: {events}")
        if len(pieces) < 2:
            sys.exit("the words did not arrive piece by piece")
        if "".join(pieces) != replies[0]:
            sys.exit(f"the pieces do not make up the message: {replies[0]!r}")
        if status(server, conversation) != "finished":
            sys.exit(f"the turn ended as {status(server, conversation)}")
        print(f"--- one MessageEvent has the same {len(replies[0])} characters; {usage(events)}")


def act(server: AgentServer, base_url: str, workspace: Path) -> None:
    """One turn with tools, where anything goes that the server survives."""
    tools = [{"name": name} for name in ("terminal", "file_editor", "task_tracker")]
    conversation = create(server, workspace, agent(base_url, tools=tools), max_iterations=4)
    question = "List the files of this folder with the terminal."
    print(f"\n--- user, offering tools: {question}")
    events, _ = turn(server, conversation, question, ACT_SECONDS)
    for event in events:
        print(f"    {event['kind']}: {summary(event)}")
    print(f"--- ended as {status(server, conversation)}; {usage(events)}")
    if status(server, conversation) not in STOPPED:
        sys.exit("the turn did not end")


def opening(workspace: Path) -> list[str]:
    """Real text from the repository: the first lines of its README, or of its manifest."""
    files = [workspace / "README.md", workspace / "Cargo.toml"]
    return next(f for f in files if f.exists()).read_text().splitlines()[:README_LINES]


def agent(base_url: str, **more: object) -> dict:
    return {
        "kind": "Agent",
        "llm": {
            "model": f"openai/{MODEL_NAME}",
            "base_url": base_url,
            "api_key": "none",
            "stream": True,
            "num_retries": 0,
            "usage_id": "agent",
        },
        **more,
    }


def create(server: AgentServer, workspace: Path, agent: dict, **more: object) -> str:
    body = {"agent": agent, "workspace": {"working_dir": str(workspace)}, **more}
    return post(f"{server.url}/conversations", body)["id"]


def turn(
    server: AgentServer, conversation: str, question: str, seconds: int
) -> tuple[list[dict], list[dict]]:
    """Sends a message over the socket and listens until the run ends, or is stopped after so many
    seconds; gives the lasting events and the pieces of replies, in order."""
    at = f"{server.url.replace('http', 'ws', 1)}/conversations/{conversation}/events/socket"
    events, deltas = [], []
    started = interrupted = False
    deadline = time.monotonic() + seconds
    with connect(at) as socket:
        socket.send(json.dumps({"type": "message", "content": question}))
        while True:
            try:
                event = json.loads(socket.recv(max(deadline - time.monotonic(), 0)))
            except TimeoutError:
                if interrupted:
                    sys.exit(f"the run could not be stopped:\n{server.log}")
                print(f"--- not done after {seconds} s: stopping it")
                post(f"{server.url}/conversations/{conversation}/interrupt", {})
                interrupted, deadline = True, time.monotonic() + seconds
                continue
            match event:
                case {"kind": "StreamingDeltaEvent"}:
                    deltas.append(event)
                case {"key": "full_state", "value": {"execution_status": now}}:
                    if started and now in STOPPED:
                        return events, deltas
                case _:
                    started |= event.get("value") == "running"
                    events.append(event)


def is_reply(event: dict) -> bool:
    return event["kind"] == "MessageEvent" and event["source"] == "agent"


def text_of(event: dict) -> str:
    return "".join(part.get("text", "") for part in event["llm_message"]["content"])


def summary(event: dict) -> str:
    match event["kind"]:
        case "MessageEvent":
            return f"{event['source']}: {text_of(event)}"
        case "SystemPromptEvent":
            tools = [tool["title"] for tool in event["tools"]]
            return f"{len(event['system_prompt']['text'])} characters, tools {tools}"
        case "ActionEvent":
            return f"{event['tool_name']} {event['tool_call']['arguments']}"
        case "ObservationEvent":
            return "".join(part.get("text", "") for part in event["observation"]["content"])
        case "ConversationStateUpdateEvent" if event["key"] == "stats":
            return usage([event])
        case "ConversationStateUpdateEvent":
            return f"{event['key']} = {event.get('value')}"
        case _:
            return event.get("error") or event.get("detail") or ""


def usage(events: list[dict]) -> str:
    """What the last `stats` event says was used in all."""
    spent = [event["value"] for event in events if event.get("key") == "stats"]
    if not spent:
        return "no usage reported"
    used = spent[-1]["usage_to_metrics"]["agent"]["accumulated_token_usage"]
    return f"{used['prompt_tokens']} tokens in, {used['completion_tokens']} out so far"


def status(server: AgentServer, conversation: str) -> str:
    with urllib.request.urlopen(f"{server.url}/conversations/{conversation}", timeout=30) as reply:
        return json.load(reply)["execution_status"]


def post(url: str, body: dict, seconds: int = 30) -> dict:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=seconds) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
