use std::collections::HashSet;

use super::*;
use crate::{config::Surface, operations};

fn document(surface: Surface) -> Result<Value, ApiError> {
    let operations = OperationTable::new(operations::ALL, surface);
    super::document(&operations, "")
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap();
            methods
                .iter()
                .map(move |(method, op)| (format!("{method} {path}"), op.clone()))
        })
        .collect()
}

fn references(value: &Value, found: &mut HashSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document(Surface::default()).unwrap();
    let mut found = HashSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "only {} references", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

#[test]
fn every_operation_is_described_and_has_an_id_of_its_own() {
    let document = document(Surface::default()).unwrap();
    let mut ids = HashSet::new();
    for (name, operation) in operations(&document) {
        let text = |field: &str| operation[field].as_str().unwrap_or_default().to_owned();
        assert!(!text("summary").is_empty(), "{name} has no summary");
        assert!(!text("description").is_empty(), "{name} has no description");
        assert!(
            ids.insert(text("operationId")),
            "{name}: {} is taken",
            text("operationId")
        );
        assert!(
            !operation["tags"].as_array().unwrap().is_empty(),
            "{name} has no tag"
        );
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let described = parameter["description"]
                .as_str()
                .is_some_and(|d| !d.is_empty());
            assert!(described, "{name}: {parameter} is not described");
        }
    }
    assert!(ids.len() >= 35, "{} operations", ids.len());
}

/// Whether a request or an answer with this body shows an example, by itself or in its schema.
fn has_example(body: &Value, document: &Value) -> bool {
    let schema = &body["schema"];
    let named = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
    let schema = named.and_then(|at| document.pointer(at)).unwrap_or(schema);
    body.get("example").is_some() || schema.get("examples").is_some()
}

#[test]
fn every_body_has_an_example() {
    let document = document(Surface::default()).unwrap();
    let mut seen = 0;
    for (name, operation) in operations(&document) {
        let answers = operation["responses"].as_object().unwrap().values();
        for place in answers.chain(operation.get("requestBody")) {
            let named = place["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
            let place = named.and_then(|at| document.pointer(at)).unwrap_or(place);
            if let Some(body) = place.pointer("/content/application~1json") {
                assert!(
                    has_example(body, &document),
                    "{name}: {body} has no example"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "only {seen} bodies");
}

#[test]
fn what_is_said_needs_a_key_and_health_does_not() {
    let document = document(Surface::default()).unwrap();
    for (name, operation) in operations(&document) {
        let keyed = [
            "/conversations",
            "/sockets",
            "/events",
            "/webhooks",
            "/llm/",
            "/budgets",
            "/file/",
        ]
        .iter()
        .any(|at| name.contains(at));
        assert_eq!(operation.get("security").is_some(), keyed, "{name}");
        assert_eq!(operation["responses"].get("401").is_some(), keyed, "{name}");
    }
}

#[test]
fn both_dialects_are_documented_alike() {
    let document = document(Surface::default()).unwrap();
    let below = |at: &str| -> HashSet<String> {
        operations(&document)
            .into_iter()
            .filter_map(|(name, _)| {
                let (method, path) = name.split_once(' ')?;
                Some(format!("{method} {}", path.strip_prefix(at)?))
            })
            .collect()
    };
    assert_eq!(below("/conversations"), below("/api/conversations"));
    assert!(below("/conversations").contains("post /{conversation_id}/run"));
    assert_eq!(below("/webhooks"), below("/api/webhooks"));
    assert!(below("/webhooks").contains("post /{name}/deliveries/{delivery_id}/redeliver"));
}

#[test]
fn limits_defaults_and_choices_survive() {
    let document = document(Surface::default()).unwrap();
    let search = &document["paths"]["/conversations/{conversation_id}/events/search"]["get"];
    let parameter = |name: &str| {
        let list = search["parameters"].as_array().unwrap();
        list.iter()
            .find(|parameter| parameter["name"] == name)
            .cloned()
            .unwrap()
    };
    let limit = parameter("limit");
    assert_eq!(limit["schema"]["minimum"], 1);
    assert_eq!(limit["schema"]["maximum"], 100);
    assert_eq!(limit["schema"]["default"], 100);
    assert_eq!(limit["required"], false);
    assert_eq!(parameter("timestamp__gte")["in"], "query");
    assert_eq!(parameter("conversation_id")["required"], true);
}

#[test]
fn what_is_switched_off_is_not_documented() {
    let surface = Surface {
        health: false,
        docs: true,
        root: false,
    };
    let document = document(surface).unwrap();
    assert!(document["paths"].get("/health").is_none());
    assert!(document["paths"].get("/").is_none());
    assert!(document["paths"].get("/conversations/search").is_some());
}

#[test]
fn event_streams_say_what_they_are_and_where_they_go_on() {
    let document = document(Surface::default()).unwrap();
    let mut streams = 0;
    for (name, operation) in operations(&document) {
        if !name.ends_with("/events/stream") {
            continue;
        }
        streams += 1;
        let content = operation["responses"]["200"]["content"]
            .as_object()
            .unwrap();
        assert_eq!(content.keys().collect::<Vec<_>>(), ["text/event-stream"]);
        let schema = &content["text/event-stream"]["schema"];
        assert_eq!(schema["type"], "object", "{name}");
        assert_eq!(schema["required"], json!(["data"]), "{name}");
        for (field, kind) in [
            ("data", "string"),
            ("event", "string"),
            ("id", "string"),
            ("retry", "integer"),
        ] {
            assert_eq!(schema["properties"][field]["type"], kind, "{name} {field}");
        }
        let parameters = operation["parameters"].as_array().unwrap();
        let last = parameters.iter().find(|it| it["name"] == "Last-Event-ID");
        assert_eq!(last.unwrap()["in"], "header", "{name}");
        let is_number = last.unwrap()["schema"]["pattern"].is_string();
        assert_eq!(is_number, name.contains("{conversation_id}"), "{name}");
        assert!(parameters.iter().any(|it| it["name"] == "session_api_key"));
        let all = !name.contains("{conversation_id}");
        assert_eq!(operation["responses"].get("410").is_some(), all, "{name}");
    }
    assert_eq!(streams, 4);
}

#[test]
fn where_a_key_can_be_given_it_can_be_given_twice() {
    let document = document(Surface::default()).unwrap();
    let mut keyed = 0;
    for (name, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let names: Vec<&Value> = parameters.map(|it| &it["name"]).collect();
        let takes_key = names.iter().any(|name| **name == "Idempotency-Key");
        keyed += usize::from(takes_key);
        // Not every conversation is one that the webhook wants, or can be changed so.
        let others = [
            "/rewind",
            "/condense",
            "/fork",
            "/navigate",
            "/goal",
            "/goal/resume",
        ];
        let refuses = takes_key || others.iter().any(|end| name.ends_with(end));
        assert_eq!(
            operation["responses"].get("409").is_some(),
            refuses,
            "{name}"
        );
    }
    assert!(keyed > 0);
}

#[test]
fn refusals_stand_where_they_can_come() {
    let document = document(Surface::default()).unwrap();
    let operations = operations(&document);
    let answers = |name: &str, status: &str| {
        let found = operations.iter().find(|(known, _)| known == name);
        let (_, operation) = found.unwrap_or_else(|| panic!("no {name}"));
        let answer = &operation["responses"][status]["$ref"];
        answer
            .as_str()
            .map(|at| at.rsplit('/').next().unwrap().to_owned())
    };
    for prefix in ["", "/api"] {
        let create = format!("post {prefix}/conversations");
        let send = format!("post {prefix}/conversations/{{conversation_id}}/events");
        let run = format!("post {prefix}/conversations/{{conversation_id}}/run");
        let stream = format!("get {prefix}/events/stream");
        let rewind = format!("post {prefix}/webhooks/{{name}}/rewind");
        let redeliver =
            format!("post {prefix}/webhooks/{{name}}/deliveries/{{delivery_id}}/redeliver");
        let webhook = format!("get {prefix}/webhooks/{{name}}");
        let webhooks = format!("get {prefix}/webhooks");
        for (name, status, refusal) in [
            (&create, "409", Some("KeyReused")),
            (&send, "409", Some("KeyReused")),
            (&run, "409", Some("Conflict")),
            (&create, "507", Some("DiskFull")),
            (&send, "507", Some("DiskFull")),
            (&run, "507", Some("DiskFull")),
            (&stream, "410", Some("CursorExpired")),
            (&stream, "507", None),
            (&stream, "409", None),
            (&rewind, "409", Some("NotWanted")),
            (&rewind, "422", Some("Invalid")),
            (&redeliver, "410", Some("EventsGone")),
            (&webhook, "404", Some("NotFound")),
            (&webhooks, "404", None),
        ] {
            assert_eq!(answers(name, status).as_deref(), refusal, "{name} {status}");
        }
    }
}

#[test]
fn sockets_say_how_a_request_that_is_none_is_refused() {
    let document = document(Surface::default()).unwrap();
    let mut sockets = 0;
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        let is_socket = responses.contains_key("101");
        sockets += usize::from(is_socket);
        assert_eq!(responses.contains_key("426"), is_socket, "{name}");
        let bad = responses["400"]["$ref"].as_str().unwrap();
        assert_eq!(bad.ends_with("/BadHandshake"), is_socket, "{name}");
    }
    assert_eq!(sockets, 9);
}

#[test]
fn what_every_request_may_be_answered_stands_everywhere() {
    let document = document(Surface::default()).unwrap();
    for (name, operation) in operations(&document) {
        for status in ["400", "406", "408", "421", "431", "503"] {
            assert!(
                operation["responses"].get(status).is_some(),
                "{name} {status}"
            );
        }
        let late = operation["responses"]["408"]["$ref"].as_str().unwrap();
        let has_body = operation.get("requestBody").is_some();
        assert_eq!(late.ends_with("/BodyLate"), has_body, "{name}");
    }
    for name in ["RunLimit", "Busy", "TooManyConnections", "DiskFull"] {
        let headers = &document["components"]["responses"][name]["headers"];
        assert_eq!(
            headers["Retry-After"]["schema"]["type"], "integer",
            "{name}"
        );
    }
}
