//! Puts schemas where their placeholders stand, and adds what paperclip cannot know: the kinds of
//! failure, security, tags, distinct operation ids.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    bridge::{QUERY_MARK, Schemas},
    examples,
    refusals::{self, Asked},
    streams,
};
use crate::{
    error::ApiError,
    wire::{ErrorBody, ValidationErrorBody},
};

const SCHEMAS: &str = "#/components/schemas/";

const OPEN_TAGS: [&str; 1] = ["Server"];

const DESCRIPTION: &str = "\
Programs talk to AI software agents here: they start conversations, send messages and read what \
happens as a log of events, by page or live over a WebSocket.

Every route of conversations is there twice: below `/conversations`, where nearly everything is \
optional and a message starts a run by itself, and below `/api/conversations`, with the defaults of \
the OpenHands protocol (`run` is false there, and a workspace and an agent have to be named). Those of \
webhooks are there twice too, alike below `/webhooks` and `/api/webhooks`.

Sockets and event streams also carry what is in no log: `StreamingDeltaEvent`, a piece of a reply while it \
is written; `ConversationStateUpdateEvent` with the key `full_state`, or with the key `streaming_reply` and \
the value `discarded`, which says that the pieces since the agent's last event are void; and \
`ServerErrorEvent`, which says that a frame of the client was refused.

Nearly every error has a body with `detail` and a header `x-error-code` with a code that does not change. A 400 for \
a request that is no HTTP, or has no `Host` or several, has neither.";

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
            {"name": "Webhooks", "description": "Whether events arrive elsewhere; send them again"},
            {"name": "Sockets", "description": "What happens, as it happens"},
            {"name": "Server", "description": "Whether the server is well, and what it is"}
        ],
        "paths": paths,
        "components": {
            "schemas": with_discriminators(definitions),
            "responses": refusals::all(),
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
    if let Some(content) = streams::content(&id)
        && let Some(answer) = operation
            .get_mut("responses")
            .and_then(|responses| responses.get_mut("200"))
    {
        answer["content"] = content;
    }
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        for header in parameters.iter_mut().filter(|it| it["in"] == "header") {
            if let Some(pattern) = header_pattern(&id, &header["name"]) {
                header["schema"]["pattern"] = json!(pattern);
            }
        }
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
    if !open {
        operation.insert(
            "security".to_owned(),
            json!([{"HTTPBearer": []}, {"APIKeyHeader": []}]),
        );
    }
    let asked = Asked {
        id: &id,
        path,
        method,
        open,
        is_socket,
    };
    refusals::add(operation, &asked);
}

/// What a header has to look like, which paperclip has no place for.
fn header_pattern(operation: &str, name: &Value) -> Option<&'static str> {
    match (operation, name.as_str()?) {
        (_, "Idempotency-Key") => Some("^[!-~]{1,255}$"),
        // A position. Where it is a cursor, that is opaque.
        ("stream_events", "Last-Event-ID") => Some("^(-1|[0-9]{1,18})?$"),
        _ => None,
    }
}

/// Shows what the ids in the path and the bodies of the answers look like.
fn exemplify(operation: &mut Map<String, Value>, id: &str) {
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        for parameter in parameters.iter_mut().filter(|it| it["in"] == "path") {
            parameter["example"] = json!(match parameter["name"].as_str() {
                Some("conversation_id") => examples::CONVERSATION,
                Some("name") => examples::WEBHOOK,
                Some("delivery_id") => examples::DELIVERY,
                Some(_) | None => examples::EVENT,
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
