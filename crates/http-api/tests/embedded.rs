//! The API inside a stranger's application, over real connections.
#![expect(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

use std::{env, process::Command, sync::Arc, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, web};
use agent_runtime::{Runtime, RuntimeConfig};
use core_model::LlmSettings;
use futures_util::{SinkExt, StreamExt};
use http_api::{Api, ApiConfig};
use reqwest::{Client, Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use store_fs::{FsStore, Options};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};

const HANG_GUARD: Duration = Duration::from_secs(30);
const KEY: &str = "sekrit";

/// A host with four workers and a route of its own, and the API below `prefix`.
async fn host(prefix: &'static str) -> (String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(&folder.path().join("conversations"), Options::default()).unwrap();
    let llm = LlmSettings {
        model: "scripted".to_owned(),
        ..LlmSettings::default()
    };
    let runtime = RuntimeConfig::new([7; 32], llm, folder.path().join("project"), store.root());
    let runtime = Runtime::start(runtime, Arc::new(store));
    let config = ApiConfig {
        keys: vec![SecretString::from(KEY)],
        ..ApiConfig::default()
    };
    let api = Api::new(runtime, config).unwrap();
    let server = HttpServer::new(move || {
        let app = App::new()
            .route("/hosts/own", web::get().to(|| async { "host" }))
            .default_service(web::to(|| async {
                HttpResponse::NotFound().body("host's 404")
            }));
        if prefix.is_empty() {
            app.configure(|cfg| api.configure(cfg))
        } else {
            app.service(web::scope(prefix).configure(|cfg| api.configure(cfg)))
        }
    })
    .workers(4)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    (address.to_string(), folder)
}

/// Over a connection of its own, so that the workers take turns.
async fn ask(method: Method, url: String, body: Value) -> (StatusCode, Value) {
    let request = Client::new().request(method, url).bearer_auth(KEY);
    let answer = request.json(&body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[actix_web::test]
async fn all_workers_serve_the_same_conversations_below_any_prefix() {
    for prefix in ["", "/agents", "/a/b"] {
        let (address, _folder) = host(prefix).await;
        let base = format!("http://{address}{prefix}");
        let mut ids = Vec::new();
        for _ in 0..8 {
            let made = ask(Method::POST, format!("{base}/conversations"), json!({}));
            let (status, made) = made.await;
            assert_eq!(status, 201, "{prefix}");
            ids.push(made["id"].as_str().unwrap().to_owned());
        }
        for id in &ids {
            for at in ["/conversations", "/api/conversations"] {
                let url = format!("{base}{at}/{id}");
                assert_eq!(ask(Method::GET, url, Value::Null).await.0, 200, "{prefix}");
            }
        }

        // The key is asked for below the prefix, and sockets may still bring it later.
        let unknown = Client::new().get(format!("{base}/conversations/a/b/c"));
        assert_eq!(unknown.send().await.unwrap().status(), 401, "{prefix}");
        for path in [
            format!("/conversations/{}/events/socket", ids[0]),
            format!("/sockets/events/{}", ids[0]),
        ] {
            let (mut socket, _) = connect_async(format!("ws://{address}{prefix}{path}"))
                .await
                .unwrap();
            let auth = json!({"type": "auth", "session_api_key": KEY}).to_string();
            socket.send(Message::text(auth)).await.unwrap();
            let first = timeout(HANG_GUARD, socket.next()).await.unwrap();
            let first = first.unwrap().unwrap().into_text().unwrap();
            assert!(first.contains("full_state"), "{prefix}{path}: {first}");
        }

        let text = async |url: String| {
            let answer = Client::new().get(url).send().await.unwrap();
            answer.text().await.unwrap()
        };
        assert_eq!(text(format!("http://{address}/hosts/own")).await, "host");
        assert_eq!(text(format!("http://{address}/none")).await, "host's 404");
        let info: Value = serde_json::from_str(&text(format!("{base}/server_info")).await).unwrap();
        assert_eq!(info["docs"], format!("{prefix}/docs"));
    }
}

/// The example, which `cargo test` builds beside this test's own folder, checks itself.
#[test]
fn the_example_runs() {
    let test = env::current_exe().unwrap();
    let example = test.parent().unwrap().with_file_name("examples");
    let output = Command::new(example.join("embed"))
        .arg("--check")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("all is as it should be"));
}
