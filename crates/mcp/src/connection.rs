//! One connection to a server.

use std::{
    error::Error,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use core_model::mcp::{McpServer, McpTransport};
use reqwest::{
    Client,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use rmcp::{
    ServiceExt,
    service::{ClientInitializeError, Peer, RoleClient, RunningService},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use tokio::{task::JoinHandle, time::timeout};
use workspace::{Piped, PipedCommand, Workspace};

use crate::{handler::Handler, server_log::ServerLog};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the farewell of the protocol, and for the last lines of the log.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
const MOST_REDIRECTS: usize = 5;

/// An open connection; dropping it ends the program that was started for it.
pub(crate) struct Connection {
    peer: Peer<RoleClient>,
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    service: RunningService<RoleClient, Handler>,
    process: Option<(Piped, JoinHandle<()>)>,
}

impl Connection {
    /// Starts the server or calls its address, and introduces itself.
    ///
    /// # Errors
    /// In words, perhaps with secrets in them.
    ///
    /// # Cancel safety
    /// What was started ends.
    pub(crate) async fn open(
        server: &McpServer,
        workspace: &Workspace,
        handler: Handler,
    ) -> Result<Self, String> {
        let parts = match &server.transport {
            McpTransport::Stdio {
                command,
                args,
                env,
                cwd,
            } => {
                let command = PipedCommand {
                    program: command,
                    arguments: args,
                    environment: env,
                    folder: cwd.as_deref().map(Path::new),
                };
                by_pipes(command, workspace, handler).await?
            }
            McpTransport::Http { url, headers } => {
                let client = client(url, headers)?;
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
                let transport = StreamableHttpClientTransport::with_client(client, config);
                let service = handler.serve(transport).await;
                Parts {
                    service: service.map_err(|error| in_words(&error))?,
                    process: None,
                }
            }
        };
        Ok(Self {
            peer: parts.service.peer().clone(),
            parts: Mutex::new(Some(parts)),
        })
    }

    pub(crate) fn peer(&self) -> &Peer<RoleClient> {
        &self.peer
    }

    /// Whether the server is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.peer.is_transport_closed()
    }

    /// Ends it, and the server if it was started for it.
    pub(crate) async fn close(&self) {
        let parts = self
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut parts) = parts else { return };
        // By pipes, this closes the server's input.
        parts.service.close_with_timeout(CLOSE_TIMEOUT).await.ok();
        drop(parts.service);
        if let Some((process, log)) = parts.process {
            process.end().await;
            timeout(CLOSE_TIMEOUT, log).await.ok();
        }
    }
}

async fn by_pipes(
    command: PipedCommand<'_>,
    workspace: &Workspace,
    handler: Handler,
) -> Result<Parts, String> {
    let program = command.program.to_owned();
    let started = workspace.piped(command).await;
    let (process, pipes) =
        started.map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let log: ServerLog = handler.log.clone();
    let log = tokio::spawn(log.copy(pipes.errors));
    let served = tokio::select! {
        served = handler.serve((pipes.output, pipes.input)) => served.map_err(|error| in_words(&error)),
        // Some other program may hold its output open.
        ended = process.ended() => Err(match ended {
            Ok(status) => format!("the program ended at once ({status})"),
            Err(error) => error.to_string(),
        }),
    };
    match served {
        Ok(service) => Ok(Parts {
            service,
            process: Some((process, log)),
        }),
        Err(error) => {
            process.end().await;
            timeout(CLOSE_TIMEOUT, log).await.ok();
            Err(error)
        }
    }
}

/// A client that sends the headers with each request, and follows no redirect to another host.
fn client(
    url: &str,
    headers: &std::collections::BTreeMap<String, String>,
) -> Result<Client, String> {
    let mut own = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        own.insert(name, value);
    }
    let policy = redirect::Policy::custom(|attempt| {
        let first = attempt.previous().first().map(reqwest::Url::origin);
        if first.as_ref() != Some(&attempt.url().origin()) {
            attempt.error("the server sends us to another host, which is not followed")
        } else if attempt.previous().len() > MOST_REDIRECTS {
            attempt.error("the server sends us around in circles")
        } else {
            attempt.follow()
        }
    });
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .default_headers(own)
        .redirect(policy);
    let url = reqwest::Url::parse(url).map_err(|error| error.to_string())?;
    // A server on this machine is not behind the proxy that the environment may name.
    let host = url.host_str().unwrap_or_default();
    let is_near = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let builder = if is_near { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| chain(&error))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library may add errors at any time"
)]
fn in_words(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::ConnectionClosed(_) => {
            "the connection ended before the server introduced itself".to_owned()
        }
        error if error.is_authorization_required() => {
            "the server wants other credentials (HTTP 401 or 403)".to_owned()
        }
        ClientInitializeError::TransportError { error, .. } => chain(error.error.as_ref()),
        error => chain(error),
    }
}

/// An error and what caused it.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}
