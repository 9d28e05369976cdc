use reqwest::Method;
use serde_json::Value;
use test_support::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn the_document_describes_every_operation_with_bodies_errors_and_security() {
    let server = TestServer::start().await;
    let (status, document) = server.get("/openapi.json").await;
    assert_eq!(status, 200);
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/conversations",
        "/conversations/search",
        "/conversations/{conversation_id}",
        "/conversations/{conversation_id}/events",
        "/conversations/{conversation_id}/events/search",
        "/conversations/{conversation_id}/events/count",
        "/conversations/{conversation_id}/events/{event_id}",
        "/conversations/{conversation_id}/run",
        "/conversations/{conversation_id}/pause",
        "/conversations/{conversation_id}/interrupt",
        "/conversations/{conversation_id}/events/socket",
        "/sockets/events/{conversation_id}",
        "/webhooks",
        "/webhooks/{name}",
        "/webhooks/{name}/deliveries",
        "/webhooks/{name}/deliveries/{delivery_id}/redeliver",
        "/webhooks/{name}/test",
        "/webhooks/{name}/rewind",
        "/health",
        "/alive",
        "/ready",
        "/server_info",
        "/",
    ] {
        assert!(paths.contains_key(path), "{path}");
        let twice = path.starts_with("/conversations") || path.starts_with("/webhooks");
        if twice && !path.ends_with("/socket") {
            assert!(paths.contains_key(&format!("/api{path}")), "{path}");
        }
    }
    let mut ids = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            ids.push(
                operation["operationId"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{name}"))
                    .to_owned(),
            );
            assert!(operation["summary"].is_string(), "{name} has no summary");
            assert!(operation["tags"].is_array(), "{name} has no tags");
            if path.contains("conversations") || path.contains("webhooks") {
                let responses = operation["responses"].as_object().unwrap();
                assert!(
                    responses.contains_key("401"),
                    "{name} does not document 401"
                );
                assert!(operation["security"].is_array(), "{name} has no security");
            }
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are distinct");
    let references = references(&document);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| match field.as_str() {
                Some(reference) if name == "$ref" => vec![reference],
                _ => references(field),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_comes_from_the_binary_alone() {
    let server = TestServer::start().await;
    let page = server.request(Method::GET, "/docs").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let base = page.url().clone();
    let html = page.text().await.unwrap();
    assert!(
        !html.contains("http://") && !html.contains("https://"),
        "{html}"
    );
    let sources: Vec<&str> = html
        .split(['"', '\''])
        .filter(|text| text.ends_with(".js") || text.ends_with(".css"))
        .collect();
    assert!(sources.len() >= 2, "{html}");
    for source in sources {
        let asset = reqwest::get(base.join(source).unwrap()).await.unwrap();
        assert_eq!(asset.status(), 200, "{source}");
        assert!(!asset.bytes().await.unwrap().is_empty());
    }
}
