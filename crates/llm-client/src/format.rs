use std::sync::Arc;
use std::time::Duration;

use core_model::{LlmSettings, usage::TokenUsage};
use serde_json::{Map, Value};

use crate::answer::message_in;
use crate::model::{ModelRequest, OnDelta};
use crate::provider::Route;
use crate::{Block, ModelError, ModelMessage, StopReason};

/// A provider's wire format: how a request of ours becomes one of the provider's, and its answer a
/// reply of ours. It does no I/O; the transport sends, waits, retries and prices.
pub(crate) trait Format: Send + Sync {
    /// What it is called in settings and in stored events: `chat`, `responses` or `messages`.
    fn name(&self) -> &'static str;

    /// The end of the endpoint's path, below the provider's address: `/chat/completions` for one.
    fn path(&self) -> &'static str;

    /// The part of the endpoint's path before [`Self::path`] that says which version of the interface
    /// is meant, where providers' addresses are often given without it: `/v1`, or empty. An address
    /// that ends in a version keeps its own.
    fn version_path(&self) -> &'static str {
        ""
    }

    /// The header that carries an API key: its name in lower case, and its value.
    fn key_header(&self, _route: &Route, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    /// Headers that every request has, their names in lower case.
    fn fixed_headers(&self, _route: &Route) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// The field of the body that holds the conversation: `messages` or `input`.
    fn list_field(&self) -> &'static str;

    /// All other fields of a request's body.
    fn fields(
        &self,
        settings: &LlmSettings,
        route: &Route,
        request: &ModelRequest,
    ) -> Map<String, Value>;

    /// The elements of [`Self::list_field`] for a part of the conversation, in a body with these `fields`.
    /// Where a conversation can be split (see [`ListPart`]), the elements of its parts after each other
    /// are those of the whole. What is done only to the end of a conversation is done
    /// within the last three replies and what follows them.
    fn list(
        &self,
        settings: &LlmSettings,
        route: &Route,
        fields: &Map<String, Value>,
        part: ListPart<'_>,
    ) -> Vec<Value>;

    /// How many of a conversation's images are left out, the oldest first. When it is another number than
    /// before, the whole conversation is written again.
    fn images_left_out(&self, _images: usize) -> usize {
        0
    }

    /// The body of a request.
    fn body(
        &self,
        settings: &LlmSettings,
        route: &Route,
        request: &ModelRequest,
    ) -> Map<String, Value> {
        let mut body = self.fields(settings, route, request);
        // The settings may have given it.
        if !body.contains_key(self.list_field()) {
            let list = self.list(settings, route, &body, ListPart::whole(&request.messages));
            body.insert(self.list_field().to_owned(), Value::Array(list));
        }
        body
    }

    /// Fields of the body that a provider may refuse without the request losing its meaning.
    fn optional_fields(&self) -> &'static [&'static str];

    /// Reads an answer that came in one piece with a status of success.
    ///
    /// # Errors
    /// The provider's own, when the answer is an error all the same; [`ModelError::NoResponse`] when
    /// it is neither that nor a reply.
    fn read_reply(&self, answer: &Value) -> Result<RawReply, ModelError>;

    /// What puts together an answer that is streamed.
    fn stream_reader(&self) -> Box<dyn StreamReader>;

    /// What an answer with a status of failure means. `wait` is what its headers ask for. The text
    /// of the error is whole: it is searched for secrets and cut afterwards.
    fn read_error(&self, status: u16, answer: &Value, wait: Option<Duration>) -> ModelError {
        ModelError::from_whole(status, &message_in(answer), wait)
    }
}

/// A part of a conversation. Parts begin and end between the result of a tool and a reply that calls tools.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListPart<'a> {
    pub(crate) messages: &'a [Arc<ModelMessage>],
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    /// How many images stand before it,
    pub(crate) images_before: usize,
    /// and in the whole conversation.
    pub(crate) images: usize,
}

impl<'a> ListPart<'a> {
    pub(crate) fn whole(messages: &'a [Arc<ModelMessage>]) -> Self {
        let images = messages.iter().map(|message| message.images().count());
        Self {
            messages,
            is_first: true,
            is_last: true,
            images_before: 0,
            images: images.sum(),
        }
    }
}

/// Puts a streamed reply together from its server-sent events.
pub(crate) trait StreamReader: Send {
    /// Takes the data of the next event, and gives `on_delta` what it adds to the reply.
    ///
    /// # Errors
    /// The provider's own, when the event is an error; [`ModelError::NoResponse`] when it cannot be
    /// read.
    fn event(&mut self, data: &str, on_delta: OnDelta<'_>) -> Result<(), ModelError>;

    /// How much of the reply has come.
    fn progress(&self) -> Progress;

    /// The reply, as far as it came.
    fn finish(self: Box<Self>) -> RawReply;
}

/// How much of a streamed reply has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not all of it.
    Partial,
    /// All of the reply, though perhaps not yet the count of its tokens.
    Whole,
    /// The provider said that nothing follows.
    Closed,
}

/// What a provider answered, before it is completed and priced.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RawReply {
    /// Empty when the provider sent none.
    pub(crate) id: String,
    /// Ids, names and arguments of calls may be empty.
    pub(crate) blocks: Vec<Block>,
    pub(crate) stop: StopReason,
    /// The counts alone. `prompt_tokens` include those read from and written to a cache.
    pub(crate) usage: TokenUsage,
    /// What the provider says the call cost, in US dollars.
    pub(crate) stated_cost: Option<f64>,
}
