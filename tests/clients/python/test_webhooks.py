"""Webhooks, as public packages and the manual's own receiver see them."""

import base64
import json
import os
import re
from datetime import UTC, datetime

import httpx
import pytest
from listing import listed
from openhands.sdk import Event
from openhands.sdk.conversation.state import ConversationExecutionStatus as Status
from receivers import ManualReceiver, recording
from standardwebhooks import Webhook
from steps import create_file, script, terminal
from waiting import RUN_SECONDS, eventually

KEY = "a-key-for-this-test"


@pytest.fixture
def secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def receiver(tmp_path, secret):
    folder = tmp_path / "receiver"
    folder.mkdir()
    receiver = ManualReceiver(folder, secret)
    yield receiver
    receiver.stop()


def test_the_manuals_receiver_has_each_event_once(start_server, connect, project, receiver, secret):
    webhook = {"name": "it", "webhook_url": receiver.url, "secret": "${HOOK_SECRET}"}
    server = start_server(OH_WEBHOOKS=json.dumps([webhook]), HOOK_SECRET=secret)
    conversation = connect(server)
    conversation.send_message(script(terminal("echo one"), create_file(project / "two.txt", "2\n")))
    conversation.run(timeout=RUN_SECONDS)
    events = listed(server, conversation)
    eventually("all of it came", lambda: standing(server)["delivered_events"] == len(events))
    assert receiver.kept(conversation.id) == events

    # Everything once more: this receiver has it all.
    rewound = httpx.post(f"{server.url}/webhooks/it/rewind").raise_for_status().json()
    assert rewound == {"conversations": 1, "events": len(events)}
    eventually(
        "all of it came again",
        lambda: standing(server)["delivered_events"] == 2 * len(events),
    )
    assert receiver.kept(conversation.id) == events
    assert secret not in server.log


def test_the_manuals_receiver_refuses_what_was_tampered_with(receiver, secret):
    signed = json.dumps([{"id": "one", "kind": "MessageEvent"}])
    changed = json.dumps([{"id": "two", "kind": "MessageEvent"}])
    now = datetime.now(UTC)
    headers = {
        "x-conversation-id": "it",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, signed),
    }
    another = Webhook("whsec_" + base64.b64encode(os.urandom(32)).decode())
    forged = headers | {"webhook-signature": another.sign("msg_1", now, signed)}
    old = headers | {"webhook-timestamp": str(int(now.timestamp()) - 3600)}

    assert httpx.post(receiver.url, content=changed, headers=headers).status_code == 401
    assert httpx.post(receiver.url, content=signed, headers=forged).status_code == 401
    assert httpx.post(receiver.url, content=signed, headers=old).status_code == 401
    assert httpx.post(receiver.url, content=signed).status_code == 401
    assert receiver.kept("it") == []
    assert httpx.post(receiver.url, content=signed, headers=headers).status_code == 204
    assert receiver.kept("it") == json.loads(signed)


def test_a_receiver_with_another_secret_loses_nothing(start_server, connect, tmp_path, secret):
    folder = tmp_path / "another"
    folder.mkdir()
    receiver = ManualReceiver(folder, "whsec_" + base64.b64encode(os.urandom(32)).decode())
    webhook = {"name": "it", "webhook_url": receiver.url, "secret": secret}
    server = start_server(OH_WEBHOOKS=json.dumps([webhook]))
    try:
        conversation = connect(server)
        conversation.send_message(script(terminal("echo one")))
        conversation.run(timeout=RUN_SECONDS)
        eventually("it is parked", lambda: standing(server)["state"] == "parked")
        assert standing(server)["last_error"]["status"] == 401
        assert standing(server)["dead_letters"] == 0
        assert receiver.kept(conversation.id) == []
    finally:
        receiver.stop()


def test_the_openhands_form(start_server, connect):
    with recording() as recorder:
        webhook = {"base_url": f"{recorder.url}/hook", "headers": {"X-Test": "1"}}
        server = start_server(OH_WEBHOOKS=json.dumps([webhook]), SESSION_API_KEY=KEY)
        conversation = connect(server, api_key=KEY)
        conversation.send_message(script(terminal("echo one")))
        conversation.run(timeout=RUN_SECONDS)
        assert conversation.state.execution_status == Status.FINISHED

        events_path = f"/hook/events/{conversation.id.hex}"
        eventually("word of the end", lambda: "finished" in told(recorder))
        url = f"{server.url}/api/conversations/{conversation.id}"
        headers = {"X-Session-API-Key": KEY}
        page = httpx.get(f"{url}/events/search", headers=headers).raise_for_status().json()
        assert page["next_page_id"] is None
        received = [event for request in recorder.to(events_path) for event in request.body]
        assert received == page["items"]

        httpx.delete(url, headers=headers).raise_for_status()
        eventually("word of the deletion", lambda: told(recorder)[-1] == "deleting")

    assert recorder.requests[0].path == "/hook/conversations"
    assert recorder.requests[-1].path == "/hook/conversations"
    for request in recorder.requests:
        assert request.path in ("/hook/conversations", events_path)
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-session-api-key"] == KEY
        assert request.headers["x-test"] == "1"
        assert request.headers["x-conversation-id"] == str(conversation.id)
        assert re.fullmatch(r"msg_[0-9a-f]{32}", request.headers["webhook-id"])
        assert re.fullmatch(r"[0-9]+", request.headers["webhook-timestamp"])
        assert "webhook-signature" not in request.headers
    for request in recorder.to(events_path):
        assert [Event.model_validate(event).id for event in request.body] == [
            event["id"] for event in request.body
        ]
    for request in recorder.to("/hook/conversations"):
        assert request.body["id"] == str(conversation.id)


def standing(server) -> dict:
    return httpx.get(f"{server.url}/webhooks/it").raise_for_status().json()


def told(recorder) -> list[str]:
    """The status of each conversation that was told of, in order."""
    return [request.body["execution_status"] for request in recorder.to("/hook/conversations")]
