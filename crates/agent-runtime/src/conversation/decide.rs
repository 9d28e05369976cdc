//! What each command means, given the state after all that was decided before it.

use core_model::{
    Content, Delivery, Draft, EventBody, EventId, ExecutionStatus, Message, PendingAction, Role,
    Source,
    event::{MessageEvent, Nothing, RejectionSource, SystemPromptEvent, UserRejectObservation},
    secrets::without_secrets,
    state::RUN_CUT_OFF,
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::{
    Request, RuntimeError,
    command::{Answer, Change, Command, CommandRequest, GoalStart, SpentCall},
    conversation::{
        batch::{AfterCommit, CommitBatch},
        done::Done,
        goal, queue,
        run_control::RunControl,
        unanswered::recovery_drafts,
    },
    run_slot::{RunSlot, RunSlots},
    turn::{outcome::Purpose, running_turn::TurnStart, stats, title::Title},
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
        let command = match self.interrupt_for(command, done) {
            Some(command) => command,
            None => return,
        };
        let Command { request, answer } = command;
        let result = match request {
            CommandRequest::SendMessage {
                content,
                delivery: Delivery::Queue,
                once,
                slot,
                system_prompt,
            } => {
                if done.message || self.is_queued(once) {
                    Ok(())
                } else {
                    self.queue(content, once, slot, system_prompt)
                }
            }
            CommandRequest::SendMessage {
                content,
                delivery,
                once,
                slot,
                system_prompt,
            } => {
                let run = delivery != Delivery::Steer { run: false };
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
                consents,
                system_prompt,
            } => {
                let waits = self.status() == ExecutionStatus::WaitingForConfirmation;
                if done.run || waits && !consents {
                    Ok(())
                } else {
                    self.run(once, system_prompt)
                }
            }
            CommandRequest::StartGoal {
                start,
                system_prompt,
            } => self.start_goal(start, system_prompt),
            CommandRequest::StopGoal => {
                goal::interrupt(self.batch);
                Ok(())
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
            CommandRequest::ChangeQueued { id, content } => queue::change(self.batch, &id, content),
            CommandRequest::Respond(response) => self.respond(*response),
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
            | CommandRequest::StartGoal { .. }
            | CommandRequest::SendMessage {
                delivery: Delivery::Steer { run: true } | Delivery::Queue | Delivery::Interrupt,
                ..
            }
            | CommandRequest::Condense => self.run.is_stopping() || self.run.is_condensing(),
            CommandRequest::Respond(_) => self.run.is_condensing(),
            // They mean the run that waits before them, too.
            CommandRequest::StopGoal | CommandRequest::Pause | CommandRequest::Interrupt => {
                !self.run.deferred.is_empty()
            }
            CommandRequest::SendMessage {
                delivery: Delivery::Steer { run: false },
                ..
            }
            | CommandRequest::ChangeQueued { .. }
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
        // Whoever writes takes over.
        goal::interrupt(self.batch);
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
        let metadata = self.batch.metadata();
        if metadata.settings.autotitle && metadata.title.is_none() {
            let text = message.llm_message.text();
            self.batch.untitled = Some(text).filter(|text| !text.trim().is_empty());
        }
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

    /// Ends the active turn for a message that is to reach the agent at once, which then waits for that end;
    /// gives back any other command.
    fn interrupt_for(&mut self, command: Command, done: Done) -> Option<Command> {
        let interrupts = |request: &CommandRequest| {
            let interrupt = Delivery::Interrupt;
            matches!(request, CommandRequest::SendMessage { delivery, .. } if *delivery == interrupt)
        };
        if done.message || self.run.turn.is_none() || !interrupts(&command.request) {
            return Some(command);
        }
        // Nobody waits for the end but the message.
        let (nobody, _) = oneshot::channel();
        self.run.interrupt(nobody);
        self.run.deferred.push_back(command);
        None
    }

    /// Keeps a message for the next turn; where no turn is active and nobody is asked for consent, that is now.
    fn queue(
        &mut self,
        content: Vec<Content>,
        once: Option<Request>,
        slot: Option<RunSlot>,
        system_prompt: Option<Box<SystemPromptEvent>>,
    ) -> Result<(), RuntimeError> {
        let id = once.map_or_else(EventId::random, |once| once.message());
        let waits = self.status() == ExecutionStatus::WaitingForConfirmation;
        if self.has_run() || waits {
            return queue::add(self.batch, id, content);
        }
        let slot = match slot {
            Some(slot) => slot,
            None => self.slots.take()?,
        };
        queue::add(self.batch, id, content)?;
        self.initialise(system_prompt);
        self.start_next(slot);
        Ok(())
    }

    /// Starts a turn with the message that has waited longest; whether there was one.
    fn start_next(&mut self, slot: RunSlot) -> bool {
        let found = queue::take_up(self.batch);
        if found {
            self.batch.start = Some(TurnStart::work(slot));
        }
        found
    }

    fn is_queued(&self, once: Option<Request>) -> bool {
        let id = once.map(|once| once.message());
        let mut queued = self.batch.state().queued.iter();
        queued.any(|message| Some(&message.id) == id.as_ref())
    }

    /// The first round of a goal. The goal stands in the log before what is said of it to the agent.
    fn start_goal(
        &mut self,
        start: GoalStart,
        system_prompt: Option<Box<SystemPromptEvent>>,
    ) -> Result<(), RuntimeError> {
        let (goal, text) = goal::begin(self.batch.state(), start)?;
        if self.has_run() || goal::is_active(self.batch.state()) {
            return Err(RuntimeError::GoalRunning);
        }
        let slot = self.slots.take()?;
        if self.status() == ExecutionStatus::WaitingForConfirmation {
            reject_pending(self.batch, SUPERSEDED);
        }
        goal::record(&goal, self.batch);
        self.initialise(system_prompt);
        goal::say(&text, self.batch);
        self.start_run(None, Some(slot), None)
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
        let is_over = self.status() == ExecutionStatus::Finished && !self.has_run();
        let started = if is_over && !self.batch.state().queued.is_empty() {
            self.slots
                .take()
                .map(|slot| self.start_next(slot))
                .map(drop)
        } else if is_over {
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
        goal::interrupt(self.batch);
        let head = head.map(|event| event.0);
        self.batch.push(Draft::state("leaf_event_id", json!(head)));
        if self.status() != ExecutionStatus::Idle {
            self.batch.set_status(ExecutionStatus::Idle);
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Policy(policy) => {
                let policy = Draft::state("confirmation_policy", json!(policy));
                self.batch.push(policy);
            }
            Change::Analyzer(settings) => {
                self.batch
                    .push(Draft::state("security_analyzer", json!(settings)));
            }
            Change::ForgetCommand(id) => {
                let mut approved = self.batch.state().approved_commands.clone();
                approved.retain(|command| command.id != id);
                self.batch
                    .push(Draft::state("approved_commands", json!(approved)));
            }
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
            Change::Spent(call) => self.count(&call),
        }
    }

    /// Counts what a title cost, and gives it to the conversation unless that got one meanwhile.
    pub(super) fn give_title(&mut self, title: Title) {
        if let Some(call) = title.call {
            self.count(&call);
        }
        if self.batch.metadata().title.is_none() {
            self.change(Change::Details {
                title: Some(title.text),
                tags: None,
            });
        }
    }

    fn count(&mut self, call: &SpentCall) {
        let stats = stats::after_call(self.batch.state(), call);
        self.batch.push(stats);
    }

    /// Takes a slot and marks the conversation running; the turn starts once that is durable.
    pub(super) fn start_run(
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
        goal::interrupt(self.batch);
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

    pub(super) fn status(&self) -> ExecutionStatus {
        self.batch.state().execution_status
    }
}

pub(super) fn pause(batch: &mut CommitBatch) {
    batch.set_status(ExecutionStatus::Paused);
    batch.push(Draft::new(Source::User, EventBody::PauseEvent(Nothing {})));
}

pub(super) fn reject_pending(batch: &mut CommitBatch, reason: &str) {
    for action in batch.state().pending.clone() {
        batch.push(rejection(action, reason));
    }
}

pub(super) fn rejection(action: PendingAction, reason: &str) -> Draft {
    Draft::new(
        Source::Environment,
        EventBody::UserRejectObservation(UserRejectObservation {
            tool_name: action.tool_name,
            tool_call_id: action.tool_call_id,
            rejection_reason: reason.to_owned(),
            rejection_source: RejectionSource::User,
            action_id: action.action_id,
        }),
    )
}
