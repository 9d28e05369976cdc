//! Talks to language models: one port, [`Model`], and what stands behind it.
//!
//! | module | holds |
//! |---|---|
//! | `model` | the port: request, reply, deltas |
//! | `message` | what request and reply consist of: messages and blocks |
//! | `error` | [`ModelError`] |
//! | `connect` | settings to a model: which format, which provider |
//! | `adjustments`, `wire_names` | how requests to a model differ from what its format writes; names and ids that providers take |
//! | `capabilities` | what a model takes and wants |
//! | `models` | what is known of chat models: the list `data/models.tsv` |
//! | `prices` | what tokens cost: the lists `data/prices.jsonl` |
//! | `known_models` | what the lists say of a model, for people |
//! | `fallback` | other models that answer in place of one that cannot |
//! | `provider` | which address and name a model's prefix stands for |
//! | `format` | the trait `Format`: what a wire format is |
//! | `answer` | what answers of all formats have in common: errors, JSON in events |
//! | `call_ids` | ids of calls and names of tools as every provider takes them |
//! | `openai_chat` | the format of OpenAI's Chat Completions |
//! | `openai_responses` | the format of OpenAI's Responses, without state at the provider |
//! | `anthropic_messages` | the format of Anthropic's Messages |
//! | `transport` | sends a request in any format and reads the answer: connections, time limits, streams, retries, refused fields, prices |
//! | `text_calls` | calls that a model writes as text |
//! | `verdict` | the form in which a model is asked whether a goal is reached |
//! | `scripted` | the built-in model, which needs no key |

mod adjustments;
mod answer;
mod anthropic_messages;
mod call_ids;
mod capabilities;
mod connect;
mod error;
mod fallback;
mod format;
mod known_models;
mod message;
mod model;
mod models;
mod openai_chat;
mod openai_responses;
mod prices;
mod provider;
mod scripted;
mod text_calls;
mod transport;
mod verdict;
mod wire_names;

pub use connect::{Destination, connect, destination};
pub use error::ModelError;
pub use known_models::{
    KnownModel, KnownPrice, known_model, model_names, models_for_agents, provider_names,
};
pub use message::{AssistantMessage, Block, ModelMessage, Part};
pub use model::{
    Delta, Fallback, Model, ModelLimits, ModelReply, ModelRequest, Notice, StopReason, ToolSpec,
};
pub use verdict::VERDICT_FORM;
