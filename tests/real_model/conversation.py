"""The server's API as this check needs it: conversations, turns, and what their events say."""

import json
import sys
import time
import urllib.request
from pathlib import Path

from agent_server import AgentServer
from server import MODEL_NAME
from websockets.sync.client import connect

STOPPED = ("finished", "error", "stuck", "paused")


def agent(llm: dict, **more: object) -> dict:
    return {"kind": "Agent", "llm": llm, **more}


def llm(base_url: str, **more: object) -> dict:
    """Settings of the model; `more` goes into the body of each request."""
    return {
        "model": f"openai/{MODEL_NAME}",
        "base_url": base_url,
        "api_key": "none",
        "stream": True,
        "num_retries": 0,
        "usage_id": "agent",
        "litellm_extra_body": more,
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


def events_of(server: AgentServer, conversation: str) -> list[dict]:
    """The lasting events; few enough for one page."""
    at = f"{server.url}/conversations/{conversation}/events/search?limit=100"
    with urllib.request.urlopen(at, timeout=30) as reply:
        return json.load(reply)["items"]


def status(server: AgentServer, conversation: str) -> str:
    with urllib.request.urlopen(f"{server.url}/conversations/{conversation}", timeout=30) as reply:
        return json.load(reply)["execution_status"]


def post(url: str, body: dict, seconds: int = 30) -> dict:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=seconds) as response:
        return json.load(response)
