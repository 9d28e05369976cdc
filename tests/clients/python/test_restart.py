"""What a conversation is after its server went away."""

from listing import lasting, listed
from openhands.sdk import RemoteConversation, Workspace
from openhands.sdk.conversation.state import ConversationExecutionStatus as Status
from openhands.sdk.event import ActionEvent, AgentErrorEvent
from steps import create_file, script, terminal
from waiting import RUN_SECONDS, eventually


def test_attaching_after_a_restart(server, project, connect):
    first = connect(server)
    first.send_message(script(terminal("echo before"), create_file(project / "one.txt", "1\n")))
    first.run(timeout=RUN_SECONDS)
    before = listed(server, first)
    first.close()

    assert server.stop() == 0
    server.start()

    seen = []
    again = connect(server, conversation_id=first.id, callbacks=[seen.append])
    assert again.id == first.id
    assert listed(server, again) == before
    assert [e.id for e in lasting(list(again.state.events))] == [e["id"] for e in before]
    assert again.state.execution_status == Status.FINISHED

    again.send_message(script(terminal(f"cat {project}/one.txt > {project}/two.txt")))
    again.run(timeout=RUN_SECONDS)
    assert again.state.execution_status == Status.FINISHED
    assert (project / "two.txt").read_text() == "1\n"
    after = listed(server, again)
    assert after[: len(before)] == before
    assert [event.id for event in lasting(seen)] == [e["id"] for e in after[len(before) :]]


def test_attaching_with_the_agent_that_the_server_kept(server, project, connect):
    first = connect(server)
    first.send_message(script(terminal("echo before")))
    first.run(timeout=RUN_SECONDS)
    first.close()
    server.stop()
    server.start()

    workspace = Workspace(host=server.url, working_dir=str(project))
    again = RemoteConversation.attach(workspace, first.id, visualizer=None)
    again.delete_on_close = False
    assert [tool.name for tool in again.agent.tools] == ["terminal", "file_editor"]
    again.send_message(script(terminal(f"touch {project}/again")))
    again.run(timeout=RUN_SECONDS)
    assert (project / "again").exists()
    again.close()


def test_a_crash_in_the_middle_of_a_command(server, project, connect):
    first = connect(server)
    first.send_message(
        script(
            terminal(f"cd {project}; touch started; sleep 600; touch survived"),
            terminal(f"touch {project}/afterwards"),
        )
    )
    first.run(blocking=False)
    eventually("the command runs", (project / "started").exists)
    before = listed(server, first)
    server.kill()
    first.close()
    server.start()

    again = connect(server, conversation_id=first.id)
    assert again.state.execution_status == Status.PAUSED
    events = lasting(list(again.state.events))
    assert [event.id for event in events[: len(before)]] == [event["id"] for event in before]
    [action] = [event for event in events if isinstance(event, ActionEvent)]
    [error] = [event for event in events if isinstance(event, AgentErrorEvent)]
    assert error.tool_call_id == action.tool_call_id

    again.run(timeout=RUN_SECONDS)
    assert again.state.execution_status == Status.FINISHED
    assert (project / "afterwards").exists()
    assert not (project / "survived").exists()


def test_a_listening_client_comes_back_by_itself(start_server, project, connect):
    # The client knows one address: this needs the same port again.
    server = start_server()
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    conversation.send_message(script(terminal("echo before")))
    conversation.run(timeout=RUN_SECONDS)
    server.stop()
    server.start(port=server.port)

    conversation.send_message(script(terminal("echo after")))
    conversation.run(timeout=RUN_SECONDS)
    expected = [event["id"] for event in listed(server, conversation)]
    eventually(
        "the client has all of it",
        lambda: [e.id for e in lasting(list(conversation.state.events))] == expected,
    )
    assert sorted(event.id for event in lasting(seen)) == sorted(expected)
