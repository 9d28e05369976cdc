use actix_web::{Route, http::Method};
use paperclip::actix::web::ServiceConfig;
use serde_json::Value;

use super::refusal::Refusal;
use crate::config::Surface;

/// One route of the API. Its summary and description are the first line and the rest of its handler's
/// doc comment, its parameters and bodies those that the handler takes and gives back.
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) method: Verb,
    /// Without the prefix of a host. Those that both dialects share are the README's.
    pub(crate) paths: &'static [(Dialect, &'static str)],
    pub(crate) tag: Tag,
    pub(crate) kind: Kind,
    pub(crate) needs_key: bool,
    pub(crate) part: Part,
    /// How it may be refused, besides what its kind, key, parameters and body imply: [`super::refusals`].
    pub(crate) refusals: &'static [&'static Refusal],
    /// The JSON of an answer with this status.
    pub(crate) example: Option<fn(status: &str) -> Value>,
    /// How it differs from the reference's operation, for `docs/COMPATIBILITY.md`.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes the page"))]
    pub(crate) difference: Option<&'static str>,
    pub(crate) handler: Handler,
}

impl Operation {
    pub(crate) const fn get(id: &'static str, tag: Tag, handler: Handler) -> Self {
        Self::new(Verb::Get, id, tag, handler)
    }

    pub(crate) const fn post(id: &'static str, tag: Tag, handler: Handler) -> Self {
        Self::new(Verb::Post, id, tag, handler)
    }

    pub(crate) const fn put(id: &'static str, tag: Tag, handler: Handler) -> Self {
        Self::new(Verb::Put, id, tag, handler)
    }

    pub(crate) const fn patch(id: &'static str, tag: Tag, handler: Handler) -> Self {
        Self::new(Verb::Patch, id, tag, handler)
    }

    pub(crate) const fn delete(id: &'static str, tag: Tag, handler: Handler) -> Self {
        Self::new(Verb::Delete, id, tag, handler)
    }

    const fn new(method: Verb, id: &'static str, tag: Tag, handler: Handler) -> Self {
        Self {
            id,
            method,
            paths: &[],
            tag,
            kind: Kind::Plain,
            needs_key: true,
            part: Part::Api,
            refusals: &[],
            example: None,
            difference: None,
            handler,
        }
    }

    pub(crate) fn is_socket(&self) -> bool {
        matches!(self.kind, Kind::Socket { .. })
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Answers HEAD too.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub(crate) fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }

    /// As a header `Allow` has it.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Which of the two dialects a path belongs to; they differ in defaults, not in handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/conversations`: everything is optional, a message starts a run.
    Readme,
    /// `/api/conversations`: as the public SDK has it.
    OpenHands,
}

/// A group of operations in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Conversations,
    Events,
    Webhooks,
    Models,
    Sockets,
    Server,
}

impl Tag {
    pub(crate) const ALL: [Self; 6] = [
        Self::Conversations,
        Self::Events,
        Self::Webhooks,
        Self::Models,
        Self::Sockets,
        Self::Server,
    ];

    pub(crate) fn name_and_description(self) -> (&'static str, &'static str) {
        match self {
            Self::Conversations => (
                "Conversations",
                "Start, find, control and delete conversations",
            ),
            Self::Events => ("Events", "Send messages, and read what happened"),
            Self::Webhooks => ("Webhooks", "State of webhooks and of their deliveries"),
            Self::Models => ("Models", "Models and providers that are known by name"),
            Self::Sockets => ("Sockets", "Follow what happens over a WebSocket"),
            Self::Server => ("Server", "Health and version of the server"),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// One request, one answer.
    Plain,
    /// An event stream; a key may come in its URL. `content` is that of its answer in the OpenAPI document.
    Stream { content: fn() -> Value },
    /// A file, of this content type.
    Download { content: &'static str },
    /// A WebSocket; a key may come in its URL or in the first frame. `frames` describes what goes over it,
    /// for which OpenAPI has no words.
    Socket { frames: Option<fn() -> Value> },
    /// A page or a file of the documentation; not in the OpenAPI document.
    Document,
}

/// What a host can switch off: see [`Surface`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Api,
    Health,
    Docs,
    Root,
}

impl Part {
    pub(crate) fn is_served(self, surface: Surface) -> bool {
        match self {
            Self::Api => true,
            Self::Health => surface.health,
            Self::Docs => surface.docs,
            Self::Root => surface.root,
        }
    }
}

/// What carries out an operation: [`handler!`].
#[derive(Clone, Copy)]
pub(crate) struct Handler {
    pub(crate) serve: fn(Route) -> Route,
    /// None for documents.
    pub(crate) describe: Option<fn(&mut ServiceConfig<'_>, &str, Method)>,
}

/// A function with `#[api_v2_operation]`; with `undocumented` before it, one of [`Kind::Document`].
macro_rules! handler {
    (undocumented $function:path) => {
        $crate::operation::declaration::Handler {
            serve: |route| route.to($function),
            describe: None,
        }
    };
    ($function:path) => {
        $crate::operation::declaration::Handler {
            serve: |route| route.to($function),
            describe: Some(|config, path, method| {
                config.route(path, paperclip::actix::web::method(method).to($function));
            }),
        }
    };
}

/// A path in both dialects, and more paths of the OpenHands dialect.
macro_rules! both {
    ($path:literal $(, $more:literal)*) => {
        &[
            ($crate::operation::declaration::Dialect::Readme, $path),
            ($crate::operation::declaration::Dialect::OpenHands, concat!("/api", $path)),
            $(($crate::operation::declaration::Dialect::OpenHands, $more),)*
        ]
    };
}

pub(crate) use {both, handler};
