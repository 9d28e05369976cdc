//! The transport, tried with Chat Completions.

mod exchange;
mod refusals;
mod retries;
mod secrets;

use core_model::{Content, LlmSettings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::HttpModel;
use crate::openai_chat::OpenAiChat;
use crate::{Model, ModelError, ModelMessage, ModelReply, ModelRequest};

const KEY: &str = "sk-very-secret";

fn settings(base_url: &str) -> LlmSettings {
    LlmSettings {
        model: "openai/fake".to_owned(),
        base_url: Some(base_url.to_owned()),
        api_key: Some(KEY.to_owned()),
        num_retries: 0,
        retry_min_wait: 0,
        retry_max_wait: 0,
        ..LlmSettings::default()
    }
}

/// Settings of a model that no other test has: what refusals teach is remembered by address and name, and
/// addresses are used again.
fn own_settings(base_url: &str) -> LlmSettings {
    LlmSettings {
        model: format!("openai/{}", uuid::Uuid::new_v4()),
        ..settings(base_url)
    }
}

fn model(settings: &LlmSettings) -> HttpModel {
    HttpModel::new(settings, &OpenAiChat).expect("a model")
}

fn request() -> ModelRequest {
    ModelRequest {
        cache_key: Some("key".to_owned()),
        ..ModelRequest::of(vec![ModelMessage::User(vec![Content::text("hello")])])
    }
}

async fn ask(settings: &LlmSettings) -> Result<ModelReply, ModelError> {
    model(settings).reply(&request(), &|_| {}).await
}

fn reply(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "id": "r", "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "cost": 0.5},
    }))
}

fn failure(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": {"message": message}}))
}

async fn serving(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let received = server.received_requests().await.expect("recorded requests");
    received
        .iter()
        .map(|request| request.body_json().expect("a JSON body"))
        .collect()
}

/// Answers every connection with these bytes; then hangs up, or keeps silent.
async fn raw_server(answer: String, hang_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = socket.read(&mut request).await.expect("a request");
            assert!(read > 0, "an empty request");
            socket.write_all(answer.as_bytes()).await.expect("a reader");
            if !hang_up {
                open.push(socket);
            }
        }
    });
    format!("http://{address}/v1")
}

fn stream_of(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}")
}

const SAID: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";

const STOPPED: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
