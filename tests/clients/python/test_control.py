"""Stopping, approving and refusing what the agent does."""

from conftest import make_agent
from listing import listed, status
from openhands.sdk import RemoteConversation, Workspace
from openhands.sdk.conversation.request import StartConversationRequest
from openhands.sdk.conversation.state import ConversationExecutionStatus as Status
from openhands.sdk.event import AgentErrorEvent, InterruptEvent, PauseEvent, UserRejectObservation
from openhands.sdk.security.confirmation_policy import AlwaysConfirm
from openhands.sdk.workspace import LocalWorkspace
from steps import script, terminal
from waiting import RUN_SECONDS, eventually


def test_interrupt_ends_a_command_at_once(server, project, connect):
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    conversation.send_message(
        script(
            terminal(f"cd {project}; touch started; sleep 600; touch survived"),
            terminal(f"touch {project}/afterwards"),
        )
    )
    conversation.run(blocking=False)
    eventually("the command runs", (project / "started").exists)
    conversation.interrupt()

    eventually("the run ends", lambda: status(server, conversation) == "paused")
    events = listed(server, conversation)
    assert [e["tool_name"] for e in events if e["kind"] == "AgentErrorEvent"] == ["terminal"]
    assert [e["kind"] for e in events].count("InterruptEvent") == 1
    eventually("the client hears of it", lambda: any(isinstance(e, InterruptEvent) for e in seen))
    assert any(isinstance(event, AgentErrorEvent) for event in seen)

    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.FINISHED
    assert (project / "afterwards").exists()
    assert not (project / "survived").exists()


def test_pause_takes_effect_at_the_next_step(server, project, connect):
    seen = []
    conversation = connect(server, callbacks=[seen.append])
    conversation.send_message(
        script(
            terminal(f"cd {project}; touch started; until [ -e go ]; do sleep 0.1; done"),
            terminal(f"touch {project}/afterwards"),
        )
    )
    conversation.run(blocking=False)
    eventually("the command runs", (project / "started").exists)
    conversation.pause()
    (project / "go").touch()

    eventually("the run pauses", lambda: status(server, conversation) == "paused")
    held = listed(server, conversation)
    assert [event["kind"] for event in held].count("PauseEvent") == 1
    assert not (project / "afterwards").exists()
    eventually("the client hears of it", lambda: any(isinstance(e, PauseEvent) for e in seen))

    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.FINISHED
    assert (project / "afterwards").exists()
    # Once it said paused, nothing more came from the stopped run.
    assert listed(server, conversation)[: len(held)] == held


def test_running_again_approves_what_waits(server, project):
    conversation = cautious(server, project)
    conversation.send_message(script(terminal(f"touch {project}/approved")))
    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.WAITING_FOR_CONFIRMATION
    assert not (project / "approved").exists()

    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.FINISHED
    assert (project / "approved").exists()
    conversation.close()


def test_refusing_what_waits(server, project):
    conversation = cautious(server, project)
    conversation.send_message(script(terminal(f"touch {project}/refused")))
    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.WAITING_FOR_CONFIRMATION

    conversation.reject_pending_actions("not in this folder")
    assert status(server, conversation) == "idle"
    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.FINISHED
    refusals = [e for e in conversation.state.events if isinstance(e, UserRejectObservation)]
    assert [refusal.rejection_reason for refusal in refusals] == ["not in this folder"]
    assert not (project / "refused").exists()
    conversation.close()


def cautious(server, project) -> RemoteConversation:
    """A conversation whose every action has to be approved."""
    request = StartConversationRequest(
        agent=make_agent(),
        workspace=LocalWorkspace(working_dir=str(project)),
        confirmation_policy=AlwaysConfirm(),
    )
    workspace = Workspace(host=server.url, working_dir=str(project))
    conversation = RemoteConversation.create(workspace, request, visualizer=None)
    conversation.delete_on_close = False
    return conversation
