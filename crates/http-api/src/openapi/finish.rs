//! Puts schemas where their placeholders stand, and adds what paperclip cannot know and the declarations
//! say: ids, tags, examples, refusals, security.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{parameters, refused};
use crate::{
    describe::Recorded,
    error::ApiError,
    failure::{ErrorBody, ValidationErrorBody},
    operation::{Kind, Operation, OperationTable, Tag},
};

const SCHEMAS: &str = "#/components/schemas/";

const DESCRIPTION: &str = "\
Programs work with AI software agents here: they start conversations, send messages and read what \
happens as a log of events, by page or live over a WebSocket.

Every route of conversations exists twice: below `/conversations`, where nearly everything is \
optional and a message starts a run automatically, and below `/api/conversations`, with the defaults of \
the OpenHands protocol (`run` is false there, and a workspace and an agent have to be named). Those of \
webhooks exist twice too, alike below `/webhooks` and `/api/webhooks`.

Sockets and event streams also carry what is not logged: `StreamingDeltaEvent`, a piece of a reply while it \
is written; `ConversationStateUpdateEvent` with the key `full_state`, or with the key `streaming_reply` and \
the value `discarded`, which says that the pieces since the agent's last event are discarded; and \
`ServerErrorEvent`, which says that a frame of the client was refused.

Nearly every error has a body with `detail` and a header `x-error-code` with a code that does not change. A 400 for \
a request that is not valid HTTP, or has no `Host` or several, has neither.";

/// # Errors
/// When paperclip's document does not have the shape of one.
pub(super) fn finish(
    raw: &Value,
    mut recorded: Recorded,
    operations: &OperationTable,
) -> Result<Value, ApiError> {
    recorded.add::<ErrorBody>();
    recorded.add::<ValidationErrorBody<'_>>();
    let definitions = recorded.take_definitions();
    let mut paths: Map<String, Value> = Map::new();
    let mut refusals = Vec::new();
    for operation in operations.iter() {
        if operation.handler.describe.is_none() {
            continue;
        }
        let method = operation.method.method().as_str().to_lowercase();
        for (_, path) in operation.paths {
            let mut described = raw["paths"][path][&method].clone();
            resolve(&mut described, &recorded.by_placeholder);
            let fields = described.as_object_mut().ok_or_else(|| {
                ApiError::Document(format!("paperclip does not describe `{method} {path}`"))
            })?;
            parameters::complete(fields, &recorded, &definitions)?;
            complete(fields, operation, path);
            refused::add(fields, operation, path, &mut refusals);
            let item = paths.entry(*path).or_insert_with(|| json!({}));
            item[&method] = described;
        }
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "OpenHands Agent Server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"}
        },
        "servers": [],
        "tags": Tag::ALL.map(|tag| {
            let (name, description) = tag.name_and_description();
            json!({"name": name, "description": description})
        }),
        "paths": paths,
        "components": {
            "schemas": with_discriminators(definitions),
            "responses": refused::components(&refusals),
            "securitySchemes": {
                "HTTPBearer": {"type": "http", "scheme": "bearer", "description": "The session key"},
                "APIKeyHeader": {"type": "apiKey", "in": "header", "name": "X-Session-API-Key",
                                 "description": "The session key"}
            }
        }
    }))
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

fn complete(described: &mut Map<String, Value>, operation: &Operation, path: &str) {
    let id = operation.id;
    // Operations that are mounted more than once are distinguished by where.
    let unique = match path.split('/').nth(1) {
        Some("api") => format!("{id}_openhands"),
        Some("sockets") => format!("{id}_at_sockets"),
        Some(_) | None => id.to_owned(),
    };
    described.insert("operationId".to_owned(), json!(unique));
    let (tag, _) = operation.tag.name_and_description();
    described.insert("tags".to_owned(), json!([tag]));
    if operation.needs_key {
        described.insert(
            "security".to_owned(),
            json!([{"HTTPBearer": []}, {"APIKeyHeader": []}]),
        );
    }
    if let Some(Value::String(text)) = described.get_mut("description") {
        // Lines of a doc comment begin with a space.
        *text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    }
    match operation.kind {
        Kind::Socket {
            frames: Some(frames),
        } => {
            described.insert("x-websocket".to_owned(), frames());
        }
        Kind::Stream { content } => {
            if let Some(answer) = described
                .get_mut("responses")
                .and_then(|responses| responses.get_mut("200"))
            {
                answer["content"] = content();
            }
        }
        Kind::Download { content } => {
            if let Some(answer) = described
                .get_mut("responses")
                .and_then(|responses| responses.get_mut("200"))
            {
                answer["content"] = json!({ content: {} });
            }
        }
        Kind::Plain | Kind::Document | Kind::Socket { frames: None } => {}
    }
    let answers = described
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    for (status, answer) in answers.into_iter().flatten() {
        if let Some(body) = answer.pointer_mut("/content/application~1json")
            && let Some(example) = operation.example
        {
            body["example"] = example(status);
        }
    }
}

/// Unions whose members are distinguished by one property say so.
fn with_discriminators(mut definitions: Map<String, Value>) -> Map<String, Value> {
    // Structs of query parameters became parameters.
    definitions.retain(|name, _| !name.ends_with("Params"));
    for definition in definitions.values_mut() {
        let Some(members) = definition.get("oneOf").and_then(Value::as_array) else {
            continue;
        };
        let discriminator = ["kind", "type"].into_iter().find(|property| {
            members
                .iter()
                .all(|member| member["properties"].get(property).is_some())
        });
        if let Some(property) = discriminator {
            definition["discriminator"] = json!({"propertyName": property});
        }
    }
    definitions
}
