//! A conversation's title, written by a model beside the conversation, or else made from its first message.

mod text;

use std::time::Duration;

use core_model::{Content, LlmSettings};
use llm_client::{ModelMessage, ModelRequest};
use tokio::time::timeout;

use crate::{
    command::SpentCall,
    residency::live_conversation::LiveConversation,
    turn::{budget, context::clip, prepare},
};

const ROLE: &str = include_str!("title/role.md");
const PROMPT: &str = include_str!("title/prompt.md");
/// Where a prompt of the client's own has the message and the title's length.
const MESSAGE_PLACE: &str = "{conversation_content}";
const LENGTH_PLACE: &str = "{max_length}";
/// How much of the message the model is shown; in characters.
const SHOWN_MESSAGE: usize = 1_000;
/// How long the model may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// A title that is made without being asked for has at most as many characters.
pub(crate) const AUTOTITLE_CHARS: usize = 50;

/// A title to be made.
#[derive(Debug)]
pub(crate) struct TitleRequest {
    /// What the user said first; not blank.
    pub(crate) message: String,
    pub(crate) max_chars: usize,
    /// The model that writes it; None: the agent's.
    pub(crate) llm: Option<LlmSettings>,
}

/// A title, and the model call that was made for it.
#[derive(Debug)]
pub(crate) struct Title {
    pub(crate) text: String,
    pub(crate) call: Option<Box<SpentCall>>,
}

/// Has a title written. When no model can, or the budget allows no call, the title is the beginning of the
/// message.
pub(crate) async fn write(live: &LiveConversation, request: TitleRequest) -> Title {
    let call = ask(live, &request).await.map(Box::new);
    let written = call.as_ref().map(|call| call.reply.text());
    let text = written.and_then(|reply| text::of_reply(&reply, request.max_chars));
    Title {
        text: text.unwrap_or_else(|| text::of_message(&request.message, request.max_chars)),
        call,
    }
}

/// The model's reply; None when there is none, which costs nobody anything but a better title.
async fn ask(live: &LiveConversation, request: &TitleRequest) -> Option<SpentCall> {
    let now = live.now();
    if let Err(reached) = budget::allow_outside_call(live).await {
        tracing::debug!(conversation.id = %live.id, %reached, "no model writes a title");
        return None;
    }
    if let Some(profile) = &now.metadata.settings.title_llm_profile {
        tracing::warn!(
            conversation.id = %live.id, profile,
            "there are no LLM profiles yet; the agent's model writes the title"
        );
    }
    let failed = |reason: &dyn std::fmt::Display| {
        tracing::warn!(conversation.id = %live.id, %reason, "no model wrote a title");
    };
    let llm = match &request.llm {
        Some(llm) => llm.clone(),
        None => match prepare::agent(live) {
            Ok(agent) => agent.llm,
            Err(error) => {
                failed(&error.detail);
                return None;
            }
        },
    };
    // Nobody watches a title being written.
    let llm = LlmSettings {
        stream: false,
        ..llm
    };
    let connected = (live.runtime.config.connect)(&llm);
    let model = connected.map_err(|error| failed(&error)).ok()?;
    if !model.writes_texts() {
        return None;
    }
    let prompt = now.metadata.settings.title_prompt.as_deref();
    let asked = prompted(prompt, request);
    match timeout(WRITE_TIMEOUT, model.reply(&asked, &|_| {})).await {
        Ok(Ok(reply)) => Some(SpentCall {
            usage_id: llm.usage_id,
            model: llm.model,
            reply,
        }),
        Ok(Err(error)) => {
            failed(&error);
            None
        }
        Err(late) => {
            failed(&late);
            None
        }
    }
}

/// `prompt`: in place of the usual one.
fn prompted(prompt: Option<&str>, request: &TitleRequest) -> ModelRequest {
    let message = clip(&request.message, SHOWN_MESSAGE);
    let own = prompt.map(str::trim).filter(|prompt| !prompt.is_empty());
    let prompt = own.unwrap_or(PROMPT.trim());
    // What the message says is no place of the prompt.
    let mut words = prompt.replace(LENGTH_PLACE, &request.max_chars.to_string());
    if words.contains(MESSAGE_PLACE) {
        words = words.replace(MESSAGE_PLACE, &message);
    } else {
        words.push_str("\n\n");
        words.push_str(&message);
    }
    ModelRequest {
        messages: vec![
            ModelMessage::System(vec![Content::text(ROLE.trim())]),
            ModelMessage::User(vec![Content::text(words)]),
        ],
        ..ModelRequest::default()
    }
}

#[cfg(test)]
mod tests;
