"""Holds conversations with a real model, streaming, and prints them.

The model is too small to plan, so what it says is not judged. What is: that its words arrive
piece by piece, that one event has them all, that a tool call of its own is carried out, that a
conversation continues from its own summary, and that whatever it does leaves a working server.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_server import AgentServer, status_of
from conversation import (
    STOPPED,
    agent,
    create,
    events_of,
    is_reply,
    llm,
    post,
    status,
    summary,
    text_of,
    turn,
    usage,
)
from server import MODEL_NAME

# Guards against hanging: a busy machine may take minutes to read a long prompt.
START_SECONDS = 120
SAY_SECONDS = 300
# The tiny model may well go in circles with tools, so here it is stopped.
ACT_SECONDS = 240
README_LINES = 12
# One sentence is enough of a model that may never come to an end.
STOP = [". ", "\n"]


def main() -> None:
    binary, folder = sys.argv[1], Path(sys.argv[2])
    (folder / "server").mkdir()
    with model_server(folder) as base_url, AgentServer(binary, folder / "server") as server:
        ask_directly(base_url)
        talk(server, base_url, folder / "workspace")
        call_and_condense(server, base_url, folder / "workspace")
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
        agent(
            llm(base_url, stop=STOP),
            tools=[],
            include_default_tools=[],
            system_prompt="You answer briefly.",
        ),
    )
    for question in (f"Say in one sentence what this is:\n\n{readme}", "Thank you. Say it in five words."):
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


def call_and_condense(server: AgentServer, base_url: str, workspace: Path) -> None:
    """A call that the model makes is carried out; then it summarises what happened, and goes on
    from there."""
    conversation = create(
        server,
        workspace,
        agent(
            # Left to itself, a model this small may as well answer in words.
            llm(base_url, tool_choice="required"),
            # No terminal: what this model makes up may do harm.
            tools=[],
            include_default_tools=["ThinkTool"],
            system_prompt="You plan work.",
        ),
        max_iterations=1,
    )
    question = "Plan how to bake a cake, in two tasks."
    print(f"\n--- user, wanting a call: {question}")
    events, _ = turn(server, conversation, question, ACT_SECONDS)
    calls = [event for event in events if event["kind"] == "ActionEvent"]
    results = [event for event in events if event["kind"] == "ObservationEvent"]
    for event in calls + results:
        print(f"    {event['kind']}: {summary(event)}")
    if [event["tool_name"] for event in calls] != ["think"] or not calls[0].get("action"):
        sys.exit(f"expected one call of think: {events}")
    if [event["action_id"] for event in results] != [calls[0]["id"]]:
        sys.exit(f"the call has no result: {events}")

    at = f"{server.url}/conversations/{conversation}"
    post(f"{at}/switch_llm", {"llm": llm(base_url, tool_choice="none", stop=STOP)})
    post(f"{at}/condense", {}, SAY_SECONDS)
    condensed = [e for e in events_of(server, conversation) if e["kind"] == "Condensation"]
    if len(condensed) != 1 or not condensed[0]["llm_response_id"] or not condensed[0]["summary"]:
        sys.exit(f"expected one summary by the model: {condensed}")
    if calls[0]["id"] not in condensed[0]["forgotten_event_ids"]:
        sys.exit(f"the call was not condensed: {condensed}")
    print(f"--- condensed {len(condensed[0]['forgotten_event_ids'])} events to:")
    print(f"    {condensed[0]['summary']}")

    question = "Thank you. Say goodbye."
    print(f"--- user: {question}")
    events, _ = turn(server, conversation, question, SAY_SECONDS)
    replies = [text_of(event) for event in events if is_reply(event)]
    print(f"--- model: {replies}")
    if not replies or status(server, conversation) != "finished":
        sys.exit(f"no answer after the summary: {status(server, conversation)}, {events}")


def act(server: AgentServer, base_url: str, workspace: Path) -> None:
    """One turn with the usual prompt and several tools, where anything goes that the server survives."""
    whole = agent(llm(base_url), tools=[{"name": "task_tracker"}])
    conversation = create(server, workspace, whole, max_iterations=4)
    question = "Make a plan, and finish."
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


if __name__ == "__main__":
    main()
