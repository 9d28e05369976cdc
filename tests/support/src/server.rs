use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use agent_server::{
    config::Settings,
    server::{Server, tool_processes},
    start_error::StartError,
};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use store_fs::OpenError;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::Socket;

/// Longer than anything a test waits for; only a hang gets there.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The whole server on a free port, over a folder of its own.
pub struct TestServer {
    server: Server,
    folder: TempDir,
    settings: Settings,
    client: Client,
    /// Sent as a bearer key with every request of the helpers below.
    pub key: Option<String>,
}

impl TestServer {
    /// With default settings: no key, the scripted model.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings of the test's own.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&folder);
        change(&mut settings);
        Self::over(folder, settings).await
    }

    /// Why a server with these settings does not start.
    pub async fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&folder);
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let processes = tool_processes(&settings);
        match Server::start(&settings, listener.into(), false, processes).await {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    /// In the folder of an earlier server, with default settings.
    pub async fn start_in(folder: TempDir) -> Self {
        let settings = settings(&folder);
        Self::over(folder, settings).await
    }

    async fn over(folder: TempDir, settings: Settings) -> Self {
        let started = async {
            loop {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let processes = tool_processes(&settings);
                match Server::start(&settings, listener.into(), false, processes).await {
                    // A worker of the server before still drops its share of the store.
                    Err(StartError::Store(OpenError::Locked { .. })) => {
                        sleep(Duration::from_millis(10)).await;
                    }
                    started => return started.unwrap(),
                }
            }
        };
        let server = timeout(TIMEOUT, started)
            .await
            .expect("the folder comes free");
        let key = settings.keys().next().map(str::to_owned);
        let client = Client::builder().timeout(TIMEOUT).build().unwrap();
        Self {
            server,
            folder,
            settings,
            client,
            key,
        }
    }

    /// Stops cleanly and starts again in the same folder.
    pub async fn restart(self) -> Self {
        let Self {
            server,
            folder,
            settings,
            ..
        } = self;
        server.stop().await;
        Self::over(folder, settings).await
    }

    /// Stops cleanly.
    pub async fn stop(self) -> TempDir {
        self.server.stop().await;
        self.folder
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    #[must_use]
    pub fn socket_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.server.address())
    }

    /// The folder of a conversation.
    #[must_use]
    pub fn folder(&self, id: &str) -> PathBuf {
        self.settings.conversations_path.join(id)
    }

    /// The default workspace of its agents.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.settings.workspace_path.clone()
    }

    /// A request of the test's own making, without the key.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn get_with_body(&self, path: &str, body: &str) -> (u16, Value) {
        let request = self
            .request(Method::GET, path)
            .header("content-type", "application/json");
        self.send(request.body(body.to_owned())).await
    }

    /// A new conversation gets a title only if the body says so: a title comes at any time, as an event and
    /// as a request to the model.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let mut body = body.clone();
        if path.ends_with("/conversations")
            && let Some(fields) = body.as_object_mut()
        {
            fields.entry("autotitle").or_insert_with(|| json!(false));
        }
        self.send(self.request(Method::POST, path).json(&body))
            .await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(self.request(Method::DELETE, path)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        answer(request.send().await.unwrap()).await
    }

    /// A conversation that got a message and runs: its id.
    pub async fn create_running(&self, message: &str) -> String {
        let (status, info) = self
            .post("/conversations", &json!({"initial_message": message}))
            .await;
        assert_eq!(status, 201, "{info}");
        info["id"].as_str().unwrap().to_owned()
    }

    /// All events of a conversation, in log order.
    pub async fn events(&self, id: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/conversations/{id}/events/search?limit=100{cursor}");
            let (status, page) = self.get(&path).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_page_id"].as_str() {
                Some(next) => cursor = format!("&page_id={next}"),
                None => return all,
            }
        }
    }

    pub async fn status(&self, id: &str) -> String {
        let (_, info) = self.get(&format!("/conversations/{id}")).await;
        info["execution_status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the conversation has this status.
    pub async fn wait_for(&self, id: &str, status: &str) {
        let reached = async {
            while self.status(id).await != status {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(TIMEOUT, reached).await.is_err() {
            let (now, events) = (self.status(id).await, self.events(id).await);
            panic!(
                "{id} is {now}, not {status}; its last event: {:?}",
                events.last()
            );
        }
    }

    /// Waits until the log holds an event that fits.
    pub async fn wait_for_event(&self, id: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                if let Some(event) = self.events(id).await.into_iter().find(&fits) {
                    return event;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, found)
            .await
            .expect("the event comes before the test gives up")
    }

    /// A socket of the README dialect on a conversation.
    pub async fn follow(&self, id: &str) -> Socket {
        self.follow_with(id, "").await
    }

    /// The same with a query, `?resend_mode=all` for one.
    pub async fn follow_with(&self, id: &str, query: &str) -> Socket {
        let url = self.socket_url(&format!("/conversations/{id}/events/socket{query}"));
        match &self.key {
            Some(key) => Socket::connect(&url, &[("x-session-api-key", key)]).await,
            None => Socket::connect(&url, &[]).await,
        }
    }
}

/// Status and body, null when the body is not JSON.
fn settings(folder: &TempDir) -> Settings {
    Settings {
        conversations_path: folder.path().join("conversations"),
        workspace_path: folder.path().join("project"),
        bash_events_dir: folder.path().join("bash_events"),
        ..Settings::default()
    }
}

pub async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_default();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}
