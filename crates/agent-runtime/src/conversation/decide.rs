use core_model::{
    Content, Draft, EventBody, EventId, ExecutionStatus, Message, Role, Source,
    event::{MessageEvent, Nothing, RejectionSource, UserRejectObservation},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{
    Request, RuntimeError,
    command::{Command, Done},
    conversation::{
        actor::{Actor, STOP_GRACE},
        batch::{AfterCommit, CommitBatch},
        recover,
    },
    turn::{prompt, running::CancelReason},
};

pub(crate) const SUPERSEDED: &str = "Superseded by a new user message";

/// What each command means, given the state after all that was decided before it.
impl Actor {
    /// What of a command's request is in the log or in this batch. Only what was begun before is looked
    /// for in the log.
    pub(crate) async fn done(
        &self,
        command: &Command,
        batch: &CommitBatch,
    ) -> Result<Done, RuntimeError> {
        let Some(request) = command.request() else {
            return Ok(Done::default());
        };
        Ok(Done {
            message: self.is_there(request.message(), request, batch).await?,
            run: self.is_there(request.run(), request, batch).await?,
        })
    }

    async fn is_there(
        &self,
        id: EventId,
        request: Request,
        batch: &CommitBatch,
    ) -> Result<bool, RuntimeError> {
        let pending = batch.events.iter().any(|event| event.id == id);
        Ok(pending || request.begun && self.live.log.find(&id).await?.is_some())
    }

    pub(crate) fn decide(&mut self, command: Command, done: Done, batch: &mut CommitBatch) {
        if !matches!(command, Command::CloseTools | Command::LeaveMemory) {
            self.end_of_run_repeats.clear();
            self.recover_lost_run(batch);
        }
        match command {
            Command::Run { .. } | Command::SendMessage { run: true, .. } if self.is_stopping() => {
                self.deferred.push_back(command);
            }
            // They mean the run that waits before them, too.
            Command::Pause { .. } | Command::Interrupt { .. } if !self.deferred.is_empty() => {
                self.deferred.push_back(command);
            }
            Command::SendMessage {
                content,
                run,
                request,
                slot,
                answer,
            } => {
                // Only a run gets there, and one that ran after the message has taken it up; to start
                // another might even be taken for consent.
                let taken_up = done.message
                    && matches!(
                        batch.state().execution_status,
                        ExecutionStatus::Finished
                            | ExecutionStatus::Stuck
                            | ExecutionStatus::WaitingForConfirmation
                    );
                if !done.message {
                    self.message(content, run, request, batch);
                }
                let result = match run && !done.run && !taken_up {
                    true => self.run_message(request, slot, batch),
                    false => Ok(()),
                };
                batch.answers.push((answer, result));
            }
            Command::Run { request, answer } => {
                let result = match done.run {
                    true => Ok(()),
                    false => self.run(request, batch),
                };
                batch.answers.push((answer, result));
            }
            Command::Pause { answer } => {
                match &self.turn {
                    Some(turn) => turn.pause(),
                    None => pause_at_rest(batch),
                }
                batch.answers.push((answer, Ok(())));
            }
            Command::Interrupt { answer } => match &mut self.turn {
                Some(turn) => turn.stop(CancelReason::Interrupt, STOP_GRACE, answer),
                None => {
                    pause_at_rest(batch);
                    batch.answers.push((answer, Ok(())));
                }
            },
            Command::Respond {
                accept,
                reason,
                answer,
            } => {
                let waiting =
                    batch.state().execution_status == ExecutionStatus::WaitingForConfirmation;
                let result = match (waiting, accept) {
                    (false, _) => Ok(()),
                    (true, true) => self.run(None, batch),
                    (true, false) => {
                        batch.set_status(ExecutionStatus::Idle);
                        reject_pending(batch, &reason);
                        Ok(())
                    }
                };
                batch.answers.push((answer, result));
            }
            // That is done.
            Command::Recover { answer } => {
                batch.after_commit = Some(AfterCommit::Recovered(answer))
            }
            Command::CloseTools => batch.after_commit = Some(AfterCommit::CloseTools),
            Command::LeaveMemory => batch.after_commit = Some(AfterCommit::LeaveMemory),
            Command::Stop { reason, answer } => match &mut self.turn {
                Some(turn) => turn.stop(CancelReason::ActorStops(reason), STOP_GRACE, answer),
                None => batch.after_commit = Some(AfterCommit::Stop(reason, answer)),
            },
        }
    }

    /// Answers what is open of a run that the log tells of and nobody carries out, before anything is
    /// said after it: a stop of the server or a failed append left it so.
    fn recover_lost_run(&self, batch: &mut CommitBatch) {
        if self.turn.is_none() && batch.start.is_none() {
            for draft in recover::recovery_drafts(batch.state()) {
                batch.push(draft);
            }
        }
    }

    fn message(
        &mut self,
        content: Vec<Content>,
        run: bool,
        request: Option<Request>,
        batch: &mut CommitBatch,
    ) {
        match batch.state().execution_status {
            // Whoever writes instead of consenting has not consented (`QUIRKS.md` 2).
            ExecutionStatus::WaitingForConfirmation if run => reject_pending(batch, SUPERSEDED),
            ExecutionStatus::Finished | ExecutionStatus::Stuck => {
                batch.set_status(ExecutionStatus::Idle);
            }
            ExecutionStatus::WaitingForConfirmation
            | ExecutionStatus::Idle
            | ExecutionStatus::Running
            | ExecutionStatus::Paused
            | ExecutionStatus::Error
            | ExecutionStatus::Deleting => {}
        }
        self.initialise(batch);
        let message = MessageEvent::new(Message::new(Role::User, content));
        let mut draft = Draft::new(Source::User, EventBody::MessageEvent(message));
        if let Some(request) = request {
            draft.id = request.message();
        }
        let mut last = Draft::state("last_user_message_id", draft.id.0.clone());
        if let Some(request) = request
            && run
            && (self.turn.is_some() || batch.start.is_some())
        {
            // The active run takes the message up: then no other event says that it did.
            last.id = request.run();
        }
        batch.push(draft);
        batch.push(last);
    }

    /// The run that a message asks for.
    fn run_message(
        &mut self,
        request: Option<Request>,
        slot: Option<OwnedSemaphorePermit>,
        batch: &mut CommitBatch,
    ) -> Result<(), RuntimeError> {
        match self.start_run(request, batch, slot) {
            Err(RuntimeError::RunLimit { limit, .. }) => {
                // Nothing waits for consent any more.
                if batch.state().execution_status == ExecutionStatus::WaitingForConfirmation {
                    batch.set_status(ExecutionStatus::Idle);
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
        request: Option<Request>,
        batch: &mut CommitBatch,
    ) -> Result<(), RuntimeError> {
        let started = match batch.state().execution_status {
            // Nothing to do; the client still waits to hear how its run ended.
            ExecutionStatus::Finished if self.turn.is_none() && batch.start.is_none() => {
                batch.announce = true;
                self.plan_end_of_run_repeats();
                Ok(())
            }
            ExecutionStatus::Finished
            | ExecutionStatus::Idle
            | ExecutionStatus::Running
            | ExecutionStatus::Paused
            | ExecutionStatus::WaitingForConfirmation
            | ExecutionStatus::Error
            | ExecutionStatus::Stuck
            | ExecutionStatus::Deleting => self.start_run(request, batch, None),
        };
        self.run_answered = Some(Instant::now());
        started
    }

    /// Takes a slot and marks the conversation running; the turn starts once that is durable.
    fn start_run(
        &mut self,
        request: Option<Request>,
        batch: &mut CommitBatch,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<(), RuntimeError> {
        if let Some(turn) = &self.turn {
            // A run that was about to pause goes on.
            return if turn.unpause() {
                Ok(())
            } else {
                Err(RuntimeError::AlreadyRunning)
            };
        }
        if batch.start.is_some() {
            return Err(RuntimeError::AlreadyRunning);
        }
        let permit = match slot {
            Some(permit) => permit,
            None => self.live.runtime.take_slot()?,
        };
        self.initialise(batch);
        let mut running = Draft::state("execution_status", ExecutionStatus::Running.as_str());
        if let Some(request) = request {
            running.id = request.run();
        }
        batch.push(running);
        batch.start = Some(permit);
        Ok(())
    }

    /// Gives the agent its system prompt, if its tools can be made. If not, the run will say why.
    fn initialise(&mut self, batch: &mut CommitBatch) {
        if batch.state().initialised {
            return;
        }
        let prepared = self.agent().and_then(|agent| {
            let tools = self.tools(&agent)?;
            Ok(prompt::system(
                &agent,
                &self.live.now().metadata.workspace,
                &tools,
            ))
        });
        match prepared {
            Ok(system) => {
                batch.push(Draft::new(
                    Source::Agent,
                    EventBody::SystemPromptEvent(system),
                ));
            }
            Err(why) => tracing::warn!(
                conversation.id = %self.live.id, reason = %why.1, "the agent cannot be set up"
            ),
        }
    }
}

fn pause_at_rest(batch: &mut CommitBatch) {
    if matches!(
        batch.state().execution_status,
        ExecutionStatus::Idle | ExecutionStatus::Running
    ) {
        batch.set_status(ExecutionStatus::Paused);
        batch.push(Draft::new(Source::User, EventBody::PauseEvent(Nothing {})));
    }
    batch.announce = true;
}

pub(crate) fn reject_pending(batch: &mut CommitBatch, reason: &str) {
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
