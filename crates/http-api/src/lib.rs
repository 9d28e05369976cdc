//! The agent server's HTTP and WebSocket interface, as a piece that mounts into any actix app.
//!
//! A request comes in at the top of this table and goes down:
//!
//! | module | does |
//! |---|---|
//! | `configure` | mounts everything into an app; settings and limits |
//! | `routes` | every URL, in one table that serves and documents |
//! | `access_log`, `cors`, `auth` | logs, refuses foreign pages, asks for the key |
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
mod error;
mod events;
mod extract;
mod form;
mod goodbye;
mod health;
mod idempotency;
mod openapi;
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

pub use configure::{Api, ApiConfig, CorsConfig, Limits, Surface};
pub use error::{ApiError, ERROR_CODE_HEADER};
