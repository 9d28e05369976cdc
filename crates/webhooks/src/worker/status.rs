//! What people see of a webhook.

use core_model::port::{WebhookInfo, WebhookState};

use super::{progress::Progress, receiver::Receiver};
use crate::{endpoint::Endpoint, history::History};

/// A webhook with so many requests under way.
pub(super) fn info(
    endpoint: &Endpoint,
    progress: &Progress,
    receiver: &Receiver,
    history: &History,
    in_flight: usize,
) -> WebhookInfo {
    let backlog = &progress.backlog;
    let state = if receiver.is_parked() {
        WebhookState::Parked
    } else if backlog.is_failing() {
        WebhookState::Retrying
    } else if backlog.is_empty() && in_flight == 0 {
        WebhookState::Idle
    } else {
        WebhookState::Delivering
    };
    WebhookInfo {
        name: endpoint.name.clone(),
        id: endpoint.id.clone(),
        url: endpoint.config.shown_url(),
        form: endpoint.config.form(),
        state,
        lag: backlog.lag(),
        in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
        delivered_events: history.delivered_events,
        succeeded: history.succeeded,
        failed: history.failed,
        last_success_at: history.last_success_at,
        last_error: history.last_error.clone(),
        probes: receiver.probes(),
        paused_until: receiver.paused_until(),
        dead_letters: progress.dead_letters().len() as u64,
    }
}
