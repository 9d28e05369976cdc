//! What answers look like.

use serde_json::{Value, json};

const CONVERSATION: &str = "936e15a0-9bf8-492f-b439-93f478b6cf76";
pub(super) const WEBHOOK: &str = "crm";
pub(super) const DELIVERY: &str = "msg_84cd4b6942255f98a1998ef8a9054d39";

/// A webhook whose receiver has been down for half a minute.
pub(super) fn webhook() -> Value {
    json!({
        "name": WEBHOOK,
        "id": "3f6c1d9a0b7e4c25",
        "url": "https://crm.example.com/agent-events",
        "form": "webhook_url",
        "state": "parked",
        "lag": {"events": 42, "conversations": 3, "seconds": 31.5},
        "in_flight": 0,
        "delivered_events": 1280,
        "succeeded": 131,
        "failed": 7,
        "last_success_at": "2026-01-31T12:00:04.201113Z",
        "last_error": {
            "at": "2026-01-31T12:00:35.701522Z", "status": 503, "reason": "the receiver answered 503"
        },
        "probes": {
            "since": "2026-01-31T12:00:20.004871Z",
            "count": 2,
            "next_at": "2026-01-31T12:00:45.701522Z"
        },
        "paused_until": null,
        "dead_letters": 1
    })
}

/// One that waits for its receiver, and one that the receiver does not want.
pub(super) fn deliveries() -> Value {
    json!({
        "items": [{
            "id": DELIVERY,
            "subject": "events",
            "conversation_id": CONVERSATION,
            "first_seq": 4,
            "last_seq": 8,
            "events": 5,
            "outcome": "failed",
            "attempts": 6,
            "status": 503,
            "reason": "the receiver answered 503",
            "at": "2026-01-31T12:00:35.701522Z",
            "milliseconds": 12.4
        }],
        "dead_letters": [{
            "id": "msg_77a9e9ad8eb85af686a9dced51e4a4e3",
            "subject": "events",
            "conversation_id": CONVERSATION,
            "first_seq": 2,
            "last_seq": 3,
            "events": 2,
            "outcome": "dead",
            "attempts": 3,
            "status": 400,
            "reason": "400 Bad Request",
            "at": "2026-01-31T12:00:02.871204Z",
            "milliseconds": null
        }]
    })
}

/// What a delivery or a test that went well is answered with.
pub(super) fn attempt() -> Value {
    json!({
        "id": DELIVERY, "delivered": true, "status": 200, "reason": null, "milliseconds": 18.2
    })
}

pub(super) fn rewound() -> Value {
    json!({"conversations": 1, "events": 8})
}

#[cfg(test)]
mod tests;
