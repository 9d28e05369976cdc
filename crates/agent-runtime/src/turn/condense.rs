//! Between the stages: the older part of the context is replaced by a summary when it grows too large,
//! when a client asks for it, or when the provider says that it is too long.

mod plan;
pub(crate) mod settings;
mod summary;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow::{self, Continue};

use core_model::{
    ConversationState, Draft, EventBody, Source,
    event::{Condensation, Nothing},
};

use crate::turn::{outcome::Outcome, state::Turn};

use plan::{Forgettable, forgettable};
use settings::CondenserSettings;
use summary::Summary;

/// Overflows in a row after which the error ends the turn: the first replaces half of the context, the
/// second all that can be replaced, the third also shortens what tools said.
const MAX_OVERFLOWS: u32 = 3;
/// What is left of a tool's text after the third overflow, in characters.
const SHORTENED_TOOL_TEXT: usize = 4_000;

/// Why the context is to be condensed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// A client or an overflow asks for it.
    Request,
    /// It would not fit in the model's window.
    Tokens { limit: u64 },
    /// It has more events than the settings want.
    Events,
}

/// What a turn knows of its context's size beside the context itself.
#[derive(Debug, Default)]
pub(super) struct CondenserState {
    /// None: the settings switch it off.
    pub(super) settings: Option<CondenserSettings>,
    /// How often in a row the provider refused the context as too long.
    overflows: u32,
    /// A context of this many events cannot be condensed usefully.
    useless_at: Option<usize>,
}

impl CondenserState {
    pub(super) fn new(settings: Option<CondenserSettings>) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// The provider took the context.
    pub(super) fn fits(&mut self) {
        self.overflows = 0;
    }
}

/// Condenses the context if that is due; whether it did. The next step sees the summary.
pub(super) async fn condense_if_due(
    turn: &mut Turn,
    state: &ConversationState,
) -> ControlFlow<Outcome, bool> {
    let Some(settings) = turn.condenser.settings.clone() else {
        return Continue(false);
    };
    let Some(reason) = due(turn, &settings) else {
        return Continue(false);
    };
    let kept = turn.kept_events(state);
    let units = turn.context.units();
    let mut found = forgettable(&units, &settings, reason, &kept);
    let all = turn.condenser.overflows > 1;
    if all || found.is_too_little(settings.minimum_progress) {
        if reason == Reason::Events {
            turn.condenser.useless_at = Some(turn.context.event_count());
            return Continue(false);
        }
        found = Forgettable::everything(&units, &kept);
    }
    if matches!(reason, Reason::Tokens { .. }) && found.frees_little(settings.minimum_progress) {
        // What has to stay is too long by itself. The provider will say whether it fits.
        return Continue(false);
    }
    if turn.condenser.overflows >= MAX_OVERFLOWS {
        turn.context.shorten_tool_texts(SHORTENED_TOOL_TEXT);
    }
    if found.is_empty() {
        if reason != Reason::Request {
            // The provider will say whether it fits.
            return Continue(false);
        }
        // The request is answered all the same, so that no later turn takes it up again.
        turn.propose(vec![condensation(found, None)]).await?;
        return Continue(true);
    }
    let summary = match summary::summarise(turn, &settings, &found).await? {
        Ok(summary) => summary,
        Err(error) if reason == Reason::Events => {
            // It still fits. The next step with more events tries again.
            tracing::warn!(conversation.id = %turn.live.id, %error, "no summary was written");
            turn.condenser.useless_at = Some(turn.context.event_count());
            return Continue(false);
        }
        Err(error) => {
            tracing::warn!(conversation.id = %turn.live.id, %error, "no summary was written");
            Summary::without_model(turn, &found)
        }
    };
    turn.propose(vec![condensation(found, Some(summary))])
        .await?;
    Continue(true)
}

/// Asks for a condensation because the provider refused the context as too long; false when that was
/// tried often enough, or the settings forbid it.
pub(super) async fn after_overflow(turn: &mut Turn) -> ControlFlow<Outcome, bool> {
    if turn.condenser.settings.is_none() || turn.condenser.overflows >= MAX_OVERFLOWS {
        return Continue(false);
    }
    turn.condenser.overflows += 1;
    let request = EventBody::CondensationRequest(Nothing {});
    turn.propose(vec![Draft::new(Source::Environment, request)])
        .await?;
    Continue(true)
}

fn due(turn: &Turn, settings: &CondenserSettings) -> Option<Reason> {
    if turn.context.is_condensation_requested() {
        return Some(Reason::Request);
    }
    let limit = settings.token_limit(turn.model.limits());
    if let Some(limit) = limit
        && turn.context.estimated_tokens() > limit
    {
        return Some(Reason::Tokens { limit });
    }
    let events = turn.context.event_count();
    let useless = turn
        .condenser
        .useless_at
        .is_some_and(|useless_at| events <= useless_at);
    let too_many = settings.max_size.is_some_and(|most| events > most);
    (too_many && !useless).then_some(Reason::Events)
}

fn condensation(forgotten: Forgettable, summary: Option<Summary>) -> Draft {
    let offset = forgotten.offset as u64;
    let event = Condensation {
        forgotten_event_ids: forgotten.events,
        summary_offset: summary.as_ref().map(|_| offset),
        llm_response_id: summary
            .as_ref()
            .map(|summary| summary.response_id().to_owned())
            .unwrap_or_default(),
        summary: summary.map(Summary::into_text),
    };
    Draft::new(Source::Environment, EventBody::Condensation(event))
}
