//! Puts schemas where their placeholders stand, and adds what paperclip cannot know: the kinds of
//! failure, security, tags, distinct operation ids.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    bridge::{QUERY_MARK, Schemas},
    examples,
};
use crate::{
    error::ApiError,
    wire::{ErrorBody, ValidationErrorBody},
};

const SCHEMAS: &str = "#/components/schemas/";

/// A refusal that several operations share: its name, status, what it means, an example's detail.
const REFUSALS: [(&str, &str, &str, &str); 11] = [
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
    ("NotFound", "404", "There is no such thing", "Not Found"),
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
        "BodyLate",
        "408",
        "The rest of the body did not come",
        "The rest of the request body did not come",
    ),
    (
        "TooLarge",
        "413",
        "The body is larger than the server's limit",
        "The request body is larger than 10485760 bytes",
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
        "Too many requests wait, the disk takes no writes, or the server is stopping; see \
         `x-error-code` and `Retry-After`",
        "The conversation has too many requests waiting. Retry the request later.",
    ),
    (
        "DiskFull",
        "507",
        "The server has no room to store this; `Retry-After` says when to try again",
        "The server has no room to store this (disk full). Make room on it and retry the request; it \
         needs no restart.",
    ),
];

/// Operations that can be refused for want of a run slot.
const STARTS_RUNS: [&str; 4] = [
    "create_conversation",
    "run_conversation",
    "send_event",
    "respond_to_confirmation",
];
const OPEN_TAGS: [&str; 1] = ["Server"];

const DESCRIPTION: &str = "\
Programs talk to AI software agents here: they start conversations, send messages and read what \
happens as a log of events, by page or live over a WebSocket.

Every route of conversations is there twice: below `/conversations`, where nearly everything is \
optional and a message starts a run by itself, and below `/api/conversations`, with the defaults of \
the OpenHands protocol (`run` is false there, and a workspace and an agent have to be named).

Every error has a body with `detail` and a header `x-error-code` with a code that does not change.";

/// # Errors
/// When paperclip's document does not have the shape of one.
pub(super) fn finish(raw: Value, mut schemas: Schemas) -> Result<Value, ApiError> {
    schemas.add::<ErrorBody>();
    schemas.add::<ValidationErrorBody>();
    let (definitions, by_placeholder) = schemas.take();
    let mut paths = Map::new();
    let walked = raw.get("paths").and_then(Value::as_object);
    for (path, item) in walked.ok_or_else(|| malformed("paths"))? {
        let mut operations = Map::new();
        for (method, operation) in item.as_object().ok_or_else(|| malformed(path))? {
            let mut operation = operation.clone();
            resolve(&mut operation, &by_placeholder);
            let fields = operation.as_object_mut().ok_or_else(|| malformed(path))?;
            spread_query(fields, &by_placeholder, &definitions)?;
            complete(fields, path, method);
            operations.insert(method.clone(), operation);
        }
        paths.insert(path.clone(), operations.into());
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "OpenHands Agent Server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"}
        },
        "servers": super::servers(""),
        "tags": [
            {"name": "Conversations", "description": "Start, find, steer and remove conversations"},
            {"name": "Events", "description": "Say something, and read what happened"},
            {"name": "Sockets", "description": "What happens, as it happens"},
            {"name": "Server", "description": "Whether the server is well, and what it is"}
        ],
        "paths": paths,
        "components": {
            "schemas": with_discriminators(definitions),
            "responses": refusals(),
            "securitySchemes": {
                "HTTPBearer": {"type": "http", "scheme": "bearer", "description": "The session key"},
                "APIKeyHeader": {"type": "apiKey", "in": "header", "name": "X-Session-API-Key",
                                 "description": "The session key"}
            }
        }
    }))
}

fn malformed(place: &str) -> ApiError {
    ApiError::Document(format!("paperclip's `{place}` is not an object"))
}

/// Puts each schema in the place of references to its placeholder.
fn resolve(value: &mut Value, by_placeholder: &BTreeMap<String, Value>) {
    let named = value
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| by_placeholder.get(reference.strip_prefix(SCHEMAS)?));
    if let Some(schema) = named {
        *value = schema.clone();
        return;
    }
    match value {
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| resolve(field, by_placeholder)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| resolve(item, by_placeholder)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces the mark of a struct of query parameters by one parameter for each field.
fn spread_query(
    operation: &mut Map<String, Value>,
    by_placeholder: &BTreeMap<String, Value>,
    definitions: &Map<String, Value>,
) -> Result<(), ApiError> {
    let Some(Value::Array(parameters)) = operation.get_mut("parameters") else {
        return Ok(());
    };
    let mut spread = Vec::new();
    for parameter in std::mem::take(parameters) {
        let mark = parameter["name"]
            .as_str()
            .and_then(|name| name.strip_prefix(QUERY_MARK));
        let Some(mark) = mark else {
            spread.push(parameter);
            continue;
        };
        let schema = by_placeholder
            .get(mark)
            .ok_or_else(|| malformed(QUERY_MARK))?;
        let schema = match schema["$ref"]
            .as_str()
            .and_then(|name| name.strip_prefix(SCHEMAS))
        {
            Some(name) => definitions.get(name).ok_or_else(|| malformed(name))?,
            None => schema,
        };
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let fields = schema["properties"]
            .as_object()
            .ok_or_else(|| malformed(QUERY_MARK))?;
        for (name, field) in fields {
            let needed = required.contains(&json!(name)) && field.get("default").is_none();
            spread.push(query_parameter(name, field, needed));
        }
    }
    *parameters = spread;
    Ok(())
}

fn query_parameter(name: &str, field: &Value, required: bool) -> Value {
    let mut schema = without_null(field);
    let mut parameter = json!({"in": "query", "name": name, "required": required});
    if let Some(fields) = schema.as_object_mut() {
        for moved in ["description", "deprecated"] {
            if let Some(value) = fields.remove(moved) {
                parameter[moved] = value;
            }
        }
    }
    parameter["schema"] = schema;
    parameter
}

/// A query parameter is given or left out; it is never null.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.retain(|option| option["type"] != "null");
        let only = match options.as_slice() {
            [Value::Object(only)] => Some(only.clone()),
            _ => None,
        };
        if let (Some(only), Some(fields)) = (only, schema.as_object_mut()) {
            fields.remove("anyOf");
            fields.extend(only);
        }
    }
    schema
}

/// The operations that turn into sockets.
const SOCKETS: [&str; 3] = ["open_socket", "open_session_socket", "open_socket_of_all"];

/// Those that are answered with an event stream.
const STREAMS: [&str; 2] = ["stream_events", "stream_all_events"];

fn complete(operation: &mut Map<String, Value>, path: &str, method: &str) {
    let id = operation
        .get("operationId")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    // Operations that are mounted twice are told apart by where.
    let unique = match path.split('/').nth(1) {
        Some("api") => format!("{id}_openhands"),
        Some("sockets") => format!("{id}_at_sockets"),
        Some(_) | None => id.clone(),
    };
    operation.insert("operationId".to_owned(), json!(unique));
    let is_socket = SOCKETS.contains(&id.as_str());
    if id == "open_socket" {
        about_the_socket(operation);
    }
    if STREAMS.contains(&id.as_str()) {
        stream(operation);
    }
    if let Some(Value::String(text)) = operation.get_mut("description") {
        // Lines of a doc comment begin with a space.
        *text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    }
    exemplify(operation, &id);
    let open = operation
        .get("tags")
        .and_then(Value::as_array)
        .is_some_and(|tags| {
            tags.iter()
                .any(|tag| OPEN_TAGS.iter().any(|open| tag == open))
        });
    let has_body = operation.contains_key("requestBody");
    let has_parameters = operation
        .get("parameters")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    let mut refused = Vec::new();
    if !open {
        operation.insert(
            "security".to_owned(),
            json!([{"HTTPBearer": []}, {"APIKeyHeader": []}]),
        );
        refused.extend(["Unauthorized", "Busy"]);
        if method != "get" || is_socket {
            refused.push("ForeignOrigin");
        }
    }
    if has_body {
        refused.extend(["BodyLate", "TooLarge"]);
    }
    if has_body || has_parameters {
        refused.push("Invalid");
    }
    if path.contains("{conversation_id}") && !is_socket || id == "create_conversation" {
        refused.push("NotFound");
    }
    match id.as_str() {
        "run_conversation" => refused.push("Conflict"),
        "stream_all_events" => refused.push("CursorExpired"),
        _ => {}
    }
    if !open && method != "get" {
        refused.push("DiskFull");
    }
    if has_parameter(operation, "Idempotency-Key") && !refused.contains(&"Conflict") {
        refused.push("KeyReused");
    }
    if STARTS_RUNS.contains(&id.as_str()) {
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

/// Event streams are no JSON, which is all that paperclip knows.
fn stream(operation: &mut Map<String, Value>) {
    let content = json!({"text/event-stream": {
        "schema": {"type": "string"},
        "example": "id: 6\ndata: {\"kind\": \"MessageEvent\"}\n\n"
    }});
    if let Some(answer) = operation
        .get_mut("responses")
        .and_then(|responses| responses.get_mut("200"))
    {
        answer["content"] = content;
    }
}

/// Shows what the ids in the path and the bodies of the answers look like.
fn exemplify(operation: &mut Map<String, Value>, id: &str) {
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        for parameter in parameters.iter_mut().filter(|it| it["in"] == "path") {
            let named = parameter["name"] == "conversation_id";
            parameter["example"] = json!(if named {
                examples::CONVERSATION
            } else {
                examples::EVENT
            });
        }
    }
    let answers = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    for (status, response) in answers.into_iter().flatten() {
        if let Some(body) = response.pointer_mut("/content/application~1json")
            && let Some(example) = examples::answer(id, status)
        {
            body["example"] = example;
        }
    }
}

/// What OpenAPI has no words for.
fn about_the_socket(operation: &mut Map<String, Value>) {
    let about = json!({
        "to_client": {"$ref": "#/components/schemas/Event"},
        "from_client": {"$ref": "#/components/schemas/SendMessage"}
    });
    operation.insert("x-websocket".to_owned(), about);
}

fn refusals() -> Value {
    let mut responses = Map::new();
    for (name, _, meaning, detail) in REFUSALS {
        let response = json!({
            "description": meaning,
            "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/ErrorBody"},
                "example": {"detail": detail}
            }}
        });
        responses.insert(name.to_owned(), response);
    }
    let invalid = json!({
        "description": "The request is not well formed, or cannot be carried out as it stands",
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

/// Unions whose members are told apart by one property say so.
fn with_discriminators(mut definitions: Map<String, Value>) -> Map<String, Value> {
    // Structs of query parameters were taken apart.
    definitions.retain(|name, _| !name.ends_with("Params"));
    for definition in definitions.values_mut() {
        let Some(members) = definition.get("oneOf").and_then(Value::as_array) else {
            continue;
        };
        let told_by = ["kind", "type"].into_iter().find(|property| {
            members
                .iter()
                .all(|member| member["properties"].get(property).is_some())
        });
        if let Some(property) = told_by {
            definition["discriminator"] = json!({"propertyName": property});
        }
    }
    definitions
}

#[cfg(test)]
#[path = "finish_tests.rs"]
mod tests;
