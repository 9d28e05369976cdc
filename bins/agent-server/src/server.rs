//! A running server: HTTP, actors and store wired together, and stopped in the order of a request.

use std::{
    io,
    net::SocketAddr,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ::webhooks::Webhooks;
use actix_web::App;
use agent_runtime::{BuiltInTools, Runtime, RuntimeConfig};
use http_api::{Api, ApiConfig, HostCheck};
use mcp::{McpSettings, McpTools};
use tokio::{join, task::JoinHandle, time::timeout};
use workspace::{Policy, Processes};

use crate::{
    config::Settings,
    connections::{self, ConnectionLimits, Connections},
    listener::{self, Listener},
    opened_store::OpenedStore,
    secret_key::{self, Origin},
    start_error::StartError,
    webhooks,
};

/// How long a stop waits: for connections that were being accepted to reach a worker, for turns to
/// pause, then for answers under way. Together with the time that the actors need after their deadline,
/// this is less than 8 seconds.
const ACCEPT_GRACE: Duration = Duration::from_millis(250);
const TURNS_TIMEOUT: Duration = Duration::from_secs(4);
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);
/// Meanwhile, webhooks deliver waiting events.
const WEBHOOKS_TIMEOUT: Duration = Duration::from_secs(2);
const STOP_TIMEOUT: Duration = Duration::from_millis(7_500);

/// How long the connection stays open of a client that was closed because it does not read: if it reads
/// again by then, it still gets the reason.
const CLOSE_REASON_GRACE: Duration = Duration::from_secs(60);

/// A server that answers.
pub struct Server {
    address: SocketAddr,
    /// Whether a next server accepts the connections that wait on its socket.
    succeeded: bool,
    connections: Connections,
    runtime: Runtime,
    webhooks: Arc<Webhooks>,
    served: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Opens the store, repairs what a crash left, and serves on `listener`. Call it on the tokio
    /// runtime that is to run the agents. With `resume`, runs that the last stop paused continue. Conversations
    /// start their processes with `processes`; [`tool_processes`] creates one from the settings.
    ///
    /// # Errors
    /// A [`StartError`] that says what to do.
    pub async fn start(
        settings: &Settings,
        listener: Listener,
        resume: bool,
        processes: Processes,
    ) -> Result<Self, StartError> {
        let Listener { socket, inherited } = listener;
        let address = socket.local_addr()?;
        let send_timeout = Duration::from_secs(settings.socket_send_timeout_seconds.get());
        listener::bound_connections(&socket, send_timeout + CLOSE_REASON_GRACE)?;
        let store = OpenedStore::open(settings)?;
        let config = runtime_config(settings, resume, processes, store.folder().to_owned())?;
        let runtime = Runtime::start(config, store.port());
        let webhooks = Arc::new(webhooks::start(settings, &store, &runtime).await?);
        let api = Api::new(runtime.clone(), api_config(settings, address, &webhooks))
            .map_err(|error| StartError::Api(error.to_string()))?;
        let app = move || {
            let api = api.clone();
            App::new().configure(move |service| api.configure_alone(service))
        };
        let limits = ConnectionLimits::of(
            settings.max_connections.map(NonZeroUsize::get),
            settings.max_connections_per_address.map(NonZeroUsize::get),
        );
        tracing::info!(
            "at most {} connections, {} from one address",
            limits.all,
            limits.per_address
        );
        let (server, connections) =
            connections::serve(socket, app, limits, settings.workers.get())?;
        Ok(Self {
            address,
            succeeded: inherited,
            connections,
            runtime,
            webhooks,
            served: tokio::spawn(server),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when the HTTP server does. Without a stop that only happens when it cannot continue.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ended(&mut self) -> io::Result<()> {
        match (&mut self.served).await {
            Ok(outcome) => outcome,
            Err(panicked) => Err(io::Error::other(panicked)),
        }
    }

    /// Accepts no more connections, pauses turns and closes sockets, lets answers under way finish and
    /// webhooks deliver waiting events. What was acknowledged is on disk.
    pub async fn stop(self) {
        let drained = timeout(STOP_TIMEOUT, async {
            self.connections.pause().await;
            // actix answers before its accepting thread has paused, and drops what a worker that
            // was told to stop finds in its queue: without this a swap would reset connections.
            if self.succeeded {
                tokio::time::sleep(ACCEPT_GRACE).await;
            }
            let ended = self.runtime.wind_down(TURNS_TIMEOUT).await;
            let delivered = self.webhooks.drain(WEBHOOKS_TIMEOUT);
            join!(delivered, self.connections.end(ANSWERS_TIMEOUT));
            self.runtime.close(ended).await;
        });
        if drained.await.is_err() {
            tracing::warn!("not everything ended in time; stopping without waiting for the rest");
        }
    }
}

/// How conversations start processes under these settings. They inherit the environment as it is now.
#[must_use]
pub fn tool_processes(settings: &Settings) -> Processes {
    let policy = Policy {
        environment: settings.tool_environment.clone(),
        ..Policy::default()
    };
    Processes::new(&policy, Some(&settings.conversations_path))
}

/// The store must be open: its lock keeps other servers from making another secret key.
fn runtime_config(
    settings: &Settings,
    resume: bool,
    processes: Processes,
    conversations: PathBuf,
) -> Result<RuntimeConfig, StartError> {
    let (secret_key, origin) = secret_key::source(settings)?;
    match origin {
        Origin::Memory => tracing::info!("secrets are sealed with a key that is gone at the end"),
        Origin::Configured => tracing::info!("secrets are sealed with the configured key"),
        Origin::File(path) => {
            tracing::info!("secrets are sealed with the key in {}", path.display());
        }
        Origin::None(path) => {
            tracing::debug!(
                "a key for secrets will be made when it is first needed: {}",
                path.display()
            );
        }
    }
    Ok(RuntimeConfig {
        max_concurrent_runs: settings.max_concurrent_runs.get(),
        mailbox: settings.mailbox_size.get(),
        max_idle_shells: settings.max_idle_shells.get(),
        max_idle_conversations: settings.max_idle_conversations.get(),
        idle_ttl: Duration::from_secs(settings.idle_ttl_seconds.get()),
        idle_jobs_ttl: Duration::from_secs(settings.idle_jobs_ttl_seconds.get()),
        max_foreground_terminal_timeout: Duration::from_secs(
            settings.max_foreground_terminal_timeout_seconds.get(),
        ),
        default_llm: settings.llm.clone(),
        default_workspace: settings.workspace_path.clone(),
        conversations,
        secret_key,
        shared_budgets: settings.budgets.clone(),
        resume_runs: resume,
        connect: Arc::new(llm_client::connect),
        tool_sources: vec![
            Arc::new(BuiltInTools),
            Arc::new(McpTools::new(mcp_settings(settings))),
        ],
        processes,
    })
}

fn mcp_settings(settings: &Settings) -> McpSettings {
    McpSettings {
        start_timeout: Duration::from_secs(settings.mcp_start_timeout_seconds.get()),
        call_timeout: Duration::from_secs(settings.mcp_call_timeout_seconds.get()),
    }
}

fn api_config(settings: &Settings, address: SocketAddr, webhooks: &Arc<Webhooks>) -> ApiConfig {
    // Others may know the server by names that only they have, such as that of a container.
    let check = if listener::is_open_to_others(address.ip()) {
        HostCheck::Browsers
    } else {
        HostCheck::EveryClient
    };
    let mut config = settings.access(check);
    config.webhooks = Some(Arc::clone(webhooks) as _);
    config.ephemeral = settings.ephemeral;
    config.limits.body_bytes = settings.max_body_bytes.get();
    config.limits.metadata_bytes = settings.max_metadata_bytes.get();
    config.limits.frame_bytes = settings
        .max_frame_bytes
        .unwrap_or(settings.max_body_bytes)
        .get();
    config.limits.sockets_per_conversation = settings.max_sockets_per_conversation.get();
    config.limits.unauthenticated_sockets = settings.max_unauthenticated_sockets.get();
    let seconds = |key: NonZeroU64| Duration::from_secs(key.get());
    config.limits.auth_timeout = seconds(settings.socket_auth_timeout_seconds);
    config.limits.ping_interval = seconds(settings.socket_ping_interval_seconds);
    config.limits.idle_timeout = seconds(settings.socket_idle_timeout_seconds);
    config.limits.send_timeout = seconds(settings.socket_send_timeout_seconds);
    config
}
