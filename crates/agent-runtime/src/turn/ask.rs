//! Stage 3: one model call.

use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
    time::Instant,
};

use core_model::{ConversationState, Draft};
use llm_client::{ModelError, ModelReply, ModelRequest, StopReason};
use serde_json::json;
use telemetry::{ModelCallEnded, ModelCallFailed};
use tracing::Span;

use crate::turn::{condense, outcome::Outcome, prompt, reply_pieces::ReplyPieces, state::Turn};

/// The model's reply to the context, and its pieces, which count as void until they are kept. None when
/// the context was too long and is to be condensed first.
pub(super) async fn ask(
    turn: &mut Turn,
    state: &ConversationState,
) -> ControlFlow<Outcome, Option<(ModelReply, ReplyPieces)>> {
    let shown = turn.context.messages();
    let last_event = shown.iter().rev().find_map(|shown| shown.events.last());
    let last_event = last_event.map_or_else(|| "none".to_owned(), |id| id.0.clone());
    let request = ModelRequest {
        messages: shown
            .iter()
            .map(|shown| Arc::clone(&shown.message))
            .collect(),
        tools: prompt::tool_specs(&turn.tools, &state.found_tools),
        cache_key: Some(turn.live.id.to_string()),
    };
    turn.seen.clone_from(&state.last_user_message_id);
    let pieces = ReplyPieces::new(&turn.live);
    let on_delta = |delta| pieces.send(delta);
    let started = Instant::now();
    let reply = tokio::select! {
        biased;
        () = turn.signals.cancel.cancelled() => return Break(Outcome::cancelled()),
        reply = turn.model.reply(&request, &on_delta) => reply,
    };
    match reply {
        Ok(reply) => {
            let ended = ModelCallEnded {
                conversation: &turn.live.id,
                elapsed: started.elapsed(),
                response_id: &reply.id,
                input_tokens: reply.usage.prompt_tokens,
                output_tokens: reply.usage.completion_tokens,
                tool_calls: reply.calls().count(),
                last_event: &last_event,
            };
            ended.emit(&Span::current());
            turn.context.measure(&reply.usage);
            if reply.stop != StopReason::ContextWindow {
                turn.condenser.fits();
            }
            Continue(Some((reply, pieces)))
        }
        Err(error) => {
            emit_failure(turn, &error, &last_event);
            drop(pieces);
            let overflow = matches!(error, ModelError::ContextWindow(_));
            if overflow && condense::after_overflow(turn).await? {
                return Continue(None);
            }
            Break(Outcome::model(&error))
        }
    }
}

fn emit_failure(turn: &Turn, error: &ModelError, last_event: &str) {
    let failed = ModelCallFailed {
        conversation: &turn.live.id,
        code: error.code(),
        last_event,
    };
    failed.emit(&Span::current());
}

/// What the user is told of the model, once for each kind: `{code, detail}`.
pub(super) fn notices(turn: &Turn, reply: &ModelReply) -> Vec<Draft> {
    let notices = reply.notices.iter();
    let new = notices.filter(|notice| turn.live.is_first_notice(notice.code));
    new.map(|notice| {
        tracing::warn!(
            conversation.id = %turn.live.id, code = notice.code, detail = %notice.detail,
            "the model works less well than it could"
        );
        let value = json!({"code": notice.code, "detail": notice.detail});
        Draft::state("model_notice", value)
    })
    .collect()
}
