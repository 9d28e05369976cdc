//! The order of the stages.

use std::{
    convert::Infallible,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use core_model::ConversationState;
use llm_client::StopReason;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use crate::{
    command::SpentCall,
    residency::live_conversation::LiveConversation,
    turn::{
        ask, budget, condense, connections, cut,
        drafts::fallback_notice,
        execute, interpret, judge, observe,
        outcome::{Outcome, Purpose},
        prepare,
        proposal::Proposal,
        state::{Turn, TurnSignals},
    },
};

/// Takes step after step until the agent is done, something stops it, or something fails.
pub(super) async fn run_turn(
    live: Arc<LiveConversation>,
    proposer: mpsc::Sender<Proposal>,
    signals: TurnSignals,
    purpose: Purpose,
) -> Outcome {
    let ended = match purpose {
        Purpose::Work => run_stages(live, proposer, signals).await,
        Purpose::Condense => condense_only(live, proposer, signals).await,
        Purpose::Judge(work) => judge::judge(live, proposer, signals, work).await,
    };
    match ended {
        Break(outcome) => outcome,
        Continue(never) => match never {},
    }
}

async fn condense_only(
    live: Arc<LiveConversation>,
    proposer: mpsc::Sender<Proposal>,
    signals: TurnSignals,
) -> ControlFlow<Outcome, Infallible> {
    let mut turn = prepare::prepare(live, proposer, signals).await?;
    let state = observe::catch_up(&mut turn).await?;
    condense::condense_if_due(&mut turn, &state).await?;
    Break(Outcome::Condensed)
}

async fn run_stages(
    live: Arc<LiveConversation>,
    proposer: mpsc::Sender<Proposal>,
    signals: TurnSignals,
) -> ControlFlow<Outcome, Infallible> {
    let mut turn = prepare::prepare(live, proposer, signals).await?;
    let limit = turn.live.now().metadata.settings.max_iterations;
    let mut iterations = 0;
    let mut span = Span::none();
    loop {
        connections::take_up(&mut turn).await?;
        let state = observe::catch_up(&mut turn).await?;
        if turn.signals.is_pausing() {
            return Break(Outcome::Paused);
        }
        if !state.pending.is_empty() {
            let allowed = budget::allowed_tool_calls(&turn, &state).await?;
            let executed = execute::execute(&turn, &state.pending[..allowed]);
            executed.instrument(span.clone()).await?;
            continue;
        }
        prepare::take_up_changes(&mut turn)?;
        budget::allow_model_call(&turn, &state).await?;
        if iterations >= limit {
            return Break(Outcome::iterations_spent(limit));
        }
        iterations += 1;
        let state = observe::check_progress(&mut turn, state).await?;
        span = telemetry::step(&turn.live.id, &turn.agent.llm.model);
        let condensed = condense::condense_if_due(&mut turn, &state);
        if condensed.instrument(span.clone()).await? {
            continue;
        }
        let taken = step(&mut turn, &state);
        taken.instrument(span.clone()).await?;
    }
}

/// One model call and what it asks for, up to the point where actions are executed.
async fn step(turn: &mut Turn, state: &ConversationState) -> ControlFlow<Outcome> {
    let Some((reply, pieces)) = ask::ask(turn, state).await? else {
        return Continue(());
    };
    let call = Some(SpentCall {
        usage_id: turn.agent.llm.usage_id.clone(),
        model: turn.agent.llm.model.clone(),
        reply: reply.clone(),
    });
    turn.spending.paid(reply.cost);
    let mut drafts = Vec::new();
    drafts.extend(reply.fallback.as_ref().map(fallback_notice));
    drafts.extend(ask::notices(turn, &reply));
    if reply.calls().next().is_none() {
        let said = interpret::message(turn, &reply);
        drafts.extend(said.drafts);
        count_cut(turn, said.is_cut);
        if said.is_cut {
            turn.stuck.ignore_message();
        }
        turn.propose_after(call, drafts).await?;
        pieces.keep();
        let overflow = reply.stop == StopReason::ContextWindow;
        if overflow && condense::after_overflow(turn).await? {
            return Continue(());
        }
        return match said.end {
            Some(outcome) => Break(outcome),
            None => Continue(()),
        };
    }
    turn.judge.take_up(state);
    let group = interpret::tool_calls(turn, &reply, turn.judge.heeds_model());
    let approval = turn.judge.approve(state, &group).await;
    drafts.extend(group.drafts);
    drafts.extend(approval.analysis);
    turn.propose_after(call, drafts).await?;
    pieces.keep();
    if group.is_cut
        && group.actions.is_empty()
        && let Some(outcome) = cut::after_call(&reply, turn.cut_replies)
    {
        return Break(outcome);
    }
    count_cut(turn, group.is_cut);
    if approval.needs_consent {
        return Break(Outcome::Waiting {
            seen: turn.seen.clone(),
        });
    }
    Continue(())
}

fn count_cut(turn: &mut Turn, is_cut: bool) {
    turn.cut_replies = if is_cut { turn.cut_replies + 1 } else { 0 };
}
