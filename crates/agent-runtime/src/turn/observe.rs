//! Stage 7: what came back is appended and read; whether the turn ends.

use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use agent_tools::resolve;
use core_model::{ConversationState, Draft, EventBody};

use crate::{
    residency::idle::is_busy,
    turn::{
        connections, drafts::environment_message, outcome::Outcome, state::Turn,
        stuck::StuckVerdict,
    },
};

/// The state that the context is true of, once the context has caught up with it.
pub(super) async fn catch_up(turn: &mut Turn) -> ControlFlow<Outcome, Arc<ConversationState>> {
    let now = turn.live.now();
    let log = turn.live.log.as_ref();
    match turn
        .context
        .catch_up(log, now.extent.len, now.state.head_moved)
        .await
    {
        Ok(news) => {
            for event in &news {
                turn.stuck.take(event);
            }
            Continue(now.state)
        }
        Err(error) => Break(Outcome::internal(format!(
            "the conversation's log could not be read: {error}"
        ))),
    }
}

/// Has the answer to an action appended. The turn ends after a tool that ends it.
pub(super) async fn record(turn: &Turn, answer: Draft) -> ControlFlow<Outcome> {
    let ends_turn = matches!(
        &answer.body,
        EventBody::ObservationEvent(seen)
            if !seen.observation.is_error
                && resolve(&turn.tools, &seen.tool_name)
                    .is_some_and(|tool| tool.traits().ends_turn)
    );
    let mut drafts = vec![answer];
    drafts.extend(connections::found(turn));
    turn.propose(drafts).await?;
    if ends_turn {
        Break(turn.finished())
    } else {
        Continue(())
    }
}

/// Ends a turn that repeats itself, after one hint. The state after that hint.
pub(super) async fn check_progress(
    turn: &mut Turn,
    state: Arc<ConversationState>,
) -> ControlFlow<Outcome, Arc<ConversationState>> {
    if !turn.live.now().metadata.settings.stuck_detection {
        return Continue(state);
    }
    match turn.stuck.verdict() {
        StuckVerdict::Fine => Continue(state),
        StuckVerdict::Stuck if is_busy(&turn.tools).await && turn.stuck.excuse() => Continue(state),
        StuckVerdict::Stuck => Break(Outcome::Stuck),
        StuckVerdict::Nudge(text) => {
            turn.propose(vec![environment_message(&text)]).await?;
            catch_up(turn).await
        }
    }
}
