//! What a person says to the actions that wait for consent.

use std::collections::BTreeSet;

use core_model::{Draft, ExecutionStatus};
use serde_json::json;

use crate::{
    RuntimeError,
    command::Response,
    conversation::{
        decide::{Decider, rejection},
        goal,
    },
};

/// Commands that can be approved for good in one conversation.
const MAX_APPROVED: usize = 200;

impl Decider<'_> {
    /// Answers each action that waits: what is rejected gets its answer now, what is accepted from the run
    /// that starts. Nothing is done unless all of it can be.
    pub(super) fn respond(&mut self, response: Response) -> Result<(), RuntimeError> {
        let Response {
            accept,
            reason,
            named,
            by,
        } = response;
        let pending = self.batch.state().pending.clone();
        let waits = self.status() == ExecutionStatus::WaitingForConfirmation;
        let mut seen = BTreeSet::new();
        for one in &named {
            let is_pending = pending.iter().any(|it| it.action_id == one.action_id);
            if !waits || !is_pending || !seen.insert(&one.action_id) {
                return Err(RuntimeError::NotWaiting(one.action_id.clone()));
            }
        }
        if !waits {
            return Ok(());
        }
        let mut approved = self.batch.state().approved_commands.clone();
        let (mut accepted, mut rejected, mut remembered) = (Vec::new(), Vec::new(), Vec::new());
        for action in pending {
            let own = named.iter().find(|it| it.action_id == action.action_id);
            if !own.map_or(accept, |own| own.accept) {
                let own = own.and_then(|own| own.reason.as_deref());
                rejected.push((action, own.unwrap_or(&reason)));
                continue;
            }
            accepted.push(action.action_id);
            if let Some(command) = own.and_then(|own| own.remember.clone()) {
                remembered.push(command.id.clone());
                approved.push(command);
            }
        }
        if approved.len() > MAX_APPROVED {
            let why = format!("at most {MAX_APPROVED} commands can be approved for good");
            return Err(RuntimeError::Invalid(why));
        }
        let slot = if accepted.is_empty() {
            None
        } else {
            Some(self.slots.take()?)
        };
        let ids: Vec<_> = rejected
            .iter()
            .map(|(action, _)| &action.action_id)
            .collect();
        let decision = json!({
            "by": by, "accepted": accepted, "rejected": ids, "remembered": remembered,
        });
        self.batch.push(Draft::state("confirmation", decision));
        if !remembered.is_empty() {
            self.batch
                .push(Draft::state("approved_commands", json!(approved)));
        }
        if slot.is_none() {
            goal::interrupt(self.batch);
            self.batch.set_status(ExecutionStatus::Idle);
        }
        for (action, reason) in rejected {
            self.batch.push(rejection(action, reason));
        }
        if slot.is_some() {
            let started = self.start_run(None, slot, None);
            self.run.repeats.note_run_answered();
            return started;
        }
        Ok(())
    }
}
