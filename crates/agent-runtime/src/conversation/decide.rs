//! What each command means, given the state after all that was decided before it.

use core_model::{
    Content, Draft, EventBody, EventId, ExecutionStatus, Message, Role, Source,
    event::{MessageEvent, Nothing, RejectionSource, SystemPromptEvent, UserRejectObservation},
    secrets::without_secrets,
    state::RUN_CUT_OFF,
};
use serde_json::json;

use crate::{
    Request, RuntimeError,
    command::{Answer, Change, Command, CommandRequest},
    conversation::{
        batch::{AfterCommit, CommitBatch},
        done::Done,
        run_control::RunControl,
        unanswered::recovery_drafts,
    },
    run_slot::{RunSlot, RunSlots},
    turn::{
        outcome::Purpose,
        running_turn::TurnStart,
        stats::{self, Call},
    },
};

pub(super) const SUPERSEDED: &str = "Superseded by a new user message";

/// Decides on commands, one after another.
pub(super) struct Decider<'a> {
    pub(super) run: &'a mut RunControl,
    pub(super) slots: &'a RunSlots,
    pub(super) batch: &'a mut CommitBatch,
}

impl Decider<'_> {
    pub(super) fn decide(&mut self, command: Command, done: Done) {
        if command.request.is_use() {
            self.run.repeats.clear();
            self.recover_lost_run();
        }
        if self.has_to_wait(&command.request) {
            self.run.deferred.push_back(command);
            return;
        }
        let Command { request, answer } = command;
        let result = match request {
            CommandRequest::SendMessage {
                content,
                run,
                once,
                slot,
                system_prompt,
            } => {
                // Only a run gets there, and one that ran after the message has taken it up; to start
                // another might even be taken for consent.
                let taken_up = done.message
                    && matches!(
                        self.status(),
                        ExecutionStatus::Finished
                            | ExecutionStatus::Stuck
                            | ExecutionStatus::WaitingForConfirmation
                    );
                if !done.message {
                    self.message(content, run, once, system_prompt);
                }
                if run && !done.run && !taken_up {
                    self.run_message(once, slot)
                } else {
                    Ok(())
                }
            }
            CommandRequest::Run {
                once,
                system_prompt,
            } => {
                if done.run {
                    Ok(())
                } else {
                    self.run(once, system_prompt)
                }
            }
            CommandRequest::Pause => {
                match &self.run.turn {
                    Some(turn) if turn.is_work() => turn.pause(),
                    Some(_) | None => self.pause_idle(),
                }
                Ok(())
            }
            CommandRequest::Interrupt => {
                if let Some(answer) = self.run.interrupt(answer) {
                    self.pause_idle();
                    self.batch.answers.push((answer, Ok(())));
                }
                return;
            }
            CommandRequest::Respond { accept, reason } => self.respond(accept, &reason),
            CommandRequest::Condense => return self.condense(answer),
            CommandRequest::Navigate(head) => self.navigate(head),
            CommandRequest::Change(change) => {
                self.change(change);
                Ok(())
            }
            CommandRequest::Recover => {
                // The events are in the batch already.
                self.batch.after_commit = Some(AfterCommit::Recovered(answer));
                return;
            }
            CommandRequest::CloseTools => {
                self.batch.after_commit = Some(AfterCommit::CloseTools);
                return;
            }
            CommandRequest::LeaveMemory => {
                self.batch.after_commit = Some(AfterCommit::LeaveMemory);
                return;
            }
            CommandRequest::Stop(reason) => {
                if let Some(answer) = self.run.stop(reason, answer) {
                    self.batch.after_commit = Some(AfterCommit::Stop(reason, answer));
                }
                return;
            }
        };
        self.batch.answers.push((answer, result));
    }

    /// Whether it has to wait until a turn that is being ended is gone.
    fn has_to_wait(&self, request: &CommandRequest) -> bool {
        match request {
            CommandRequest::Run { .. }
            | CommandRequest::SendMessage { run: true, .. }
            | CommandRequest::Condense => self.run.is_stopping() || self.run.is_condensing(),
            CommandRequest::Respond { .. } => self.run.is_condensing(),
            // They mean the run that waits before them, too.
            CommandRequest::Pause | CommandRequest::Interrupt => !self.run.deferred.is_empty(),
            CommandRequest::SendMessage { run: false, .. }
            | CommandRequest::Navigate(_)
            | CommandRequest::Change(_)
            | CommandRequest::Recover
            | CommandRequest::CloseTools
            | CommandRequest::LeaveMemory
            | CommandRequest::Stop(_) => false,
        }
    }

    /// Answers what a run left open that the log says is active and nobody carries out, before anything
    /// is logged after it: a stop of the server or a failed append left it so.
    fn recover_lost_run(&mut self) {
        if !self.has_run() {
            let drafts = recovery_drafts(self.batch.state(), Vec::new());
            if !drafts.is_empty() {
                self.batch.push(Draft::state(RUN_CUT_OFF, true));
            }
            self.batch.extend(drafts);
        }
    }

    fn message(
        &mut self,
        content: Vec<Content>,
        run: bool,
        once: Option<Request>,
        system_prompt: Option<Box<SystemPromptEvent>>,
    ) {
        match self.status() {
            // A client that writes instead of consenting has not consented (`QUIRKS.md` 2).
            ExecutionStatus::WaitingForConfirmation if run => {
                reject_pending(self.batch, SUPERSEDED);
            }
            ExecutionStatus::Finished | ExecutionStatus::Stuck => {
                self.batch.set_status(ExecutionStatus::Idle);
            }
            ExecutionStatus::WaitingForConfirmation
            | ExecutionStatus::Idle
            | ExecutionStatus::Running
            | ExecutionStatus::Paused
            | ExecutionStatus::Error
            | ExecutionStatus::Deleting => {}
        }
        self.initialise(system_prompt);
        let message = MessageEvent::new(Message::new(Role::User, content));
        let mut draft = Draft::new(Source::User, EventBody::MessageEvent(message));
        if let Some(once) = once {
            draft.id = once.message();
        }
        let mut last = Draft::state("last_user_message_id", draft.id.0.clone());
        if let Some(once) = once
            && run
            && self.has_run()
        {
            // The active run takes the message up: then no other event says that it did.
            last.id = once.run();
        }
        self.batch.push(draft);
        self.batch.push(last);
    }

    /// The run that a message asks for.
    fn run_message(
        &mut self,
        once: Option<Request>,
        slot: Option<RunSlot>,
    ) -> Result<(), RuntimeError> {
        match self.start_run(once, slot, None) {
            Err(RuntimeError::RunLimit { limit, .. }) => {
                // Nothing waits for consent any more.
                if self.status() == ExecutionStatus::WaitingForConfirmation {
                    self.batch.set_status(ExecutionStatus::Idle);
                }
                Err(RuntimeError::RunLimit {
                    limit,
                    message_saved: true,
                })
            }
            Ok(()) | Err(RuntimeError::AlreadyRunning) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn run(
        &mut self,
        once: Option<Request>,
        system_prompt: Option<Box<SystemPromptEvent>>,
    ) -> Result<(), RuntimeError> {
        let started = if self.status() == ExecutionStatus::Finished && !self.has_run() {
            // Nothing to do; the client still waits for the end of its run.
            self.batch.announce = true;
            self.run.repeats.plan();
            Ok(())
        } else {
            self.start_run(once, None, system_prompt)
        };
        self.run.repeats.note_run_answered();
        started
    }

    /// Asks for a condensation. A running turn condenses at its next step, and this is answered at once;
    /// otherwise a turn starts that does nothing else, and this is answered at its end.
    fn condense(&mut self, answer: Answer) {
        let slot = if self.has_run() {
            None
        } else {
            match self.slots.take() {
                Ok(slot) => Some(slot),
                Err(error) => {
                    self.batch.answers.push((answer, Err(error)));
                    return;
                }
            }
        };
        let request = EventBody::CondensationRequest(Nothing {});
        self.batch.push(Draft::new(Source::Environment, request));
        match slot {
            Some(slot) => {
                self.batch.start = Some(TurnStart {
                    purpose: Purpose::Condense,
                    slot,
                    answers: vec![(None, answer)],
                });
            }
            None => self.batch.answers.push((answer, Ok(()))),
        }
    }

    /// What follows continues from another event. A conversation that waits for consent, or has ended, is
    /// idle again.
    fn navigate(&mut self, head: Option<EventId>) -> Result<(), RuntimeError> {
        if self.has_run() {
            return Err(RuntimeError::AlreadyRunning);
        }
        let head = head.map(|event| event.0);
        self.batch.push(Draft::state("leaf_event_id", json!(head)));
        if self.status() != ExecutionStatus::Idle {
            self.batch.set_status(ExecutionStatus::Idle);
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Budgets(budgets) => self.batch.push(Draft::state("budgets", json!(budgets))),
            Change::Llm(llm) => {
                let mut agent = self.batch.metadata().agent.clone();
                agent["llm"] = llm;
                let told = without_secrets(&agent);
                self.batch
                    .change_metadata(|metadata| metadata.agent = agent);
                self.batch.push(Draft::state("agent", told));
            }
            Change::Details { title, tags } => {
                if let Some(tags) = tags {
                    self.batch.push(Draft::state("tags", json!(tags)));
                }
                if let Some(title) = title {
                    let told = Draft::state("title", title.clone());
                    self.batch
                        .change_metadata(|metadata| metadata.title = Some(title));
                    self.batch.push(told);
                }
            }
            Change::Spent(call) => {
                let call = Call {
                    usage_id: &call.usage_id,
                    model: &call.model,
                    reply: &call.reply,
                };
                let stats = stats::after_call(self.batch.state(), call);
                self.batch.push(stats);
            }
        }
    }

    /// Accepts or rejects what waits for consent.
    fn respond(&mut self, accept: bool, reason: &str) -> Result<(), RuntimeError> {
        if self.status() != ExecutionStatus::WaitingForConfirmation {
            return Ok(());
        }
        if accept {
            return self.run(None, None);
        }
        self.batch.set_status(ExecutionStatus::Idle);
        reject_pending(self.batch, reason);
        Ok(())
    }

    /// Takes a slot and marks the conversation running; the turn starts once that is durable.
    fn start_run(
        &mut self,
        once: Option<Request>,
        slot: Option<RunSlot>,
        system_prompt: Option<Box<SystemPromptEvent>>,
    ) -> Result<(), RuntimeError> {
        if let Some(turn) = &self.run.turn {
            // A run that was about to pause continues.
            return if turn.unpause() {
                Ok(())
            } else {
                Err(RuntimeError::AlreadyRunning)
            };
        }
        if self.batch.start.is_some() {
            return Err(RuntimeError::AlreadyRunning);
        }
        let slot = match slot {
            Some(slot) => slot,
            None => self.slots.take()?,
        };
        self.initialise(system_prompt);
        let mut running = Draft::state("execution_status", ExecutionStatus::Running.as_str());
        if let Some(once) = once {
            running.id = once.run();
        }
        self.batch.push(running);
        self.batch.start = Some(TurnStart::work(slot));
        Ok(())
    }

    /// Logs the system prompt that the command brought along, unless there is one by now.
    fn initialise(&mut self, system_prompt: Option<Box<SystemPromptEvent>>) {
        if let Some(prompt) = system_prompt.filter(|_| !self.batch.state().initialised) {
            let body = EventBody::SystemPromptEvent(*prompt);
            self.batch.push(Draft::new(Source::Agent, body));
        }
    }

    fn pause_idle(&mut self) {
        if matches!(
            self.status(),
            ExecutionStatus::Idle | ExecutionStatus::Running
        ) {
            pause(self.batch);
        }
        self.batch.announce = true;
    }

    /// Whether a turn is active, or starts with this batch.
    fn has_run(&self) -> bool {
        self.run.turn.is_some() || self.batch.start.is_some()
    }

    fn status(&self) -> ExecutionStatus {
        self.batch.state().execution_status
    }
}

pub(super) fn pause(batch: &mut CommitBatch) {
    batch.set_status(ExecutionStatus::Paused);
    batch.push(Draft::new(Source::User, EventBody::PauseEvent(Nothing {})));
}

pub(super) fn reject_pending(batch: &mut CommitBatch, reason: &str) {
    for action in batch.state().pending.clone() {
        batch.push(Draft::new(
            Source::Environment,
            EventBody::UserRejectObservation(UserRejectObservation {
                tool_name: action.tool_name,
                tool_call_id: action.tool_call_id,
                rejection_reason: reason.to_owned(),
                rejection_source: RejectionSource::User,
                action_id: action.action_id,
            }),
        ));
    }
}
