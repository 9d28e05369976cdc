"""What the server says over plain HTTP, to compare with what the client made of it."""

import httpx
from agent_server import AgentServer
from openhands.sdk import Event, RemoteConversation
from openhands.sdk.event import ConversationStateUpdateEvent, StreamingDeltaEvent

# A page so small that any conversation needs several.
PAGE = 4


def listed(server: AgentServer, conversation: RemoteConversation, **query: str) -> list[dict]:
    """All events of a conversation, as JSON, in the server's order."""
    events: list[dict] = []
    at = f"{server.url}/api/conversations/{conversation.id}/events/search"
    page_id = None
    while True:
        where = {"limit": PAGE} | query | ({"page_id": page_id} if page_id else {})
        page = httpx.get(at, params=where).raise_for_status().json()
        events += page["items"]
        page_id = page["next_page_id"]
        if page_id is None:
            return events


def status(server: AgentServer, conversation: RemoteConversation) -> str:
    """The execution status, as the server has it now."""
    url = f"{server.url}/api/conversations/{conversation.id}"
    return httpx.get(url).raise_for_status().json()["execution_status"]


def lasting(events: list[Event]) -> list[Event]:
    """The events that are in the log: neither snapshots nor pieces of a reply, which are only
    shown to whoever listens; each once, as a client may get one twice."""
    kept: dict[str, Event] = {}
    for event in events:
        snapshot = isinstance(event, ConversationStateUpdateEvent) and event.key == "full_state"
        if not snapshot and not isinstance(event, StreamingDeltaEvent):
            kept.setdefault(event.id, event)
    return list(kept.values())
