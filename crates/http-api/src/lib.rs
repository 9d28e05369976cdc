//! The agent server's HTTP and WebSocket interface, as a library that mounts into any actix app.
//!
//! A route is declared once, as an `Operation` beside its handler; the router, the OpenAPI document, the
//! key check, the log line and `docs/COMPATIBILITY.md` read that declaration. What stands above calls what
//! stands below:
//!
//! | module | does |
//! |---|---|
//! | `api` | mounts everything into an app |
//! | `operations`, `routes` | the list of all operations; the router's table |
//! | `docs`, `openapi` | the documentation and the document it shows |
//! | `conversations`, `events`, `sockets`, `webhooks`, `budgets`, `models`, `health` | one folder a resource: declarations, handlers, bodies, queries, examples, tests |
//! | `middleware` | logs each request, checks its key |
//! | `idempotency`, `message`, `follow_query` | what several resources read |
//! | `request`, `reply` | what handlers take and give back |
//! | `state` | what all workers share |
//! | `operation` | the declaration of a route |
//! | `follow` | what sockets and event streams send |
//! | `access` | which hosts, web pages and keys are let in |
//! | `failure`, `validation` | one table of errors; what is wrong with a request |
//! | `describe`, `buf_list`, `key_locks`, `headers`, `config`, `error` | the ground floor |

mod access;
mod api;
mod budgets;
mod buf_list;
mod config;
mod conversations;
mod describe;
mod docs;
mod error;
mod events;
mod failure;
mod follow;
mod follow_query;
mod headers;
mod health;
mod idempotency;
mod key_locks;
mod message;
mod middleware;
mod models;
mod openapi;
mod operation;
mod operations;
mod reply;
mod request;
mod routes;
mod sockets;
mod state;
mod validation;
mod webhooks;

pub use access::check_key;
pub use api::Api;
pub use config::{ApiConfig, CorsConfig, HostCheck, HostConfig, Limits, Surface};
pub use error::ApiError;
pub use headers::ERROR_CODE_HEADER;
