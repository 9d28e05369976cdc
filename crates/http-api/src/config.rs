//! The settings of the API, as the host application gives them.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use core_model::port::Deliveries;
use secrecy::SecretString;

/// The settings of the API.
#[derive(Clone, Default)]
pub struct ApiConfig {
    /// Any one of these gives access; without any, everybody has access. One that is empty or only white
    /// space is refused.
    pub keys: Vec<SecretString>,
    /// The same by names: a conversation belongs to the key that created it, and counts for the budget of
    /// its name. These keys cannot change budgets of keys and of the server.
    pub named_keys: BTreeMap<String, SecretString>,
    pub cors: CorsConfig,
    pub hosts: HostConfig,
    pub limits: Limits,
    pub surface: Surface,
    /// Where clients reach the API, for the links in the documentation: empty, or for example `/agents`.
    /// Empty also means: take it from the request, which is right unless a proxy rewrites paths.
    pub prefix: String,
    /// Who delivers events to webhooks, and is asked about them below `/webhooks`. None: there are no
    /// webhooks.
    pub webhooks: Option<Arc<dyn Deliveries>>,
    /// Whether conversations are lost when the server stops. Clients are told.
    pub ephemeral: bool,
}

impl fmt::Debug for ApiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            keys,
            named_keys,
            cors,
            hosts,
            limits,
            surface,
            prefix,
            webhooks,
            ephemeral,
        } = self;
        f.debug_struct("ApiConfig")
            .field("keys", keys)
            .field("named_keys", named_keys)
            .field("cors", cors)
            .field("hosts", hosts)
            .field("limits", limits)
            .field("surface", surface)
            .field("prefix", prefix)
            .field("webhooks", &webhooks.is_some())
            .field("ephemeral", ephemeral)
            .finish()
    }
}

/// Which web pages may use the server besides those of this machine: of `localhost`, names below
/// it, 127.0.0.0/8 and `[::1]`, on any port.
#[derive(Clone, Debug, Default)]
pub struct CorsConfig {
    /// `https://example.com:8443`; `https://*.example.com` for what is below that name;
    /// `tauri://localhost`; `vscode-webview://*` for all of that scheme; `null` for pages that have no
    /// origin; `*` for every page that has one.
    pub origins: Vec<String>,
    /// Matched against the whole origin.
    pub origin_regex: Option<String>,
}

/// Which hosts clients may send requests to. Loopback names, IP addresses and the machine's own name
/// (as it is, and with `.local`) are always allowed: nobody else can have those lead here.
#[derive(Clone, Debug, Default)]
pub struct HostConfig {
    /// `agents.example.com`; `*.example.com` for what is below that name; with a port, only that one.
    pub allowed: Vec<String>,
    pub check: HostCheck,
}

/// Whose requests have to be sent to a host that is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostCheck {
    /// Everybody's. For a loopback address, where no client has another name for the server.
    #[default]
    EveryClient,
    /// Those of browsers, which a web page may have sent. For an address that others reach by names that
    /// only they know, such as that of a container.
    Browsers,
}

/// How much a client may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body; more is a 413.
    pub body_bytes: usize,
    /// Bytes of what is stored with a conversation besides its events, such as its agent's settings; more
    /// is a 422.
    pub metadata_bytes: usize,
    /// How long a request body may stop arriving; longer is a 408.
    pub body_pause: Duration,
    /// Bytes of a message that a client sends over a socket; more is refused with an error frame.
    pub frame_bytes: usize,
    /// Sockets and event streams open on one conversation; more close with 1013, or are a 503.
    pub sockets_per_conversation: usize,
    /// Sockets open in all that have not presented a valid key; more close with 1013.
    pub unauthenticated_sockets: usize,
    /// How long a socket may take to present its key; then it closes with 4001.
    pub auth_timeout: Duration,
    /// How often a socket is pinged, and an event stream sent a comment.
    pub ping_interval: Duration,
    /// How long a client may send nothing over its socket, not even a pong; then it closes with 1011.
    pub idle_timeout: Duration,
    /// How long the client of a socket or an event stream may read nothing of what it is sent; then its
    /// slot is freed, and it finds 1013 when it reads on. What its connection buffers by then
    /// (`h1_write_buffer_size` and the kernel's send buffer) stays until it closes: a host that wants to
    /// limit that sets `TCP_USER_TIMEOUT` on its listener.
    pub send_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 10 * 1024 * 1024,
            metadata_bytes: 1024 * 1024,
            body_pause: Duration::from_secs(30),
            frame_bytes: 10 * 1024 * 1024,
            sockets_per_conversation: 1000,
            unauthenticated_sockets: 256,
            auth_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(30),
        }
    }
}

/// Which of the routes besides the API itself are served. A host with its own can switch ours off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// `/health`, `/alive`, `/ready`, `/server_info`.
    pub health: bool,
    /// `/docs`, `/redoc`, `/openapi.json`.
    pub docs: bool,
    /// `/`.
    pub root: bool,
}

impl Default for Surface {
    fn default() -> Self {
        Self {
            health: true,
            docs: true,
            root: true,
        }
    }
}
