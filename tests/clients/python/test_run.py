"""The main job: a message, a run, and what the client sees of it."""

import httpx
import pytest
from conftest import make_agent
from listing import lasting, listed
from openhands.sdk.conversation.exceptions import ConversationRunError
from openhands.sdk.conversation.state import ConversationExecutionStatus as Status
from openhands.sdk.event import (
    ActionEvent,
    AgentErrorEvent,
    MessageEvent,
    ObservationEvent,
    SystemPromptEvent,
)
from openhands.sdk.event.conversation_error import ConversationErrorEvent
from steps import create_file, replace_in_file, script, terminal
from waiting import RUN_SECONDS


def test_a_run_with_terminal_and_editor(server, project, connect):
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    assert conversation.state.execution_status == Status.IDLE

    note = project / "note.txt"
    conversation.send_message(
        script(
            terminal(f"cd {project} && export COLOUR=blue && mkdir src"),
            create_file(note, "first line\nsecond line\n"),
            replace_in_file(note, "second", "another"),
            terminal('pwd > where.txt; echo "$COLOUR" > colour.txt; cat note.txt'),
        )
    )
    conversation.run(timeout=RUN_SECONDS)

    assert conversation.state.execution_status == Status.FINISHED
    assert note.read_text() == "first line\nanother line\n"
    assert (project / "src").is_dir()
    assert (project / "where.txt").read_text() == f"{project}\n"
    assert (project / "colour.txt").read_text() == "blue\n"

    events = lasting(seen)
    assert isinstance(events[0], SystemPromptEvent)
    actions = [event for event in events if isinstance(event, ActionEvent)]
    results = [event for event in events if isinstance(event, ObservationEvent)]
    assert [action.tool_name for action in actions] == [
        "terminal",
        "file_editor",
        "file_editor",
        "terminal",
        "finish",
    ]
    assert [result.action_id for result in results] == [action.id for action in actions]
    assert not any(result.observation.is_error for result in results)
    assert "another line" in results[3].observation.text


def test_callbacks_and_rest_agree(server, project, connect):
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    conversation.send_message(script(terminal("echo one"), terminal("echo two")))
    conversation.run(timeout=RUN_SECONDS)
    conversation.send_message(script(create_file(project / "three.txt", "3\n")))
    conversation.run(timeout=RUN_SECONDS)

    expected = [(event["id"], event["kind"]) for event in listed(server, conversation)]
    assert [(event.id, event.kind) for event in lasting(seen)] == expected
    kept = lasting(list(conversation.state.events))
    assert [(event.id, event.kind) for event in kept] == expected
    # The client sorts by this string.
    times = [event["timestamp"] for event in listed(server, conversation)]
    assert times == sorted(set(times))


def test_what_the_client_reads_is_what_rest_holds(server, connect):
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    conversation.send_message(script(terminal("echo some output")))
    conversation.run(timeout=RUN_SECONDS)

    for event, item in zip(lasting(seen), listed(server, conversation), strict=True):
        assert type(event).model_validate(item) == event


def test_run_returns_when_there_is_nothing_to_do(server, connect):
    conversation = connect(server)
    for _ in range(3):
        conversation.send_message("Just say how you are to be used.")
        conversation.run(timeout=RUN_SECONDS)
        assert conversation.state.execution_status == Status.FINISHED
    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.FINISHED


def test_tokens_arrive_and_make_up_the_message(server, connect):
    pieces, seen = [], []
    text = "A reply that is long enough to come in several pieces, one after the other."
    conversation = connect(
        server,
        agent=make_agent(stream=True),
        callbacks=[seen.append],
        token_callbacks=[lambda chunk: pieces.append(chunk.choices[0].delta.content)],
    )
    conversation.send_message(script({"say": text}))
    conversation.run(timeout=RUN_SECONDS)

    replies = [e for e in seen if isinstance(e, MessageEvent) and e.source == "agent"]
    assert [reply.llm_message.content[0].text for reply in replies] == [text]
    assert len([piece for piece in pieces if piece]) > 1
    assert "".join(piece or "" for piece in pieces) == text


def test_a_failing_tool_is_told_to_the_agent(server, project, connect):
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    conversation.send_message(
        script(
            {"tool": "no_such_tool", "args": {}},
            {"tool": "terminal", "args": {"cmmand": "ls"}},
            terminal("exit_status() { return 3; }; exit_status"),
            replace_in_file(project / "missing.txt", "a", "b"),
        )
    )
    conversation.run(timeout=RUN_SECONDS)

    assert conversation.state.execution_status == Status.FINISHED
    errors = [event.tool_name for event in seen if isinstance(event, AgentErrorEvent)]
    assert errors == ["no_such_tool", "terminal"]
    results = [event.observation for event in seen if isinstance(event, ObservationEvent)]
    assert results[0].exit_code == 3
    assert results[1].is_error


def test_a_failing_model_is_told_to_the_client(server, connect):
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    conversation.send_message(script(terminal("true"), {"error": 401, "message": "no such key"}))
    with pytest.raises(ConversationRunError, match="LLMAuthenticationError"):
        conversation.run(timeout=RUN_SECONDS)

    errors = [event.code for event in seen if isinstance(event, ConversationErrorEvent)]
    assert errors == ["LLMAuthenticationError"]
    assert conversation.state.execution_status == Status.ERROR
    # It is not lost: another message brings it back.
    conversation.send_message(script(terminal("true")))
    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.FINISHED


def test_closing_deletes_when_asked_to(server, project, connect):
    conversation = connect(server, delete_on_close=True)
    conversation.send_message(script(terminal(f"touch {project}/kept")))
    conversation.run(timeout=RUN_SECONDS)
    conversation.close()

    gone = httpx.get(f"{server.url}/api/conversations/{conversation.id}")
    assert gone.status_code == 404
    assert (project / "kept").exists()
