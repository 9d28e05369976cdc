//! Stage 6: carries out the actions that are pending.

use std::ops::ControlFlow::{self, Break, Continue};

use agent_tools::{CallSignals, ToolCall, ToolError, not_found, resolve};
use core_model::{
    Draft, EventBody, Observation, PendingAction, Source,
    event::{ErrorClassification, FailureKind, ObservationEvent, UserAction},
};
use futures_util::{FutureExt, future::BoxFuture};
use telemetry::ToolCallEnded;
use tracing::Instrument;

use crate::turn::{
    drafts::agent_error,
    gate::{Access, OrderedCalls},
    observe,
    outcome::Outcome,
    state::Turn,
};

/// Carries out actions and has their answers appended in the order of the actions. A pause lets those end
/// that run, and ends their waiting, not what they wait for; the others stay pending.
pub(super) async fn execute(turn: &Turn, pending: &[PendingAction]) -> ControlFlow<Outcome> {
    let signals = CallSignals {
        cancel: turn.signals.cancel.clone(),
        ..CallSignals::default()
    };
    let limit = usize::try_from(turn.agent.tool_concurrency_limit).unwrap_or(usize::MAX);
    let calls = pending.iter().map(|action| call(turn, action, &signals));
    let mut calls = OrderedCalls::new(limit, calls);
    let pausing = turn.signals.clone().pausing();
    tokio::pin!(pausing);
    let mut is_paused = false;
    loop {
        let answer = tokio::select! {
            biased;
            () = turn.signals.cancel.cancelled() => None,
            () = &mut pausing, if !is_paused => {
                is_paused = true;
                calls.start_no_more();
                signals.stop_waiting.cancel();
                continue;
            }
            answer = calls.next() => match answer {
                Some(answer) => answer,
                None => return Continue(()),
            },
        };
        let Some(answer) = answer else {
            let unlogged = calls.abandon().await;
            return Break(Outcome::Cancelled {
                unlogged: unlogged.into_iter().flatten().collect(),
            });
        };
        observe::record(turn, answer).await?;
    }
}

/// A call, and whether it may run beside others. Its output is the answer to the action; none when the
/// call was cancelled.
fn call<'a>(
    turn: &'a Turn,
    pending: &'a PendingAction,
    signals: &'a CallSignals,
) -> (Access, BoxFuture<'a, Option<Draft>>) {
    let name = &pending.tool_name;
    let (action, tool) = (
        turn.context.action(&pending.action_id),
        resolve(&turn.tools, name),
    );
    let (Some(action), Some(tool)) = (action, tool) else {
        let error = agent_error(
            name,
            &pending.tool_call_id,
            not_found(&turn.tools, name),
            ErrorClassification::agent_mistake(),
        );
        return (Access::Exclusive, async { Some(error) }.boxed());
    };
    let run = async move {
        let call = ToolCall {
            action,
            workspace: &turn.workspace,
            signals,
        };
        let span = telemetry::tool_call(&turn.live.id, name, &pending.tool_call_id);
        let result = tool.run(call).instrument(span.clone()).await;
        let ended = ToolCallEnded {
            error: error_kind(&result),
        };
        ended.emit(&span);
        match result {
            Ok(observation) => Some(Draft::new(
                Source::Environment,
                EventBody::ObservationEvent(ObservationEvent {
                    tool_name: name.clone(),
                    tool_call_id: pending.tool_call_id.clone(),
                    observation,
                    action_id: pending.action_id.clone(),
                    extended_content: Vec::new(),
                }),
            )),
            Err(ToolError::Cancelled) => None,
            Err(error @ (ToolError::Arguments(_) | ToolError::Failed(_))) => Some(agent_error(
                name,
                &pending.tool_call_id,
                format!("Error executing tool '{name}': {error}"),
                ErrorClassification::new(FailureKind::Internal, false, UserAction::None),
            )),
        }
    };
    let access = if tool.call_traits(action).parallel {
        Access::Shared
    } else {
        Access::Exclusive
    };
    (access, run.boxed())
}

fn error_kind(result: &Result<Observation, ToolError>) -> Option<&'static str> {
    match result {
        Ok(observation) if observation.is_error => Some("tool"),
        Ok(_) => None,
        Err(ToolError::Arguments(_)) => Some("arguments"),
        Err(ToolError::Failed(_)) => Some("execution"),
        Err(ToolError::Cancelled) => Some("cancelled"),
    }
}

#[cfg(test)]
mod tests;
