"""A server that asks for a key, by the client's own ways of giving one."""

import httpx
import pytest
from openhands.sdk.conversation.state import ConversationExecutionStatus as Status
from steps import script, terminal
from waiting import RUN_SECONDS

KEY = "a-key-for-this-test"


def test_with_the_key(start_server, project, connect):
    server = start_server(SESSION_API_KEY=KEY)
    conversation = connect(server, api_key=KEY)
    conversation.send_message(script(terminal(f"touch {project}/done")))
    conversation.run(timeout=RUN_SECONDS)
    assert conversation.state.execution_status == Status.FINISHED
    assert (project / "done").exists()
    assert KEY not in server.log


@pytest.mark.parametrize("key", [None, "another-key"])
def test_without_the_key(start_server, connect, key):
    server = start_server(SESSION_API_KEY=KEY)
    with pytest.raises(httpx.HTTPStatusError) as refused:
        connect(server, api_key=key)
    assert refused.value.response.status_code == 401
    assert refused.value.response.json() == {"detail": "Unauthorized"}
