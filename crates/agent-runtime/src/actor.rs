use std::{collections::VecDeque, sync::Arc, time::Duration};

use agent_tools::{EndedProcess, OpenError, TerminalSettings, ToolEnvironment, Tools};
use core_model::{
    Agent, ConversationState, Draft, EventBody, ExecutionStatus, Seq, Snapshot, Source,
    event::Nothing,
};
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep_until},
};

use crate::{
    RuntimeError,
    command::{Answer, Command, Farewell},
    commit::Batch,
    idle::{self, Verdict},
    restart,
    shared::{Mailbox, Shared},
    turn::{self, Outcome, Proposal, Stop, Turn, TurnContext},
};

/// Commands decided on and made durable together.
const BATCH: usize = 64;
/// How long an interrupted turn may take to end by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// A client may take its run's end for old news when it hears of it before its answer; so the end of
/// a run this short is told again, this long after it (`QUIRKS.md` 48).
const SHORT_RUN: Duration = Duration::from_secs(2);
const ECHOES: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

const INTERRUPTED: &str = "Tool call interrupted before completion. The conversation was paused.";

/// Brings up the one task that writes a conversation.
pub(crate) fn spawn(shared: Arc<Shared>, mailbox: mpsc::Receiver<Command>) {
    let core = Arc::clone(&shared.core);
    core.actors
        .spawn_on(Actor::new(shared, mailbox).live(), &core.tokio);
}

/// One conversation's writer: takes commands and a turn's proposals, one batch at a time.
pub(crate) struct Actor {
    pub(crate) shared: Arc<Shared>,
    mailbox: mpsc::Receiver<Command>,
    proposals: mpsc::Receiver<Proposal>,
    proposer: mpsc::Sender<Proposal>,
    pub(crate) state: Arc<ConversationState>,
    pub(crate) len: Seq,
    tools: Option<Tools>,
    pub(crate) turn: Option<Turn>,
    /// Commands that wait for the end of an interrupted turn.
    pub(crate) deferred: VecDeque<Command>,
    /// When the last `Run` was answered.
    pub(crate) run_answered: Option<Instant>,
    /// When to tell the end of a run again.
    pub(crate) echoes: VecDeque<Instant>,
    /// There is nothing more to do: it was only brought up to mend the log, or others need the room.
    finished: bool,
    /// The length that the stored state is true of.
    stored: Option<Seq>,
    stopped: bool,
}

impl Actor {
    fn new(shared: Arc<Shared>, mailbox: mpsc::Receiver<Command>) -> Self {
        let (proposer, proposals) = mpsc::channel(1);
        let now = shared.now();
        let snapshot = now.metadata.snapshot.as_ref();
        let fits = |of: &&Snapshot| of.as_of == now.len && of.bytes == shared.log.size();
        let stored = snapshot.filter(fits).map(|of| of.as_of);
        Self {
            shared,
            mailbox,
            proposals,
            proposer,
            state: now.state,
            len: now.len,
            tools: None,
            turn: None,
            deferred: VecDeque::new(),
            run_answered: None,
            echoes: VecDeque::new(),
            finished: false,
            stored,
            stopped: false,
        }
    }

    async fn live(mut self) {
        let idle_ttl = self.shared.core.config.idle_ttl;
        let mut last_active = Instant::now();
        let mut next_look = last_active.checked_add(idle_ttl);
        let mut reason = "it has nothing to do";
        while !self.stopped {
            let finished = std::mem::take(&mut self.finished);
            if finished && self.turn.is_none() && self.tools.is_none() && self.rest() {
                break;
            }
            let echo = self.echoes.front().copied();
            let idle = next_look.filter(|_| self.turn.is_none());
            tokio::select! {
                biased;
                outcome = turn::end(&mut self.turn) => self.end_turn(outcome).await,
                Some(proposal) = self.proposals.recv() => self.work(Work::Proposal(proposal)).await,
                command = self.mailbox.recv() => match command {
                    Some(command) => self.work(Work::Command(command)).await,
                    None => break,
                },
                () = at(echo) => {
                    self.echoes.pop_front();
                    self.commit(Batch { announce: true, ..self.batch() }).await;
                    continue;
                }
                () = at(idle) => {
                    match idle::look(&self.shared, self.tools.as_ref(), last_active).await {
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
            let closed = self.stopped || batch.settle.is_some() || batch.start.is_some();
            if batch.answers.len() < BATCH && !closed {
                next = self.waiting();
            }
        }
        let settle = batch.settle.take();
        // A run that no stop paused in order is not one to resume: it may be what ended the server.
        let resume = batch.events.is_empty() && self.shared.now().metadata.resume;
        let committed = self.commit(batch).await;
        match settle {
            Some(Settle::Mended(answer)) if committed => {
                if self.turn.is_none() {
                    self.store_snapshot(resume).await;
                }
                self.shared.list();
                answer.send(Ok(())).ok();
                self.finished = true;
            }
            Some(Settle::Mended(answer)) => {
                self.shared.lose_run();
                let reason = "what a stop left open could not be answered".to_owned();
                answer.send(Err(RuntimeError::Internal(reason))).ok();
            }
            Some(Settle::Stop(farewell, answer)) => self.stop(farewell, answer).await,
            Some(Settle::CloseTools) if self.turn.is_none() => {
                self.close_tools("there are more than max_idle_shells")
                    .await;
            }
            Some(Settle::Rest) if self.may_rest() => {
                self.close_tools("there are more than max_idle_conversations")
                    .await;
                let resume = self.shared.now().metadata.resume;
                self.store_snapshot(resume).await;
                self.finished = true;
            }
            Some(Settle::CloseTools | Settle::Rest) | None => {}
        }
    }

    /// Whether nothing is under way that others would have to wait for or miss.
    fn may_rest(&self) -> bool {
        let shells = &self.shared.core.resting;
        self.turn.is_none() && self.echoes.is_empty() && !shells.holds(&self.shared)
    }

    fn waiting(&mut self) -> Option<Work> {
        if let Ok(proposal) = self.proposals.try_recv() {
            return Some(Work::Proposal(proposal));
        }
        self.mailbox.try_recv().ok().map(Work::Command)
    }

    fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.state))
    }

    pub(crate) fn agent(&self) -> Result<Agent, Failure> {
        let metadata = self.shared.now().metadata;
        let mut settings = metadata.agent.clone();
        self.shared.core.vault.open_all(&mut settings);
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
        let environment = ToolEnvironment {
            working_dir: self
                .shared
                .now()
                .metadata
                .workspace
                .working_dir
                .clone()
                .into(),
            folder: self.shared.folder.clone(),
            processes: self.shared.core.config.processes.clone(),
            used_before: self.state.used_tools.clone(),
            terminal: TerminalSettings {
                max_foreground_timeout: self.shared.core.config.max_foreground_terminal_timeout,
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
    async fn commit(&mut self, batch: Batch) -> bool {
        let Batch {
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
            self.shared.published.send_modify(|now| {
                *now = now.advanced(self.len, Arc::clone(&self.state), announce);
            });
        }
        if !events.is_empty() {
            self.shared.list();
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
            let model = (self.shared.core.config.connect)(&agent.llm)
                .map_err(|error| Failure(error.code(), error.to_string()))?;
            Ok(TurnContext {
                shared: Arc::clone(&self.shared),
                model,
                tools,
                llm: agent.llm,
                proposer: self.proposer.clone(),
            })
        });
        self.shared.core.resting.remove(&self.shared);
        self.turn = Some(Turn::start(context, permit, &self.shared.core.tokio));
    }

    /// Records how a turn ended.
    async fn end_turn(&mut self, outcome: Outcome) {
        let Some(turn) = self.turn.take() else { return };
        let turn::Parts {
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
            Some(Stop::Interrupt) => {
                // Free before anybody hears that the run has ended.
                drop(permit);
                for draft in restart::orphans(&batch.state().pending, INTERRUPTED) {
                    batch.push(draft);
                }
                batch.set_status(ExecutionStatus::Paused);
                batch.push(Draft::new(
                    Source::User,
                    EventBody::InterruptEvent(Nothing {}),
                ));
            }
            Some(Stop::Farewell(Farewell::ServerStopping)) => {
                for draft in restart::mend(batch.state()) {
                    batch.push(draft);
                }
            }
            Some(Stop::Farewell(Farewell::Deleted)) => {}
            None => outcome.record(&mut batch, permit, paused),
        }
        let mut farewells = Vec::new();
        for (farewell, answer) in answers {
            match farewell {
                Some(farewell) => farewells.push((farewell, answer)),
                None => batch.answers.push((answer, Ok(()))),
            }
        }
        let goes_on = batch.start.is_some();
        let committed = self.commit(batch).await;
        if !committed {
            self.shared.lose_run();
        }
        if !(committed && goes_on) {
            if self
                .run_answered
                .is_some_and(|answered| answered.elapsed() < SHORT_RUN)
            {
                self.plan_echoes();
            }
            self.store_snapshot(stop == Some(Stop::Farewell(Farewell::ServerStopping)))
                .await;
            if let Some(tools) = self.tools.as_ref().filter(|_| farewells.is_empty()) {
                self.shared.core.resting.add(&self.shared, tools).await;
            }
        }
        for (farewell, answer) in farewells {
            self.stop(farewell, answer).await;
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
    async fn stop(&mut self, farewell: Farewell, answer: Answer<()>) {
        if farewell == Farewell::ServerStopping && self.turn.is_none() {
            let resume = self.shared.now().metadata.resume;
            self.store_snapshot(resume).await;
        }
        let reason = match farewell {
            Farewell::Deleted => "it is deleted",
            Farewell::ServerStopping => "the server stops",
        };
        self.close_tools(reason).await;
        self.stopped = true;
        answer.send(Ok(())).ok();
    }

    /// Stores the fold with the metadata, so that the next reader folds only the tail; does nothing when
    /// that is stored already.
    async fn store_snapshot(&mut self, resume: bool) {
        let mut metadata = (*self.shared.now().metadata).clone();
        if self.stored == Some(self.len) && metadata.resume == resume {
            return;
        }
        if metadata.resume != resume {
            metadata.resume = resume;
            let described = metadata.clone();
            self.shared
                .published
                .send_modify(|now| *now = now.described(described));
        }
        let bytes = self.shared.log.size();
        let state = (*self.state).clone();
        metadata.snapshot = Some(Snapshot {
            as_of: self.len,
            bytes,
            state,
        });
        match self.shared.core.store.set_metadata(&metadata).await {
            Ok(()) => self.stored = Some(self.len),
            Err(error) => tracing::warn!(
                conversation.id = %self.shared.id, %error,
                "the state was not stored; it is folded from the log when next needed"
            ),
        }
    }

    pub(crate) fn plan_echoes(&mut self) {
        let now = Instant::now();
        self.echoes = ECHOES.into_iter().map(|delay| now + delay).collect();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.turn.as_ref().is_some_and(Turn::is_stopping)
    }

    /// Leaves memory, unless a command came in at the last moment.
    fn rest(&mut self) -> bool {
        let mut mailbox = self.shared.lock_mailbox();
        let rests = self.mailbox.is_empty() && matches!(*mailbox, Mailbox::Open(_));
        if rests {
            *mailbox = Mailbox::Resting;
        }
        rests
    }

    async fn close_tools(&mut self, reason: &'static str) {
        self.shared.core.resting.remove(&self.shared);
        for tool in self.tools.take().unwrap_or_default() {
            let ended = tool.close().await;
            if !ended.is_empty() {
                let processes: Vec<String> = ended.iter().map(logged).collect();
                tracing::info!(
                    conversation.id = %self.shared.id, reason, processes = processes.join(" "),
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

/// What has to follow a commit, after all that was decided before it.
pub(crate) enum Settle {
    Mended(Answer<()>),
    CloseTools,
    Rest,
    Stop(Farewell, Answer<()>),
}

/// A code that clients know, and a text for people.
pub(crate) struct Failure(pub(crate) &'static str, pub(crate) String);

/// Without the arguments, in which there may be secrets.
fn logged(process: &EndedProcess) -> String {
    format!("{}:{}", process.name, process.id)
}

/// Ends at that time; never when there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
