use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use core_model::{Content, LlmSettings};
use llm_client::{
    Delta, Destination, ModelError, ModelMessage, ModelReply, ModelRequest, ToolSpec, connect,
    destination,
};
use serde_json::{Value, json};

/// In seconds.
const TIMEOUT: u64 = 120;
const TOOL: &str = "add";

/// One thing that was tried, and what came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    name: &'static str,
    outcome: Outcome,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Works,
    /// The agent works without it.
    Lacks,
    Fails,
}

impl Step {
    fn new(name: &'static str, outcome: Outcome, text: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            text: text.into(),
        }
    }

    pub(super) fn is_fine(&self) -> bool {
        self.outcome != Outcome::Fails
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.outcome {
            Outcome::Works => "works",
            Outcome::Lacks => "-",
            Outcome::Fails => "FAILS",
        };
        write!(f, "{:<10} {mark:<6} {}", self.name, self.text)
    }
}

/// The configured settings for this model, asked once and streamed.
pub(super) fn settings(configured: LlmSettings, name: &str) -> LlmSettings {
    LlmSettings {
        model: name.to_owned(),
        stream: true,
        num_retries: 0,
        timeout: Some(configured.timeout.unwrap_or(TIMEOUT).min(TIMEOUT)),
        ..configured
    }
}

/// Asks the model once, with one tool, and says step by step what works. Stops at the first thing without which
/// nothing else can.
pub(super) async fn steps(settings: &LlmSettings) -> Vec<Step> {
    let (destination, model) = match (destination(settings), connect(settings)) {
        (Ok(destination), Ok(model)) => (destination, model),
        (Err(error), _) | (_, Err(error)) => return vec![failure(&error)],
    };
    let host = destination.host.as_deref().unwrap_or("built in");
    let place = format!("{host}, format {}", destination.format);
    let pieces = AtomicUsize::new(0);
    let count = |delta: Delta| {
        if delta != Delta::Discarded {
            pieces.fetch_add(1, Ordering::Relaxed);
        }
    };
    match model.reply(&question(), &count).await {
        Err(error) => reached(&error, place, key_accepted(settings, &destination)),
        Ok(reply) => {
            let mut steps = vec![
                Step::new("address", Outcome::Works, place),
                key_accepted(settings, &destination),
            ];
            steps.extend(answered(&reply, pieces.into_inner()));
            steps
        }
    }
}

fn question() -> ModelRequest {
    let text = |text: &str| vec![Content::text(text)];
    ModelRequest {
        tools: vec![ToolSpec {
            name: TOOL.to_owned(),
            description: "Adds two whole numbers.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            }),
        }],
        ..ModelRequest::of(vec![
            ModelMessage::System(text("You are a helpful agent with tools.")),
            ModelMessage::User(text(
                "Say in a few words what you are going to do, then call the tool `add` with 19 and 23.",
            )),
        ])
    }
}

/// The key of settings whose request was taken.
fn key_accepted(settings: &LlmSettings, destination: &Destination) -> Step {
    let given = settings.api_key.as_ref().is_some_and(|key| !key.is_empty());
    let text = match (&destination.host, given) {
        (None, _) => "none is needed",
        (Some(_), true) => "accepted",
        (Some(_), false) => "none was given, and none was asked for",
    };
    Step::new("key", Outcome::Works, text)
}

/// What an error shows to work, and what not.
fn reached(error: &ModelError, place: String, key: Step) -> Vec<Step> {
    let address = Step::new("address", Outcome::Works, place.as_str());
    match error {
        ModelError::Configuration(_) => vec![failure(error)],
        ModelError::Unavailable { .. } | ModelError::Timeout(_) => {
            vec![Step::new(
                "address",
                Outcome::Fails,
                format!("{place}: {error}"),
            )]
        }
        // Whether a provider looks at the key before or after what it refuses, nobody knows.
        ModelError::Authentication(_) | ModelError::BadRequest { .. } => {
            vec![address, failure(error)]
        }
        ModelError::RateLimit { .. }
        | ModelError::Quota(_)
        | ModelError::ContextWindow(_)
        | ModelError::NoResponse(_) => vec![address, key, failure(error)],
    }
}

fn failure(error: &ModelError) -> Step {
    let name = match error {
        ModelError::Configuration(_) => "settings",
        ModelError::Authentication(_) => "key",
        ModelError::Unavailable { .. } | ModelError::Timeout(_) => "address",
        ModelError::RateLimit { .. }
        | ModelError::Quota(_)
        | ModelError::BadRequest { .. }
        | ModelError::ContextWindow(_)
        | ModelError::NoResponse(_) => "reply",
    };
    Step::new(name, Outcome::Fails, error.to_string())
}

fn answered(reply: &ModelReply, pieces: usize) -> Vec<Step> {
    let usage = &reply.usage;
    vec![
        Step::new("reply", Outcome::Works, format!("id {}", reply.id)),
        tool_call(reply),
        match pieces {
            0 => Step::new(
                "streaming",
                Outcome::Lacks,
                "no text came in pieces; a call alone has none",
            ),
            _ => Step::new(
                "streaming",
                Outcome::Works,
                format!("{pieces} pieces of text"),
            ),
        },
        match usage.prompt_tokens + usage.completion_tokens {
            0 => Step::new("usage", Outcome::Lacks, "the provider counts no tokens"),
            _ => Step::new(
                "usage",
                Outcome::Works,
                format!(
                    "{} tokens in ({} from the cache), {} out ({} of reasoning)",
                    usage.prompt_tokens,
                    usage.cache_read_tokens,
                    usage.completion_tokens,
                    usage.reasoning_tokens
                ),
            ),
        },
        match usage.context_window {
            0 => Step::new(
                "window",
                Outcome::Lacks,
                "not known: set `max_input_tokens`",
            ),
            window => Step::new("window", Outcome::Works, format!("{window} tokens")),
        },
        match reply.cost {
            None => Step::new(
                "price",
                Outcome::Lacks,
                "not known: set `input_cost_per_token` and `output_cost_per_token`",
            ),
            Some(cost) => Step::new(
                "price",
                Outcome::Works,
                format!("this call cost ${cost:.6}"),
            ),
        },
    ]
}

fn tool_call(reply: &ModelReply) -> Step {
    let Some(call) = reply.calls().next() else {
        let said = reply.text();
        let said: String = said.chars().take(100).collect();
        let text = format!("it answered with text, {said:?}: try `native_tool_calling: false`");
        return Step::new("tool call", Outcome::Fails, text);
    };
    let arguments: Option<Value> = serde_json::from_str(&call.arguments).ok();
    let right =
        call.name == TOOL && arguments.is_some_and(|it| it["a"].is_i64() && it["b"].is_i64());
    let text = format!("{} {}", call.name, call.arguments);
    let outcome = if right {
        Outcome::Works
    } else {
        Outcome::Fails
    };
    Step::new("tool call", outcome, text)
}
