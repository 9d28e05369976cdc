//! A web application of one's own with an agent server inside it, below `/agents`.
//!
//! The host has its own state, JSON settings, error handler, default service and routes; the agent
//! server brings its own, and neither notices the other's.
//!
//! - `cargo run -p http-api --example embed` serves until Ctrl-C;
//! - `… -- --check` asks itself a few questions and exits;
//! - `… -- --spec` prints the OpenAPI document.

use std::{sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::ServerHandle,
    error::InternalError,
    http::StatusCode,
    middleware::{ErrorHandlerResponse, ErrorHandlers},
    web::{self, Data, Json, JsonConfig},
};
use agent_runtime::{Runtime, RuntimeConfig};
use anyhow::{Context, ensure};
use core_model::LlmSettings;
use http_api::{Api, ApiConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store_fs::{FsStore, Options};

/// The host's own state.
struct Greeting(&'static str);

#[derive(Deserialize, Serialize)]
struct Note {
    text: String,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // The runtime and its API are made once, outside the app factory; workers get clones.
    let store = FsStore::open(&folder.path().join("conversations"), Options::default())?;
    let llm = LlmSettings {
        model: "scripted".to_owned(),
        ..LlmSettings::default()
    };
    let config = RuntimeConfig::new([7; 32], llm, folder.path().join("project"), store.root());
    let runtime = Runtime::start(config, Arc::new(store));
    let api = Api::new(runtime.clone(), ApiConfig::default())?;
    let mode = std::env::args().nth(1);
    if mode.as_deref() == Some("--spec") {
        println!("{}", serde_json::to_string_pretty(&api.openapi()?)?);
        return Ok(());
    }

    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(Greeting("hello from the host")))
            .app_data(JsonConfig::default().limit(64).error_handler(|error, _| {
                let answer = HttpResponse::ImATeapot().body("the host's own JSON error");
                InternalError::from_response(error, answer).into()
            }))
            .wrap(
                ErrorHandlers::new().handler(StatusCode::INTERNAL_SERVER_ERROR, |response| {
                    Ok(ErrorHandlerResponse::Response(
                        response.map_into_left_body(),
                    ))
                }),
            )
            .route("/hello", web::get().to(hello))
            .route("/notes", web::post().to(note))
            .service(web::scope("/agents").configure(|cfg| api.configure(cfg)))
            .default_service(web::to(|| async {
                HttpResponse::NotFound().body("the host's 404")
            }))
    })
    .workers(4)
    .bind(("127.0.0.1", 0))?;
    let address = server
        .addrs()
        .first()
        .copied()
        .context("nothing is bound")?;
    println!("http://{address}/hello and http://{address}/agents/docs");
    let server = server.run();
    let check = (mode.as_deref() == Some("--check"))
        .then(|| tokio::spawn(check(format!("http://{address}"), server.handle())));
    server.await?;
    runtime.shut_down(Duration::from_secs(5)).await;
    if let Some(check) = check {
        check.await??;
        println!("all is as it should be");
    }
    Ok(())
}

async fn hello(greeting: Data<Greeting>) -> &'static str {
    greeting.0
}

async fn note(note: Json<Note>) -> Json<Note> {
    note
}

/// Asks host and agent server in turn, then stops both.
async fn check(host: String, server: ServerHandle) -> anyhow::Result<()> {
    let result = ask(&host).await;
    server.stop(true).await;
    result
}

async fn ask(host: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let text = async |path: &str| -> anyhow::Result<(u16, String)> {
        let answer = client.get(format!("{host}{path}")).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };
    let post = async |path: &str, body: String| -> anyhow::Result<(u16, String)> {
        let url = format!("{host}{path}");
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };

    // The host is as it was.
    ensure!(text("/hello").await? == (200, "hello from the host".to_owned()));
    ensure!(text("/nowhere").await? == (404, "the host's 404".to_owned()));
    let long = json!({"text": "x".repeat(100)}).to_string();
    ensure!(post("/notes", long.clone()).await? == (418, "the host's own JSON error".to_owned()));

    // The agent server is whole, and the host's JSON limit does not apply to it.
    ensure!(text("/agents/health").await? == (200, r#"{"status":"ok"}"#.to_owned()));
    let (status, body) = text("/agents/conversations/nowhere/at/all").await?;
    ensure!((status, body.as_str()) == (404, r#"{"detail":"Not Found"}"#));
    let (status, body) = post(
        "/agents/conversations",
        json!({"tags": {"a": long}}).to_string(),
    )
    .await?;
    ensure!(status == 201, "{status}: {body}");
    let id = serde_json::from_str::<Value>(&body)?["id"]
        .as_str()
        .context("no id")?
        .to_owned();
    let (status, body) = post(
        &format!("/agents/conversations/{id}/events"),
        r#"{"content":"hi"}"#.to_owned(),
    )
    .await?;
    ensure!(status == 200, "{status}: {body}");
    let (status, body) = text(&format!("/agents/conversations/{id}/events")).await?;
    ensure!(
        status == 200 && body.contains("MessageEvent"),
        "{status}: {body}"
    );
    let (status, _) = post("/agents/conversations", "{bad".to_owned()).await?;
    ensure!(status == 422);

    // Links follow the prefix.
    let (_, document) = text("/agents/openapi.json").await?;
    let document: Value = serde_json::from_str(&document)?;
    ensure!(
        document["servers"][0]["url"] == "/agents",
        "{}",
        document["servers"]
    );
    ensure!(text("/agents/docs").await?.0 == 200);
    ensure!(text("/agents/docs/swagger-ui.css").await?.0 == 200);
    ensure!(text("/docs").await? == (404, "the host's 404".to_owned()));
    Ok(())
}
