//! One server of one conversation.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use core_model::{
    masking::SecretMask,
    mcp::{McpServer, McpTransport},
    secrets::{secrets_in_header, secrets_in_url},
};
use rmcp::{
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam,
        ClientRequest, JsonObject, ServerResult,
    },
    service::{PeerRequestOptions, ServiceError},
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use workspace::{ToolFiles, Workspace};

use crate::{
    McpSettings,
    connection::{Connection, chain},
    handler::Handler,
    listed::{self, ListedTool},
    server_log::ServerLog,
};

/// Between the second try and the third, and twice as long after each further one. The second may follow at
/// once.
const FIRST_DELAY: Duration = Duration::from_secs(5);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// A server that ends sooner is not started again at once.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Of what a server wrote, in an error.
const LONGEST_TAIL: usize = 500;

/// A server: started when it is needed, and again when it has ended.
pub(crate) struct Server {
    config: McpServer,
    settings: McpSettings,
    workspace: Workspace,
    log: ServerLog,
    tools_changed: Arc<AtomicBool>,
    /// Held while a connection is made, so that nobody makes a second one.
    link: tokio::sync::Mutex<Link>,
    view: Mutex<View>,
}

#[derive(Default)]
struct Link {
    open: Option<(Arc<Connection>, Instant)>,
    failures: u32,
    retry_at: Option<Instant>,
}

/// What is told of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) status: Status,
    /// Those that it had last.
    pub(crate) tools: Vec<ListedTool>,
    /// Why it is not connected; without secrets.
    pub(crate) error: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// It was not needed yet.
    #[default]
    Waiting,
    Connected,
    Failed,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connected => "connected",
            Self::Failed => "failed",
        }
    }
}

/// Why a call gave no result.
#[derive(Debug)]
pub(crate) enum CallError {
    Cancelled,
    /// For the model; without secrets.
    Failed(String),
}

impl Server {
    pub(crate) fn new(
        config: McpServer,
        settings: McpSettings,
        workspace: Workspace,
        files: ToolFiles,
    ) -> Self {
        let log = ServerLog::new(files, &config.name, SecretMask::new(secrets(&config)));
        Self {
            config,
            settings,
            workspace,
            log,
            tools_changed: Arc::default(),
            link: tokio::sync::Mutex::default(),
            view: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn view(&self) -> View {
        self.lock_view().clone()
    }

    /// Connects unless it is connected, or failed so lately that another try is not due. What came of it is
    /// in [`Self::view`].
    ///
    /// # Cancel safety
    /// What was started ends.
    pub(crate) async fn connect(&self) {
        self.connection().await.ok();
    }

    /// Lists the tools again if the server said that they have changed.
    pub(crate) async fn refresh(&self) {
        if !self.tools_changed.load(Ordering::Acquire) {
            return;
        }
        let link = self.link.lock().await;
        let Some((open, _)) = link.open.as_ref().filter(|(open, _)| !open.is_closed()) else {
            return;
        };
        self.tools_changed.store(false, Ordering::Release);
        let listed = timeout(self.settings.start_timeout, listed::list(open.peer())).await;
        match listed {
            Ok(Ok(tools)) => self.lock_view().tools = tools,
            Ok(Err(error)) => self.log.note(&format!("its new tools: {error}")).await,
            Err(_) => self.log.note("it does not list its new tools").await,
        }
    }

    /// Calls one of its tools. Reports of progress make the time limit start anew, for a while.
    ///
    /// # Errors
    /// [`CallError::Cancelled`] once `cancel` fires; the server is told.
    pub(crate) async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        cancel: &CancellationToken,
    ) -> Result<CallToolResult, CallError> {
        let connection = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(CallError::Cancelled),
            connection = self.connection() => connection,
        };
        let connection = connection.map_err(CallError::Failed)?;
        let limit = self.config.timeout.unwrap_or(self.settings.call_timeout);
        let options = PeerRequestOptions::with_timeout(limit)
            .reset_timeout_on_progress()
            .with_max_total_timeout(limit.saturating_mul(McpSettings::LONGEST_CALL));
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let peer = connection.peer();
        let sent = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(CallError::Cancelled),
            sent = peer.send_cancellable_request(request, options) => sent,
        };
        let handle = sent.map_err(|error| self.call_error(&error))?;
        let id = handle.id.clone();
        let answer = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                let reason = Some("the user interrupted it".to_owned());
                let params = CancelledNotificationParam::new(Some(id), reason);
                timeout(FIRST_DELAY, peer.notify_cancelled(params)).await.ok();
                return Err(CallError::Cancelled);
            }
            answer = handle.await_response() => answer,
        };
        match answer {
            Ok(ServerResult::CallToolResult(result)) => Ok(result),
            Ok(_) => Err(CallError::Failed(format!(
                "The MCP server `{}` answered something else than a result.",
                self.name()
            ))),
            Err(error) => Err(self.call_error(&error)),
        }
    }

    /// Ends it. It can be connected again.
    pub(crate) async fn close(&self) {
        let open = {
            let mut link = self.link.lock().await;
            self.lock_view().status = Status::Waiting;
            link.failures = 0;
            link.retry_at = None;
            link.open.take()
        };
        if let Some((open, _)) = open {
            open.close().await;
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, String> {
        let mut link = self.link.lock().await;
        if let Some((open, since)) = link.open.take() {
            if !open.is_closed() {
                link.open = Some((Arc::clone(&open), since));
                return Ok(open);
            }
            open.close().await;
            self.log.note("the server has ended").await;
            if since.elapsed() < STABLE_AFTER {
                link.count_failure();
                self.fail("it ended soon after its start");
            } else {
                link.failures = 0;
            }
        }
        if let Some(at) = link.retry_at.filter(|at| *at > Instant::now()) {
            let seconds = at.saturating_duration_since(Instant::now()).as_secs() + 1;
            let error = self.view().error.unwrap_or_default();
            return Err(format!(
                "The MCP server `{}` is not available: {error}. The next try is possible in {seconds} s.",
                self.name()
            ));
        }
        self.log.begin();
        let limit = self.settings.start_timeout;
        let error = match timeout(limit, self.start()).await {
            Ok(Ok((connection, tools))) => {
                let connection = Arc::new(connection);
                link.retry_at = None;
                link.open = Some((Arc::clone(&connection), Instant::now()));
                *self.lock_view() = View {
                    status: Status::Connected,
                    tools,
                    error: None,
                };
                return Ok(connection);
            }
            Ok(Err(error)) => error,
            Err(_) => format!("it did not answer within {} s", limit.as_secs()),
        };
        link.count_failure();
        let error = self.fail(&error);
        Err(format!(
            "The MCP server `{}` is not available: {error}.",
            self.name()
        ))
    }

    async fn start(&self) -> Result<(Connection, Vec<ListedTool>), String> {
        self.tools_changed.store(false, Ordering::Release);
        let handler = Handler {
            root: format!("file://{}", self.workspace.folder().display()),
            log: self.log.clone(),
            tools_changed: Arc::clone(&self.tools_changed),
        };
        let connection = Connection::open(&self.config, &self.workspace, handler).await?;
        match listed::list(connection.peer()).await {
            Ok(tools) => Ok((connection, tools)),
            Err(error) => {
                connection.close().await;
                Err(error)
            }
        }
    }

    /// Records why it is not connected; the reason with what the server said, without secrets.
    fn fail(&self, error: &str) -> String {
        let mut text = self.log.masked(error.trim_end_matches('.'));
        let tail = self.log.tail();
        if !tail.is_empty() {
            let from = tail.len().saturating_sub(LONGEST_TAIL);
            let tail = &tail[tail.ceil_char_boundary(from)..];
            text = format!("{text}; it wrote: {tail}");
        }
        tracing::warn!(server = self.name(), log = %self.log.file(), "an MCP server is not available");
        let mut view = self.lock_view();
        view.status = Status::Failed;
        view.error = Some(text.clone());
        text
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library may add errors at any time"
    )]
    fn call_error(&self, error: &ServiceError) -> CallError {
        let name = self.name();
        let text = match error {
            ServiceError::McpError(error) => format!(
                "The MCP server `{name}` refused the call: {}",
                error.message
            ),
            ServiceError::Timeout { timeout } => format!(
                "The tool did not answer within {} s; the MCP server `{name}` was told to stop.",
                timeout.as_secs_f64()
            ),
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => format!(
                "The MCP server `{name}` ended during the call. Whether it took effect is unknown. \
                 The next call starts the server again."
            ),
            error if error.is_authorization_required() => {
                format!("The MCP server `{name}` wants other credentials (HTTP 401 or 403).")
            }
            error => format!(
                "The call of the MCP server `{name}` failed: {}",
                chain(error)
            ),
        };
        CallError::Failed(self.log.masked(&text))
    }

    fn lock_view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn count_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let Some(waits) = self.failures.checked_sub(2) else {
            self.retry_at = None;
            return;
        };
        let doubled = 2_u32.saturating_pow(waits);
        let delay = FIRST_DELAY.saturating_mul(doubled).min(LONGEST_DELAY);
        self.retry_at = Instant::now().checked_add(delay);
    }
}

/// What of a server's settings nobody may read.
fn secrets(config: &McpServer) -> Vec<String> {
    match &config.transport {
        McpTransport::Stdio { env, .. } => env.values().cloned().collect(),
        McpTransport::Http { url, headers } => {
            let in_headers = headers.values().flat_map(|value| secrets_in_header(value));
            secrets_in_url(url).into_iter().chain(in_headers).collect()
        }
    }
}

#[cfg(test)]
mod tests;
