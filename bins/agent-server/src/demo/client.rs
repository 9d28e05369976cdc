use std::{net::SocketAddr, path::Path};

use core_model::Event;
use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::{error::DemoError, verdict::Seen};

/// A client of the server's public API, and of nothing else.
pub(super) struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    key: String,
}

/// Events as they happen.
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(super) fn new(address: SocketAddr, key: &str) -> Result<Self, DemoError> {
        let http = reqwest::Client::builder().no_proxy().build();
        Ok(Self {
            http: http.map_err(DemoError::start)?,
            address,
            key: key.to_owned(),
        })
    }

    /// A new conversation's id.
    pub(super) async fn create(&self, workspace: &Path) -> Result<String, DemoError> {
        let body = json!({"workspace": {"working_dir": workspace}});
        let info = self
            .ask(Method::POST, "/conversations", |request| {
                request.json(&body)
            })
            .await?;
        let id = info["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| DemoError::Request {
            request: "POST /conversations".to_owned(),
            reason: "the answer has no id".to_owned(),
        })
    }

    pub(super) async fn listen(&self, id: &str) -> Result<Socket, DemoError> {
        let url = format!(
            "ws://{}/conversations/{id}/events/socket?resend_mode=all",
            self.address
        );
        let wrong = |error: &dyn std::fmt::Display| DemoError::Socket(error.to_string());
        let mut request = url.into_client_request().map_err(|error| wrong(&error))?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.key));
        request
            .headers_mut()
            .insert("authorization", bearer.map_err(|error| wrong(&error))?);
        let (stream, _) = connect_async(request)
            .await
            .map_err(|error| wrong(&error))?;
        Ok(Socket(stream))
    }

    /// Sends a message, which starts a run.
    pub(super) async fn send(&self, id: &str, text: &str) -> Result<(), DemoError> {
        let body = json!({"role": "user", "content": [{"type": "text", "text": text}]});
        let path = format!("/conversations/{id}/events");
        self.ask(Method::POST, &path, |request| request.json(&body))
            .await?;
        Ok(())
    }

    /// How many events REST lists that the socket did not bring.
    pub(super) async fn missing(&self, seen: &Seen) -> Result<usize, DemoError> {
        let path = format!(
            "/conversations/{}/events/search?limit=100",
            seen.conversation()
        );
        let mut missing = 0;
        let mut page_id = None::<String>;
        loop {
            // Event ids need no escaping.
            let page = page_id.map_or_else(String::new, |id| format!("&page_id={id}"));
            let page = self
                .ask(Method::GET, &format!("{path}{page}"), |request| request)
                .await?;
            let ids = page["items"].as_array().into_iter().flatten();
            missing += ids
                .filter(|event| !event["id"].as_str().is_some_and(|id| seen.has(id)))
                .count();
            page_id = page["next_page_id"].as_str().map(str::to_owned);
            if page_id.is_none() {
                return Ok(missing);
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value, DemoError> {
        let failed = |reason: String| DemoError::Request {
            request: format!("{method} {path}"),
            reason,
        };
        let request = self
            .http
            .request(method.clone(), format!("http://{}{path}", self.address))
            .bearer_auth(&self.key);
        let answer = with(request)
            .send()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let body = answer
            .text()
            .await
            .map_err(|error| failed(error.to_string()))?;
        if !status.is_success() {
            return Err(failed(format!("{status} {body}")));
        }
        serde_json::from_str(&body).map_err(|error| failed(error.to_string()))
    }
}

impl Socket {
    /// Closes the socket; it is not an error if the server closed it first.
    pub(super) async fn close(mut self) {
        self.0.close(None).await.ok();
    }

    /// The next event.
    ///
    /// # Cancel safety
    /// Loses no event.
    pub(super) async fn next(&mut self) -> Result<Event, DemoError> {
        loop {
            let frame = self.0.next().await;
            let frame = frame.ok_or_else(|| DemoError::Socket("closed".to_owned()))?;
            match frame.map_err(|error| DemoError::Socket(error.to_string()))? {
                Message::Text(text) => {
                    let event = Event::from_slice(text.as_bytes());
                    return event.map_err(|error| DemoError::Socket(error.to_string()));
                }
                Message::Close(close) => {
                    let reason = close.map_or_else(String::new, |close| close.to_string());
                    return Err(DemoError::Socket(format!("closed by the server {reason}")));
                }
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}
