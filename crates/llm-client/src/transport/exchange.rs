use std::time::Duration;

use bytes::Bytes;
use core_model::{LlmSettings, masking::SecretMask};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use url::Url;

use super::http::{client, describe, read_up_to, within};
use super::retry::{asked_wait, asked_wait_in};
use super::stream::StreamedReply;
use super::surrogates::without_halves;
use crate::format::{Format, RawReply};
use crate::{Block, Delta, ModelError, Part, model::OnDelta};

/// No sensible reply is longer; what sends more is broken or hostile.
pub(super) const REPLY_LIMIT: usize = 16 * 1024 * 1024;
pub(super) const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// A request of more bytes that is refused without a word was too long.
const SILENTLY_REFUSED: usize = 32 * 1024;
/// How much is quoted of an answer that is not JSON, and how many bytes of it are searched for
/// secrets before.
const QUOTED_CHARS: usize = 200;
const QUOTE_SEARCHED_BYTES: usize = 16 * 1024;

/// One request to a provider, and the reading of its answer.
pub(super) struct Exchange<'a> {
    pub(super) format: &'static dyn Format,
    pub(super) settings: &'a LlmSettings,
    pub(super) endpoint: &'a Url,
    pub(super) headers: &'a HeaderMap,
    pub(super) mask: &'a SecretMask,
}

/// A failed exchange, with the body that says why; its text is whole and holds what it holds.
pub(super) struct Failure {
    pub(super) error: ModelError,
    pub(super) body: String,
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self {
            error,
            body: String::new(),
        }
    }
}

impl Exchange<'_> {
    /// Sends the request and reads the answer. The settings' `timeout` limits the whole of it, or,
    /// when the reply is streamed, the time until the answer begins.
    pub(super) async fn run(
        &self,
        body: Bytes,
        on_delta: OnDelta<'_>,
    ) -> Result<RawReply, Failure> {
        let limit = self.settings.timeout.filter(|seconds| *seconds > 0);
        let limit = limit.map(Duration::from_secs);
        if self.settings.stream {
            let response = within(limit, "no answer began", self.post(body)).await??;
            return Ok(self.read(response, on_delta).await?);
        }
        let whole = async {
            let response = self.post(body).await?;
            Ok::<_, Failure>(self.read(response, on_delta).await?)
        };
        within(limit, "no reply", whole).await?
    }

    async fn post(&self, body: Bytes) -> Result<Response, Failure> {
        let sent = body.len();
        let call = client(self.endpoint)?
            .post(self.endpoint.clone())
            .header(CONTENT_TYPE, "application/json")
            .headers(self.headers.clone())
            .body(body);
        let response = call.send().await.map_err(|error| describe(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let wait = asked_wait(response.headers());
        // The byte too many shows that the text is cut where it is masked.
        let body = read_up_to(response, ERROR_BODY_LIMIT + 1)
            .await
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        let wait = wait.or_else(|| asked_wait_in(&text));
        let error = match serde_json::from_str(&text) {
            Ok(answer) => self.format.read_error(status, &answer, wait),
            // How some say that a prompt is too long.
            Err(_) if text.is_empty() && status == 400 && sent > SILENTLY_REFUSED => {
                ModelError::ContextWindow("HTTP 400, no reason given".to_owned())
            }
            Err(_) if text.is_empty() => ModelError::from_whole(status, "no reason given", wait),
            Err(_) => ModelError::from_whole(status, &text, wait),
        };
        Err(Failure { error, body: text })
    }

    /// Reads the answer in whichever form it came: servers may ignore `stream`.
    async fn read(
        &self,
        response: Response,
        on_delta: OnDelta<'_>,
    ) -> Result<RawReply, ModelError> {
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        if kind.starts_with("text/html") {
            return Err(ModelError::Configuration(
                "a web page answered, not a model: check `base_url`".to_owned(),
            ));
        }
        if kind.starts_with("text/event-stream") {
            self.read_stream(response, on_delta).await
        } else {
            self.read_whole(response, on_delta).await
        }
    }

    async fn read_whole(
        &self,
        response: Response,
        on_delta: OnDelta<'_>,
    ) -> Result<RawReply, ModelError> {
        let body = within(
            self.idle_limit(),
            "no whole answer",
            read_up_to(response, REPLY_LIMIT + 1),
        );
        let body = body.await??;
        if body.len() > REPLY_LIMIT {
            return Err(too_long());
        }
        let text = String::from_utf8_lossy(&body);
        let answer =
            serde_json::from_str(&without_halves(&text)).map_err(|_| self.not_json(&body))?;
        let raw = self.format.read_reply(&answer)?;
        if self.settings.stream {
            raw.blocks.iter().filter_map(whole_piece).for_each(on_delta);
        }
        Ok(raw)
    }

    async fn read_stream(
        &self,
        mut response: Response,
        on_delta: OnDelta<'_>,
    ) -> Result<RawReply, ModelError> {
        let mut reply = StreamedReply::new(self.format.stream_reader());
        let mut length = 0;
        while !reply.is_closed() {
            let next = within(
                self.idle_limit(),
                "no further piece of a reply",
                response.chunk(),
            );
            let bytes = match next.await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => break,
                // All that is missing is the token count.
                Ok(Err(_)) | Err(_) if reply.is_whole() => break,
                Ok(Err(error)) => return Err(describe(&error)),
                Err(timeout) => return Err(timeout),
            };
            length += bytes.len();
            if length > REPLY_LIMIT {
                return Err(too_long());
            }
            reply.push(&bytes, on_delta)?;
        }
        reply.finish(on_delta)
    }

    /// How long a streamed reply may pause.
    fn idle_limit(&self) -> Option<Duration> {
        let limit = self.settings.stream_idle_timeout;
        let limit = limit.filter(|_| self.settings.stream)?;
        let limit = Duration::try_from_secs_f64(limit).ok();
        limit.filter(|limit| !limit.is_zero())
    }

    fn not_json(&self, body: &[u8]) -> ModelError {
        // Masked before it is cut: half a secret cannot be told from other text.
        let start = &body[..body.len().min(QUOTE_SEARCHED_BYTES + 1)];
        let start = String::from_utf8_lossy(start);
        let start = self.mask.mask_up_to(&start, QUOTE_SEARCHED_BYTES);
        let start: String = start.chars().take(QUOTED_CHARS).collect();
        ModelError::NoResponse(format!("the answer is not JSON and starts with {start:?}"))
    }
}

/// A block as one piece of a streamed reply.
fn whole_piece(block: &Block) -> Option<Delta> {
    match &block.part {
        Part::Text(text) => Some(Delta::Text(text.clone())),
        Part::Reasoning(text) if text.is_empty() => None,
        Part::Reasoning(text) => Some(Delta::Reasoning(text.clone())),
        Part::Call(_) => None,
    }
}

fn too_long() -> ModelError {
    ModelError::NoResponse(format!("the answer exceeds {REPLY_LIMIT} bytes"))
}
