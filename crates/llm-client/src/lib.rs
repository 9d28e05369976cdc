//! Talks to language models: one port, [`Model`], and what stands behind it.
//!
//! | module | holds |
//! |---|---|
//! | `model` | the port: request, reply, deltas |
//! | `connect` | settings to a model |
//! | `provider` | which address and name a model's prefix stands for |
//! | `openai_chat` | the OpenAI Chat Completions wire format |
//! | `sse` | server-sent events out of a stream of bytes |
//! | `retry` | what is worth retrying, and when |
//! | `price` | tokens into money |
//! | `http` | the connections all models share |
//! | `scripted` | the built-in model, which needs no key |
//! | `error` | [`ModelError`] |

mod connect;
mod error;
mod http;
mod model;
mod openai_chat;
mod price;
mod provider;
mod retry;
mod scripted;
mod sse;

pub use connect::connect;
pub use error::ModelError;
pub use model::{Delta, Model, ModelReply, ModelRequest, ToolSpec};
