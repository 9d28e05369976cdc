use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    middleware::{Compress, from_fn},
    web::{self, ServiceConfig},
};
use agent_runtime::Runtime;
use core_model::port::Deliveries;
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    access_log::{self, Door},
    auth::Keys,
    cors::{self, Origins},
    docs,
    encoding::Document,
    error::ApiError,
    hosts::Hosts,
    idempotency::InFlight,
    openapi,
    places::SocketCounts,
    routes::{self, Served},
};

/// Prefixes for which the OpenAPI document is kept.
const MOST_PREFIXES: usize = 16;

/// What the API needs to know.
#[derive(Clone, Default)]
pub struct ApiConfig {
    /// Any one of these opens the server; none: it is open to all. One that is empty or only white
    /// space is refused.
    pub keys: Vec<SecretString>,
    pub cors: CorsConfig,
    pub hosts: HostConfig,
    pub limits: Limits,
    pub surface: Surface,
    /// Where clients reach the API, for the links in the documentation: empty, or `/agents` for one.
    /// Empty also means: take it from the request, which is right unless a proxy rewrites paths.
    pub prefix: String,
    /// Who delivers events to webhooks, and is asked about them below `/webhooks`. None: there are no
    /// webhooks.
    pub webhooks: Option<Arc<dyn Deliveries>>,
}

impl fmt::Debug for ApiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            keys,
            cors,
            hosts,
            limits,
            surface,
            prefix,
            webhooks,
        } = self;
        f.debug_struct("ApiConfig")
            .field("keys", keys)
            .field("cors", cors)
            .field("hosts", hosts)
            .field("limits", limits)
            .field("surface", surface)
            .field("prefix", prefix)
            .field("webhooks", &webhooks.is_some())
            .finish()
    }
}

impl ApiConfig {
    /// Whether an API can be made of this.
    ///
    /// # Errors
    /// The first setting that is not well formed.
    pub fn check(&self) -> Result<(), ApiError> {
        let prefix = &self.prefix;
        if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.ends_with('/')) {
            return Err(ApiError::Prefix(prefix.clone()));
        }
        Keys::new(&self.keys)?;
        Origins::new(&self.cors)?;
        Hosts::new(&self.hosts)?;
        Ok(())
    }
}

/// Which web pages may talk to the server besides those of this machine: of `localhost`, names below
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

/// By which hosts clients may call the server. Loopback names, IP addresses and the machine's own name
/// (as it is, and with `.local`) are always right: nobody else can have those lead here.
#[derive(Clone, Debug, Default)]
pub struct HostConfig {
    /// `agents.example.com`; `*.example.com` for what is below that name; with a port, only that one.
    pub allowed: Vec<String>,
    pub check: HostCheck,
}

/// Whose requests have to come by a host that is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostCheck {
    /// Everybody's. Right on a loopback address, where no client has another name for the server.
    #[default]
    EveryClient,
    /// Those of browsers, which a web page may have sent. Right on an address that others reach, by
    /// names that only they know, such as that of a container.
    Browsers,
}

/// How much one client may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body; more is a 413.
    pub body_bytes: usize,
    /// Bytes of what is kept with a conversation beside its events, such as its agent's settings; more
    /// is a 422.
    pub metadata_bytes: usize,
    /// How long a request body may pause on its way; longer is a 408.
    pub body_pause: Duration,
    /// Bytes of a message that comes in over a socket; more is refused with an error frame.
    pub frame_bytes: usize,
    /// Sockets and event streams open on one conversation; more close with 1013, or are a 503.
    pub sockets_per_conversation: usize,
    /// Sockets open in all that have not proven a key; more close with 1013.
    pub unauthenticated_sockets: usize,
    /// How long a socket may take to present its key; then it closes with 4001.
    pub auth_timeout: Duration,
    /// How often a socket is pinged, and an event stream sent a comment.
    pub ping_interval: Duration,
    /// How long a socket may give no sign of life, pongs included; then it closes with 1011.
    pub idle_timeout: Duration,
    /// How long the client of a socket or an event stream may take nothing of what it is sent; then its
    /// place comes free, and it finds 1013 when it reads on. What its connection buffers by then
    /// (`h1_write_buffer_size` and the kernel's send buffer) stays until it closes: a host that wants an
    /// end to that sets `TCP_USER_TIMEOUT` on its listener.
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

/// Which of the routes beside the API itself are there. A host with its own can switch ours off.
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

/// Wraps a scope or resource, innermost first. Compressing costs memory and time: what is open to all
/// comes as it is, or was compressed once.
macro_rules! dressed {
    ($api:expr, $service:expr, Door::Keyed) => {{
        let service = $service
            .wrap(from_fn(access_log::in_pieces))
            .wrap(from_fn(access_log::leave_small_bodies))
            .wrap(Compress::default());
        dressed!($api, service, at Door::Keyed)
    }};
    ($api:expr, $service:expr, Door::Open) => {
        dressed!($api, $service.wrap(from_fn(access_log::in_pieces)), at Door::Open)
    };
    ($api:expr, $service:expr, at $door:expr) => {{
        let shared = &$api.0;
        let (at_edge, at_door, door) = (shared.clone(), shared.clone(), $door);
        $service
            .app_data(web::Data::from(shared.clone()))
            .wrap(from_fn(move |request, next| {
                access_log::door(at_door.clone(), door, request, next)
            }))
            .wrap(cors::middleware(&shared.origins))
            .wrap(from_fn(move |request, next| {
                access_log::edge(at_edge.clone(), request, next)
            }))
    }};
}

/// The API of one runtime. Built once, outside the app factory, and cloned into each worker.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) config: ApiConfig,
    pub(crate) keys: Keys,
    pub(crate) hosts: Hosts,
    pub(crate) origins: Arc<Origins>,
    pub(crate) started: Instant,
    pub(crate) sockets: SocketCounts,
    pub(crate) in_flight: InFlight,
    /// For each prefix.
    documents: Mutex<HashMap<String, Document>>,
}

impl Api {
    /// # Errors
    /// When a setting is not well formed: see [`ApiConfig::check`].
    pub fn new(runtime: Runtime, config: ApiConfig) -> Result<Self, ApiError> {
        config.check()?;
        Ok(Self(Arc::new(Shared {
            keys: Keys::new(&config.keys)?,
            hosts: Hosts::new(&config.hosts)?,
            origins: Arc::new(Origins::new(&config.cors)?),
            runtime,
            config,
            started: Instant::now(),
            sockets: SocketCounts::default(),
            in_flight: InFlight::default(),
            documents: Mutex::default(),
        })))
    }

    /// Mounts every route into an app, or into a `web::scope` of one. Each piece is a service of
    /// its own with its own settings and middleware, so that what the host configured for itself
    /// stays as it is, and paths that are not ours still go to the host.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        for (path, dialect, routes) in routes::scopes() {
            let scope = web::scope(path)
                .app_data(web::Data::new(dialect))
                .default_service(web::to(routes::not_found));
            let scope = routes
                .into_resources()
                .fold(scope, actix_web::Scope::service);
            cfg.service(dressed!(self, scope, Door::Keyed));
        }
        let Surface { health, docs, root } = self.0.config.surface;
        let mut open = Served::default();
        if health {
            routes::health(&mut open);
        }
        if root {
            routes::root(&mut open);
        }
        for resource in open.into_resources() {
            cfg.service(dressed!(self, resource, Door::Open));
        }
        if docs {
            for resource in docs::resources() {
                cfg.service(dressed!(self, resource, Door::Open));
            }
        }
    }

    /// Mounts every route into an app that has no others: what is not ours is answered as an unknown
    /// path below the API is, and logged like it. A host with routes or a default service of its own
    /// takes [`Api::configure`].
    pub fn configure_alone(&self, cfg: &mut ServiceConfig) {
        self.configure(cfg);
        let elsewhere = web::resource(routes::ELSEWHERE).route(web::to(routes::not_found));
        cfg.service(dressed!(self, elsewhere, Door::Open));
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// The OpenAPI 3.1 document, with `servers` as the configured prefix says.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn openapi(&self) -> Result<Value, ApiError> {
        self.0.describe(&self.0.config.prefix)
    }
}

impl Shared {
    /// The document for an API mounted at `prefix`. The first call puts it together.
    pub(crate) fn openapi(&self, prefix: &str) -> Result<Document, ApiError> {
        let documents = || {
            let documents = self.documents.lock();
            documents.unwrap_or_else(PoisonError::into_inner)
        };
        let known = documents().get(prefix).cloned();
        if let Some(document) = known {
            return Ok(document);
        }
        let document = Document::new(self.describe(prefix)?.to_string().into());
        let mut documents = documents();
        // A host may mount it below a path with names of its own.
        if documents.len() < MOST_PREFIXES {
            documents.insert(prefix.to_owned(), document.clone());
        }
        Ok(document)
    }

    fn describe(&self, prefix: &str) -> Result<Value, ApiError> {
        let mut document = openapi::document(self.config.surface)?;
        document["servers"] = openapi::servers(prefix);
        Ok(document)
    }
}
