"""A server of its own for each test, and the client's objects for it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_server import AgentServer
from openhands.sdk import LLM, Agent, Conversation, RemoteConversation, Tool, Workspace
from openhands.tools.file_editor import FileEditorTool
from openhands.tools.terminal import TerminalTool


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., AgentServer]]:
    """Starts servers, each over its own folder, with the given environment variables."""
    servers: list[AgentServer] = []

    def start(**variables: str) -> AgentServer:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        server = AgentServer(os.environ["AGENT_SERVER"], folder, **variables)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def server(start_server: Callable[..., AgentServer]) -> AgentServer:
    return start_server()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder that the agent works in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def agent() -> Agent:
    return make_agent()


def make_agent(**llm: object) -> Agent:
    """An agent with a terminal and an editor, and the server's built-in model."""
    return Agent(
        llm=LLM(model="scripted", usage_id="agent", **llm),
        tools=[Tool(name=TerminalTool.name), Tool(name=FileEditorTool.name)],
    )


@pytest.fixture
def connect(project: Path, agent: Agent) -> Iterator[Callable[..., RemoteConversation]]:
    """Creates conversations on a server, or attaches to them by `conversation_id`."""
    opened: list[RemoteConversation] = []

    def connect(server: AgentServer, api_key: str | None = None, **more) -> RemoteConversation:
        workspace = Workspace(host=server.url, working_dir=str(project), api_key=api_key)
        options = {"agent": agent, "visualizer": None, "delete_on_close": False} | more
        conversation = Conversation(workspace=workspace, **options)
        assert isinstance(conversation, RemoteConversation)
        opened.append(conversation)
        return conversation

    yield connect
    for conversation in opened:
        conversation.close()
