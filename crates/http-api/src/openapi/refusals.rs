//! How requests may be refused: the answers, and which operations can give them.

use serde_json::{Map, Value, json};

/// A refusal that several operations share: its name, status, what it means, an example's detail.
const REFUSALS: [(&str, &str, &str, &str); 21] = [
    (
        "BadHost",
        "400",
        "`Host` is empty or no name of a host (`bad_host`), or the body broke off (`body_unreadable`). \
         Without `Host`, or with several, the answer has neither body nor `x-error-code`",
        "The request needs one `Host` header with a host name or an address",
    ),
    (
        "BadHandshake",
        "400",
        "The request asks for a WebSocket and is no handshake of one, or `Host` is empty or no name of a \
         host: see `x-error-code`",
        "unknown WebSocket key",
    ),
    (
        "Unauthorized",
        "401",
        "A session key is set and the request has none or a wrong one",
        "Unauthorized",
    ),
    (
        "ForeignOrigin",
        "403",
        "A web page of an origin that is not allowed sent this",
        "Origin not allowed",
    ),
    (
        "ForeignHost",
        "421",
        "The request came by a `Host` that is not this server's; `allowed_hosts` names more",
        "This server is not known as `agents.example.com`. If it is to be reached by that name, add it to \
         `allowed_hosts` (OH_ALLOWED_HOSTS) in its configuration.",
    ),
    ("NotFound", "404", "There is no such thing", "Not Found"),
    (
        "NotAcceptable",
        "406",
        "`Accept-Encoding` allows neither `gzip` nor `deflate` nor `identity`",
        "Accept-Encoding allows neither gzip nor deflate nor identity",
    ),
    (
        "HeadLate",
        "408",
        "The rest of the request line and headers did not come",
        "The rest of the request head did not come",
    ),
    (
        "HeadTooLarge",
        "431",
        "The request line and headers are too large",
        "The request line and headers are too large",
    ),
    (
        "Conflict",
        "409",
        "The conversation is running, or the `Idempotency-Key` came with another body before: see \
         `x-error-code`",
        "Conversation already running. Wait for completion or pause first.",
    ),
    (
        "KeyReused",
        "409",
        "The `Idempotency-Key` came with another request body before",
        "This Idempotency-Key came with another request body before. Use a new key for a new request.",
    ),
    (
        "CursorExpired",
        "410",
        "The cursor belongs to a feed that is no more; begin anew",
        "The cursor belongs to a feed that is no more. Begin anew, without a cursor or with \
         cursor=beginning.",
    ),
    (
        "NotWanted",
        "409",
        "The webhook's filter leaves this conversation out",
        "The webhook crm does not want this conversation.",
    ),
    (
        "EventsGone",
        "410",
        "The conversation was deleted, and its events with it",
        "The events of delivery msg_84cd4b6942255f98a1998ef8a9054d39 are gone with their conversation.",
    ),
    (
        "BodyLate",
        "408",
        "The rest of the headers (`head_late`) or of the body (`body_late`) did not come",
        "The rest of the request body did not come",
    ),
    (
        "TooLarge",
        "413",
        "The body is larger than the server's limit",
        "The request body is larger than 10485760 bytes",
    ),
    (
        "UpgradeRequired",
        "426",
        "The request does not ask for a WebSocket",
        "This URL speaks WebSocket: connect to it with ws:// or wss://",
    ),
    (
        "RunLimit",
        "429",
        "Every run slot is taken; `Retry-After` says when to try again",
        "Conversation run limit reached. Retry the request later.",
    ),
    (
        "Busy",
        "503",
        "Too many connections are open (`too_many_connections`), too many requests wait, the disk takes no \
         writes, or the server is stopping; see `x-error-code` and `Retry-After`",
        "The conversation has too many requests waiting. Retry the request later.",
    ),
    (
        "NoPlace",
        "503",
        "Too many connections are open (`too_many_connections`); `Retry-After` says when to try again",
        "Too many connections are open. Close what is not used, or retry later.",
    ),
    (
        "DiskFull",
        "507",
        "The server has no room to store this; `Retry-After` says when to try again",
        "The server has no room to store this (disk full). Make room on it and retry the request; it \
         needs no restart.",
    ),
];

/// Those that are over after a while.
const WITH_RETRY_AFTER: [&str; 3] = ["429", "503", "507"];

/// Operations that can be refused for want of a run slot.
const STARTS_RUNS: [&str; 4] = [
    "create_conversation",
    "run_conversation",
    "send_event",
    "respond_to_confirmation",
];

/// An operation, as far as its refusals depend on it.
pub(super) struct Asked<'a> {
    pub(super) id: &'a str,
    pub(super) path: &'a str,
    pub(super) method: &'a str,
    /// Whether it needs no key.
    pub(super) open: bool,
    pub(super) is_socket: bool,
}

/// Adds to an operation the refusals that it can be answered with.
pub(super) fn add(operation: &mut Map<String, Value>, asked: &Asked<'_>) {
    let &Asked {
        id,
        path,
        method,
        open,
        is_socket,
    } = asked;
    let has_body = operation.contains_key("requestBody");
    let has_parameters = operation
        .get("parameters")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    let mut refused = vec!["ForeignHost", "NotAcceptable", "HeadTooLarge"];
    if !open {
        refused.extend(["Unauthorized", "Busy"]);
        if method != "get" || is_socket {
            refused.push("ForeignOrigin");
        }
    }
    if is_socket {
        refused.extend(["BadHandshake", "UpgradeRequired"]);
    }
    if has_body {
        refused.extend(["BodyLate", "TooLarge"]);
    }
    // After what means the same status in particular.
    refused.extend(["BadHost", "HeadLate", "NoPlace"]);
    if has_body || has_parameters {
        refused.push("Invalid");
    }
    let names = path.contains("{conversation_id}") || path.contains("{name}");
    if names && !is_socket || id == "create_conversation" {
        refused.push("NotFound");
    }
    match id {
        "run_conversation" => refused.push("Conflict"),
        "rewind_webhook" => refused.push("NotWanted"),
        "redeliver" => refused.push("EventsGone"),
        "stream_all_events" => refused.push("CursorExpired"),
        _ => {}
    }
    if !open && method != "get" {
        refused.push("DiskFull");
    }
    if has_parameter(operation, "Idempotency-Key") && !refused.contains(&"Conflict") {
        refused.push("KeyReused");
    }
    if STARTS_RUNS.contains(&id) {
        refused.push("RunLimit");
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    for name in refused {
        let status = REFUSALS
            .iter()
            .find(|refusal| refusal.0 == name)
            .map_or("422", |it| it.1);
        if responses.get(status).is_none() {
            responses[status] = json!({"$ref": format!("#/components/responses/{name}")});
        }
    }
}

fn has_parameter(operation: &Map<String, Value>, name: &str) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    parameters.is_some_and(|list| list.iter().any(|parameter| parameter["name"] == name))
}

/// All of them, as components of the document.
pub(super) fn all() -> Value {
    let mut responses = Map::new();
    for (name, status, meaning, detail) in REFUSALS {
        let mut response = json!({
            "description": meaning,
            "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/ErrorBody"},
                "example": {"detail": detail}
            }}
        });
        if WITH_RETRY_AFTER.contains(&status) {
            response["headers"] = json!({"Retry-After": {
                "description": "Seconds after which to try again",
                "schema": {"type": "integer", "minimum": 1}
            }});
        }
        responses.insert(name.to_owned(), response);
    }
    let invalid = json!({
        "description": "The request is not well formed, or cannot be carried out as it stands. The `type` of each \
            problem says which: `metadata_too_large`, for one, is more to keep than `max_metadata_bytes`",
        "content": {"application/json": {
            "schema": {"anyOf": [{"$ref": "#/components/schemas/ValidationErrorBody"},
                                 {"$ref": "#/components/schemas/ErrorBody"}]},
            "example": {"detail": [{
                "type": "greater_than", "loc": ["query", "limit"],
                "msg": "Input should be greater than 0", "input": "0", "ctx": {"gt": 0}
            }]}
        }}
    });
    responses.insert("Invalid".to_owned(), invalid);
    responses.into()
}
