//! The model call that writes a summary.

use std::{
    collections::BTreeSet,
    ops::ControlFlow::{self, Break, Continue},
};

use core_model::{Content, EventId, LlmSettings};
use llm_client::{ModelError, ModelMessage, ModelReply, ModelRequest};

use super::{plan::Forgettable, settings::CondenserSettings};
use crate::{
    command::SpentCall,
    turn::{
        context::{ContextMessage, clip},
        outcome::Outcome,
        state::Turn,
    },
};

const PROMPT: &str = include_str!("summary.md");
const USAGE_ID: &str = "condenser";
/// A summary needs the start of what a tool said, not all of it; in characters.
const LONGEST_TEXT: usize = 10_000;
/// How much of a user's message is quoted where no model writes a summary; in characters.
const LONGEST_QUOTE: usize = 2_000;
const NO_SUMMARY: &str = "No summary could be written. These are the user's messages in that part; what \
     was done since then has to be found out from the workspace.";

/// What stands in for forgotten events.
pub(super) struct Summary {
    text: String,
    /// Of the call that wrote it; empty when no model did.
    response_id: String,
}

impl Summary {
    /// What the user said, word for word: all that is left when no model can write a summary of a
    /// conversation that no longer fits.
    pub(super) fn without_model(turn: &Turn, forgotten: &Forgettable) -> Self {
        let shown = shown(turn, forgotten);
        let said = shown
            .iter()
            .filter(|shown| matches!(shown.message, ModelMessage::User(_)));
        let said: Vec<String> = said
            .map(|shown| described(&shown.message, LONGEST_QUOTE))
            .collect();
        let text = format!("{NO_SUMMARY}\n\n{}", said.join("\n\n"));
        Self {
            text: clip(&text, LONGEST_TEXT),
            response_id: String::new(),
        }
    }

    /// Empty when no model wrote it.
    pub(super) fn response_id(&self) -> &str {
        &self.response_id
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Has the forgotten events summarised by the condenser's own model, or by the agent's when that one
/// fails. Each call is counted, also one whose summary is empty.
pub(super) async fn summarise(
    turn: &mut Turn,
    settings: &CondenserSettings,
    forgotten: &Forgettable,
) -> ControlFlow<Outcome, Result<Summary, ModelError>> {
    let shown = shown(turn, forgotten);
    if let Some(llm) = &settings.llm {
        match summarise_with(turn, settings, &shown, llm.clone()).await? {
            Ok(summary) => return Continue(Ok(summary)),
            Err(error) => {
                let id = &turn.live.id;
                tracing::warn!(conversation.id = %id, %error, "the condenser's own model failed");
            }
        }
    }
    let agents = LlmSettings {
        usage_id: USAGE_ID.to_owned(),
        ..turn.agent.llm.clone()
    };
    summarise_with(turn, settings, &shown, agents).await
}

/// The same by one model, with ever shorter texts while they are too long for it.
async fn summarise_with(
    turn: &mut Turn,
    settings: &CondenserSettings,
    shown: &[ContextMessage],
    llm: LlmSettings,
) -> ControlFlow<Outcome, Result<Summary, ModelError>> {
    // Nobody watches a summary being written.
    let llm = LlmSettings {
        stream: false,
        ..llm
    };
    let model = match (turn.live.runtime.config.connect)(&llm) {
        Ok(model) => model,
        Err(error) => return Continue(Err(error)),
    };
    let mut longest = LONGEST_TEXT;
    let mut tries_left = settings.hard_context_reset_max_retries;
    loop {
        let request = request(settings, shown, longest);
        let answer = tokio::select! {
            biased;
            () = turn.signals.cancel.cancelled() => return Break(Outcome::cancelled()),
            answer = model.reply(&request, &|_| {}) => answer,
        };
        match answer {
            Ok(reply) => {
                count(turn, &llm, &reply).await?;
                let text = reply.text().trim().to_owned();
                if text.is_empty() {
                    let empty = "the summary of the conversation is empty".to_owned();
                    return Continue(Err(ModelError::NoResponse(empty)));
                }
                return Continue(Ok(Summary {
                    text,
                    response_id: reply.id,
                }));
            }
            Err(ModelError::ContextWindow(_)) if tries_left > 0 => {
                tries_left -= 1;
                longest = (longest as f64 * settings.hard_context_reset_context_scaling) as usize;
            }
            Err(error) => return Continue(Err(error)),
        }
    }
}

/// Adds a call to the accounts.
async fn count(turn: &mut Turn, llm: &LlmSettings, reply: &ModelReply) -> ControlFlow<Outcome> {
    turn.spending.paid(reply.cost);
    let call = SpentCall {
        usage_id: llm.usage_id.clone(),
        model: llm.model.clone(),
        reply: reply.clone(),
    };
    turn.propose_after(Some(call), Vec::new()).await
}

fn shown(turn: &Turn, forgotten: &Forgettable) -> Vec<ContextMessage> {
    let events: BTreeSet<&EventId> = forgotten.events.iter().collect();
    turn.context.messages_of(&events)
}

fn request(settings: &CondenserSettings, shown: &[ContextMessage], longest: usize) -> ModelRequest {
    let prompt = settings.prompt.as_deref().unwrap_or(PROMPT).trim();
    let parts: Vec<String> = shown
        .iter()
        .map(|shown| described(&shown.message, longest))
        .collect();
    ModelRequest {
        messages: vec![
            ModelMessage::System(vec![Content::text(prompt)]),
            ModelMessage::User(vec![Content::text(parts.join("\n\n"))]),
        ],
        ..ModelRequest::default()
    }
}

/// A message in words.
fn described(message: &ModelMessage, longest: usize) -> String {
    let text = clip(&message.text(), longest);
    let who = match message {
        ModelMessage::System(_) => "INSTRUCTIONS".to_owned(),
        ModelMessage::User(_) => "USER".to_owned(),
        ModelMessage::Assistant(_) => "AGENT".to_owned(),
        ModelMessage::ToolResult { tool, .. } => format!("RESULT of {tool}"),
    };
    let mut described = format!("{who}: {text}");
    for call in message.calls() {
        let arguments = clip(&call.arguments, longest);
        described.push_str(&format!("\nCALLS {}: {arguments}", call.name));
    }
    described
}
