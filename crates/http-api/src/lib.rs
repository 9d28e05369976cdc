//! The agent server's HTTP and WebSocket interface, as a piece that mounts into any actix app.
//!
//! A request comes in at the top of this table and goes down:
//!
//! | module | does |
//! |---|---|
//! | `configure` | mounts everything into an app; settings and limits |
//! | `routes` | every URL, in one table that serves and documents |
//! | `access_log`, `hosts`, `cors`, `auth` | logs, refuses foreign hosts and pages, asks for the key |
//! | `host_name`, `origin` | hosts and origins, and patterns of them |
//! | `extract`, `query`, `validation` | reads ids, parameters and bodies; says what is wrong with them |
//! | `conversations`, `events`, `socket`, `stream`, `webhooks`, `health`, `docs` | the handlers |
//! | `source`, `telling`, `form`, `outlet`, `goodbye` | what sockets and event streams send: pages, as chunks in the form of the connection, which pulls them, to an end with a reason |
//! | `wire` | bodies of requests and answers |
//! | `reply`, `error` | what goes back: one table of errors |
//! | `openapi` | the document |

mod access_log;
mod auth;
mod configure;
mod conversations;
mod cors;
mod docs;
mod encoding;
mod error;
mod events;
mod extract;
mod form;
mod gathered;
mod goodbye;
mod health;
mod host_name;
mod hosts;
mod idempotency;
mod openapi;
mod origin;
mod outlet;
mod places;
mod query;
mod reply;
mod routes;
mod socket;
mod source;
mod stream;
mod telling;
mod validation;
mod webhooks;
mod wire;

pub use auth::check_key;
pub use configure::{Api, ApiConfig, CorsConfig, HostCheck, HostConfig, Limits, Surface};
pub use error::{ApiError, ERROR_CODE_HEADER};
