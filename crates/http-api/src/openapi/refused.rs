//! How operations may be refused.

use serde_json::{Map, Value, json};

use crate::operation::{Operation, Refusal, Verb, refusals};

/// Adds to an operation's responses those that refuse it, and to `used` what they refer to.
pub(super) fn add(
    described: &mut Map<String, Value>,
    operation: &Operation,
    path: &str,
    used: &mut Vec<&'static Refusal>,
) {
    let refusals = refusals_of(described, operation, path);
    let responses = described.entry("responses").or_insert_with(|| json!({}));
    for refusal in refusals {
        let status = refusal.status().to_string();
        if responses.get(&status).is_none() {
            let reference = format!("#/components/responses/{}", refusal.name);
            responses[status] = json!({ "$ref": reference });
            if !used.iter().any(|known| known.name == refusal.name) {
                used.push(refusal);
            }
        }
    }
}

/// What is specific goes before what means the same status in general: the first one is described.
fn refusals_of(
    described: &Map<String, Value>,
    operation: &Operation,
    path: &str,
) -> Vec<&'static Refusal> {
    let parameters = described.get("parameters").and_then(Value::as_array);
    let has_parameters = parameters.is_some_and(|list| !list.is_empty());
    let has_idempotency_key =
        parameters.is_some_and(|list| list.iter().any(|it| it["name"] == "Idempotency-Key"));
    let has_body = described.contains_key("requestBody");
    let reads = operation.method == Verb::Get;

    let mut refusals: Vec<&'static Refusal> = operation.refusals.to_vec();
    refusals.extend([
        &refusals::FOREIGN_HOST,
        &refusals::NOT_ACCEPTABLE,
        &refusals::HEAD_TOO_LARGE,
    ]);
    if operation.needs_key {
        refusals.extend([&refusals::UNAUTHORIZED, &refusals::BUSY]);
        if !reads || operation.is_socket() {
            refusals.push(&refusals::FOREIGN_ORIGIN);
        }
        if !reads {
            refusals.push(&refusals::DISK_FULL);
        }
    }
    if operation.is_socket() {
        refusals.extend([&refusals::BAD_HANDSHAKE, &refusals::UPGRADE_REQUIRED]);
    } else if path.contains('{') {
        refusals.push(&refusals::NOT_FOUND);
    }
    if has_idempotency_key {
        refusals.push(&refusals::KEY_REUSED);
    }
    if has_body {
        refusals.extend([&refusals::BODY_LATE, &refusals::TOO_LARGE]);
    }
    if has_body || has_parameters {
        refusals.push(&refusals::INVALID);
    }
    refusals.extend([
        &refusals::BAD_HOST,
        &refusals::HEAD_LATE,
        &refusals::TOO_MANY_CONNECTIONS,
    ]);
    refusals
}

/// Those as components of the document.
pub(super) fn components(used: &[&'static Refusal]) -> Value {
    let components = used.iter().map(|refusal| {
        let schema = if refusal.has_problems() {
            json!({"anyOf": [{"$ref": "#/components/schemas/ValidationErrorBody"},
                             {"$ref": "#/components/schemas/ErrorBody"}]})
        } else {
            json!({"$ref": "#/components/schemas/ErrorBody"})
        };
        let mut response = json!({
            "description": refusal.meaning,
            "content": {"application/json": {"schema": schema, "example": refusal.example()}}
        });
        if refusal.has_retry_after() {
            response["headers"] = json!({"Retry-After": {
                "description": "Seconds after which to try again",
                "schema": {"type": "integer", "minimum": 1}
            }});
        }
        (refusal.name.to_owned(), response)
    });
    Value::Object(components.collect())
}
