//! Tools behind connections: what changes about them while a turn runs.

use std::ops::ControlFlow::{self, Break, Continue};

use core_model::Draft;
use futures_util::future::join_all;
use serde_json::json;

use crate::turn::{drafts::environment_message, outcome::Outcome, state::Turn};

/// Before a step: takes up tools that have come or gone, and tells clients and the model of connections that
/// were lost or made.
pub(super) async fn take_up(turn: &mut Turn) -> ControlFlow<Outcome> {
    if turn.opened.connected.is_empty() {
        return Continue(());
    }
    let refreshes = turn
        .opened
        .connected
        .iter()
        .map(|connected| connected.refresh());
    tokio::select! {
        biased;
        () = turn.signals.cancel.cancelled() => return Break(Outcome::cancelled()),
        _ = join_all(refreshes) => {}
    }
    turn.tools = turn.opened.all();
    let told = &turn.live.now().state.mcp_servers;
    let mut drafts = Vec::new();
    for report in turn
        .opened
        .connected
        .iter()
        .filter_map(|connected| connected.report(told))
    {
        drafts.push(Draft::state("mcp_servers", report.servers));
        drafts.extend(report.notice.as_deref().map(environment_message));
    }
    if drafts.is_empty() {
        return Continue(());
    }
    turn.propose(drafts).await
}

/// The tools that a search has found, if these are more than the log says.
pub(super) fn found(turn: &Turn) -> Option<Draft> {
    let connected = turn.opened.connected.iter();
    let found: Vec<String> = connected.flat_map(|connected| connected.found()).collect();
    let is_new = !found.is_empty() && found != turn.live.now().state.found_tools;
    is_new.then(|| Draft::state("found_tools", json!(found)))
}
