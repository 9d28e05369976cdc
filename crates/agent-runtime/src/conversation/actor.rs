use std::{collections::VecDeque, sync::Arc, time::Duration};

use agent_tools::{OpenError, TerminalSettings, ToolEnvironment, Tools};
use core_model::{
    Agent, ConversationState, Draft, EventBody, ExecutionStatus, Seq, Snapshot, Source,
    event::Nothing,
};
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep_until},
};
use workspace::{ProcessInfo, ToolFiles, Workspace};

use crate::{
    RuntimeError,
    command::{Answer, Command, StopReason},
    conversation::{
        batch::{AfterCommit, CommitBatch},
        recover,
    },
    residency::{
        idle::{self, Verdict},
        live_conversation::{LiveConversation, Mailbox},
    },
    turn::{
        outcome::{Failure, Outcome},
        proposal::Proposal,
        running::{self, CancelReason, RunningTurn},
        step::TurnContext,
    },
};

/// Commands decided on and made durable together.
const BATCH: usize = 64;
/// How long an interrupted turn may take to end by itself.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);
/// A client may take its run's end for old news when it hears of it before its answer; so the end of
/// a run this short is told again, this long after it (`QUIRKS.md` 48).
const SHORT_RUN: Duration = Duration::from_secs(2);
const END_OF_RUN_REPEATS: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

const INTERRUPTED: &str = "Tool call interrupted before completion. The conversation was paused.";

/// Brings up the one task that writes a conversation.
pub(crate) fn spawn(live: Arc<LiveConversation>, mailbox: mpsc::Receiver<Command>) {
    let runtime = Arc::clone(&live.runtime);
    runtime.actors.spawn_on(
        Actor::new(live, mailbox).work_until_stopped(),
        &runtime.tokio,
    );
}

/// One conversation's writer: takes commands and a turn's proposals, one batch at a time.
pub(crate) struct Actor {
    pub(crate) live: Arc<LiveConversation>,
    mailbox: mpsc::Receiver<Command>,
    proposals: mpsc::Receiver<Proposal>,
    proposer: mpsc::Sender<Proposal>,
    pub(crate) state: Arc<ConversationState>,
    pub(crate) len: Seq,
    tools: Option<Tools>,
    pub(crate) turn: Option<RunningTurn>,
    /// Commands that wait for the end of an interrupted turn.
    pub(crate) deferred: VecDeque<Command>,
    /// When the last `Run` was answered.
    pub(crate) run_answered: Option<Instant>,
    /// When to tell the end of a run again.
    pub(crate) end_of_run_repeats: VecDeque<Instant>,
    /// There is nothing more to do: it was only brought up to mend the log, or others need the room.
    finished: bool,
    /// The length that the stored state is true of.
    stored: Option<Seq>,
    stopped: bool,
}

impl Actor {
    fn new(live: Arc<LiveConversation>, mailbox: mpsc::Receiver<Command>) -> Self {
        let (proposer, proposals) = mpsc::channel(1);
        let now = live.now();
        let snapshot = now.metadata.snapshot.as_ref();
        let fits = |of: &&Snapshot| of.as_of == now.len && of.bytes == live.log.size();
        let stored = snapshot.filter(fits).map(|of| of.as_of);
        Self {
            live,
            mailbox,
            proposals,
            proposer,
            state: now.state,
            len: now.len,
            tools: None,
            turn: None,
            deferred: VecDeque::new(),
            run_answered: None,
            end_of_run_repeats: VecDeque::new(),
            finished: false,
            stored,
            stopped: false,
        }
    }

    async fn work_until_stopped(mut self) {
        let idle_ttl = self.live.runtime.config.idle_ttl;
        let mut last_active = Instant::now();
        let mut next_look = last_active.checked_add(idle_ttl);
        let mut reason = "it has nothing to do";
        while !self.stopped {
            let finished = std::mem::take(&mut self.finished);
            if finished && self.turn.is_none() && self.tools.is_none() && self.rest() {
                break;
            }
            let echo = self.end_of_run_repeats.front().copied();
            let idle = next_look.filter(|_| self.turn.is_none());
            tokio::select! {
                biased;
                outcome = running::end(&mut self.turn) => self.end_turn(outcome).await,
                Some(proposal) = self.proposals.recv() => self.work(Work::Proposal(proposal)).await,
                command = self.mailbox.recv() => match command {
                    Some(command) => self.work(Work::Command(command)).await,
                    None => break,
                },
                () = at(echo) => {
                    self.end_of_run_repeats.pop_front();
                    self.commit(CommitBatch { announce: true, ..self.batch() }).await;
                    continue;
                }
                () = at(idle) => {
                    match idle::look(&self.live, self.tools.as_ref(), last_active).await {
                        Verdict::Stay(until) => {
                            next_look = until;
                            continue;
                        }
                        Verdict::Leave(why) => reason = why,
                    }
                    // Stored first: once at rest, another actor may write.
                    self.store_snapshot(false).await;
                    if self.rest() {
                        break;
                    }
                }
            }
            last_active = Instant::now();
            next_look = last_active.checked_add(idle_ttl);
        }
        self.close_tools(reason).await;
    }

    /// Decides on one piece of work and on whatever else waits by now, and commits it all at once.
    async fn work(&mut self, first: Work) {
        let mut batch = self.batch();
        let mut next = Some(first);
        while let Some(work) = next.take() {
            match work {
                Work::Proposal(proposal) => batch.take(proposal),
                Work::Command(command) => match self.done(&command, &batch).await {
                    Ok(done) => self.decide(command, done, &mut batch),
                    Err(error) => command.refuse(error),
                },
            }
            // What comes after the start of a turn is said to that turn.
            let closed = self.stopped || batch.after_commit.is_some() || batch.start.is_some();
            if batch.answers.len() < BATCH && !closed {
                next = self.waiting();
            }
        }
        let after_commit = batch.after_commit.take();
        // A run that no stop paused in order is not one to resume: it may be what ended the server.
        let resume = batch.events.is_empty() && self.live.now().metadata.resume;
        let committed = self.commit(batch).await;
        match after_commit {
            Some(AfterCommit::Recovered(answer)) if committed => {
                if self.turn.is_none() {
                    self.store_snapshot(resume).await;
                }
                self.live.list();
                answer.send(Ok(())).ok();
                self.finished = true;
            }
            Some(AfterCommit::Recovered(answer)) => {
                self.live.lose_run();
                let reason = "what a stop left open could not be answered".to_owned();
                answer.send(Err(RuntimeError::Internal(reason))).ok();
            }
            Some(AfterCommit::Stop(reason, answer)) => self.stop(reason, answer).await,
            Some(AfterCommit::CloseTools) if self.turn.is_none() => {
                self.close_tools("there are more than max_idle_shells")
                    .await;
            }
            Some(AfterCommit::LeaveMemory) if self.may_rest() => {
                self.close_tools("there are more than max_idle_conversations")
                    .await;
                let resume = self.live.now().metadata.resume;
                self.store_snapshot(resume).await;
                self.finished = true;
            }
            Some(AfterCommit::CloseTools | AfterCommit::LeaveMemory) | None => {}
        }
    }

    /// Whether nothing is under way that others would have to wait for or miss.
    fn may_rest(&self) -> bool {
        let shells = &self.live.runtime.idle_tools;
        self.turn.is_none() && self.end_of_run_repeats.is_empty() && !shells.holds(&self.live)
    }

    fn waiting(&mut self) -> Option<Work> {
        if let Ok(proposal) = self.proposals.try_recv() {
            return Some(Work::Proposal(proposal));
        }
        self.mailbox.try_recv().ok().map(Work::Command)
    }

    fn batch(&self) -> CommitBatch {
        CommitBatch::new(Arc::clone(&self.state))
    }

    pub(crate) fn agent(&self) -> Result<Agent, Failure> {
        let metadata = self.live.now().metadata;
        let mut settings = metadata.agent.clone();
        self.live.runtime.vault.open_all(&mut settings);
        Agent::deserialize(settings).map_err(|error| {
            Failure(
                "ValueError",
                format!("this server cannot run such an agent: {error}"),
            )
        })
    }

    pub(crate) fn tools(&mut self, agent: &Agent) -> Result<Tools, Failure> {
        if let Some(tools) = &self.tools {
            return Ok(tools.clone());
        }
        let folder = &self.live.now().metadata.workspace.working_dir;
        let environment = ToolEnvironment {
            workspace: Workspace::new(folder, self.live.runtime.config.processes.clone()),
            files: ToolFiles::new(&self.live.folder),
            used_before: self.state.used_tools.clone(),
            terminal: TerminalSettings {
                max_foreground_timeout: self.live.runtime.config.max_foreground_terminal_timeout,
                ..TerminalSettings::default()
            },
        };
        let tools = agent_tools::open(&agent.tools, &agent.include_default_tools, &environment)
            .map_err(|error| {
                let code = match error {
                    OpenError::UnknownTool(_) => "KeyError",
                    OpenError::Parameter { .. } => "ValueError",
                };
                Failure(code, error.to_string())
            })?;
        self.tools = Some(tools.clone());
        Ok(tools)
    }

    /// Makes a batch of events true: durable, then visible, then heard.
    async fn commit(&mut self, batch: CommitBatch) -> bool {
        let CommitBatch {
            events,
            state,
            answers,
            announce,
            start,
            ..
        } = batch;
        if let Err(error) = self.append(&events, state).await {
            for (answer, _) in answers {
                answer.send(Err(error.again())).ok();
            }
            return false;
        }
        if announce || !events.is_empty() {
            self.live.published.send_modify(|now| {
                *now = now.advanced(self.len, Arc::clone(&self.state), announce);
            });
        }
        if !events.is_empty() {
            self.live.list();
        }
        for (answer, result) in answers {
            answer.send(result).ok();
        }
        if let Some(permit) = start {
            self.start_turn(permit);
        }
        true
    }

    fn start_turn(&mut self, permit: OwnedSemaphorePermit) {
        let context = self.agent().and_then(|agent| {
            let tools = self.tools(&agent)?;
            let model = (self.live.runtime.config.connect)(&agent.llm)
                .map_err(|error| Failure(error.code(), error.to_string()))?;
            Ok(TurnContext {
                live: Arc::clone(&self.live),
                model,
                tools,
                llm: agent.llm,
                proposer: self.proposer.clone(),
            })
        });
        self.live.runtime.idle_tools.remove(&self.live);
        self.turn = Some(RunningTurn::start(
            context,
            permit,
            &self.live.runtime.tokio,
        ));
    }

    /// Records how a turn ended.
    async fn end_turn(&mut self, outcome: Outcome) {
        let Some(turn) = self.turn.take() else { return };
        let running::Parts {
            stop,
            answers,
            permit,
            paused,
        } = turn.into_parts();
        // What an aborted turn still asked for must not follow its end.
        while self.proposals.try_recv().is_ok() {}
        let mut batch = self.batch();
        batch.announce = true;
        match stop {
            Some(CancelReason::Interrupt) => {
                // Free before anybody hears that the run has ended.
                drop(permit);
                for draft in recover::orphans(&batch.state().pending, INTERRUPTED) {
                    batch.push(draft);
                }
                batch.set_status(ExecutionStatus::Paused);
                batch.push(Draft::new(
                    Source::User,
                    EventBody::InterruptEvent(Nothing {}),
                ));
            }
            Some(CancelReason::ActorStops(StopReason::ServerStopping)) => {
                for draft in recover::recovery_drafts(batch.state()) {
                    batch.push(draft);
                }
            }
            Some(CancelReason::ActorStops(StopReason::Deleted)) => {}
            None => outcome.record(&mut batch, permit, paused),
        }
        let mut stops = Vec::new();
        for (reason, answer) in answers {
            match reason {
                Some(reason) => stops.push((reason, answer)),
                None => batch.answers.push((answer, Ok(()))),
            }
        }
        let goes_on = batch.start.is_some();
        let committed = self.commit(batch).await;
        if !committed {
            self.live.lose_run();
        }
        if !(committed && goes_on) {
            if self
                .run_answered
                .is_some_and(|answered| answered.elapsed() < SHORT_RUN)
            {
                self.plan_end_of_run_repeats();
            }
            self.store_snapshot(stop == Some(CancelReason::ActorStops(StopReason::ServerStopping)))
                .await;
            if let Some(tools) = self.tools.as_ref().filter(|_| stops.is_empty()) {
                self.live.runtime.idle_tools.add(&self.live, tools).await;
            }
        }
        for (reason, answer) in stops {
            self.stop(reason, answer).await;
        }
        // Taken out first: behind a run that starts here, some may have to wait again.
        for command in std::mem::take(&mut self.deferred) {
            // Dropped commands are answered "stopping".
            if !self.stopped {
                self.work(Work::Command(command)).await;
            }
        }
    }

    /// Ends this actor; its turn, if it had one, has ended.
    async fn stop(&mut self, reason: StopReason, answer: Answer<()>) {
        if reason == StopReason::ServerStopping && self.turn.is_none() {
            let resume = self.live.now().metadata.resume;
            self.store_snapshot(resume).await;
        }
        let reason = match reason {
            StopReason::Deleted => "it is deleted",
            StopReason::ServerStopping => "the server stops",
        };
        self.close_tools(reason).await;
        self.stopped = true;
        answer.send(Ok(())).ok();
    }

    /// Stores the fold with the metadata, so that the next reader folds only the tail; does nothing when
    /// that is stored already.
    async fn store_snapshot(&mut self, resume: bool) {
        let mut metadata = (*self.live.now().metadata).clone();
        if self.stored == Some(self.len) && metadata.resume == resume {
            return;
        }
        if metadata.resume != resume {
            metadata.resume = resume;
            let described = metadata.clone();
            self.live
                .published
                .send_modify(|now| *now = now.described(described));
        }
        let bytes = self.live.log.size();
        let state = (*self.state).clone();
        metadata.snapshot = Some(Snapshot {
            as_of: self.len,
            bytes,
            state,
        });
        match self.live.runtime.store.set_metadata(&metadata).await {
            Ok(()) => self.stored = Some(self.len),
            Err(error) => tracing::warn!(
                conversation.id = %self.live.id, %error,
                "the state was not stored; it is folded from the log when next needed"
            ),
        }
    }

    pub(crate) fn plan_end_of_run_repeats(&mut self) {
        let now = Instant::now();
        self.end_of_run_repeats = END_OF_RUN_REPEATS
            .into_iter()
            .map(|delay| now + delay)
            .collect();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.turn.as_ref().is_some_and(RunningTurn::is_stopping)
    }

    /// Leaves memory, unless a command came in at the last moment.
    fn rest(&mut self) -> bool {
        let mut mailbox = self.live.lock_mailbox();
        let rests = self.mailbox.is_empty() && matches!(*mailbox, Mailbox::Open(_));
        if rests {
            *mailbox = Mailbox::NoActor;
        }
        rests
    }

    async fn close_tools(&mut self, reason: &'static str) {
        self.live.runtime.idle_tools.remove(&self.live);
        for tool in self.tools.take().unwrap_or_default() {
            let ended = tool.close().await;
            if !ended.is_empty() {
                let processes: Vec<String> = ended.iter().map(logged).collect();
                tracing::info!(
                    conversation.id = %self.live.id, reason, processes = processes.join(" "),
                    "what the agent had left running was ended"
                );
            }
        }
    }
}

/// What can be done next.
enum Work {
    Proposal(Proposal),
    Command(Command),
}

/// Without the arguments, in which there may be secrets.
fn logged(process: &ProcessInfo) -> String {
    format!("{}:{}", process.name, process.id)
}

/// Ends at that time; never when there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
