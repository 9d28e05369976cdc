use std::sync::Arc;

use core_model::port::Claim;
use futures_util::future::join_all;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use workspace::ProcessInfo;

use crate::{
    RuntimeError,
    command::{Answer, Command, StopReason},
    conversation::{
        batch::{AfterCommit, CommitBatch},
        commit::{Writer, claim, claim_lost},
        decide::Decider,
        done::Done,
        end_of_turn,
        run_control::RunControl,
        titling::Titling,
    },
    residency::{
        Residency,
        idle::{self, IdleVerdict},
        live_conversation::LiveConversation,
    },
    turn::{
        outcome::Outcome,
        proposal::Proposal,
        running_turn::{self, CancelReason, EndedTurn, RunningTurn, TurnStart},
        title::Title,
    },
};

/// Commands decided on and made durable together.
const MAX_BATCH: usize = 64;

/// Starts the one task that writes a conversation. Commands wait until the conversation is claimed.
pub(super) fn spawn(
    live: Arc<LiveConversation>,
    residency: Arc<Residency>,
    mut mailbox: mpsc::Receiver<Command>,
) {
    let runtime = Arc::clone(&live.runtime);
    let work = async move {
        match claim(&live).await {
            Ok(claim) => {
                let actor = Actor::new(live, residency, mailbox, claim);
                actor.work_until_stopped().await;
            }
            Err(error) => live.refuse_waiting(&mut mailbox, &error),
        }
    };
    runtime.actors.spawn_on(work, &runtime.tokio);
}

/// One conversation's writer: takes commands and a turn's proposals, one batch at a time.
struct Actor {
    live: Arc<LiveConversation>,
    residency: Arc<Residency>,
    mailbox: mpsc::Receiver<Command>,
    proposals: mpsc::Receiver<Proposal>,
    proposer: mpsc::Sender<Proposal>,
    writer: Writer,
    run: RunControl,
    titling: Titling,
    /// There is nothing more to do: it was only started to recover the log, or others need the room.
    finished: bool,
    stopped: bool,
}

impl Actor {
    fn new(
        live: Arc<LiveConversation>,
        residency: Arc<Residency>,
        mailbox: mpsc::Receiver<Command>,
        claim: Claim,
    ) -> Self {
        let (proposer, proposals) = mpsc::channel(1);
        Self {
            writer: Writer::new(Arc::clone(&live), claim),
            live,
            residency,
            mailbox,
            proposals,
            proposer,
            run: RunControl::default(),
            titling: Titling::default(),
            finished: false,
            stopped: false,
        }
    }

    async fn work_until_stopped(mut self) {
        let idle_ttl = self.live.runtime.config.idle_ttl;
        let mut last_active = Instant::now();
        let mut next_look = last_active.checked_add(idle_ttl);
        let mut reason = "it has nothing to do";
        while !(self.stopped || self.writer.is_fenced()) {
            let finished = std::mem::take(&mut self.finished);
            let is_unused = self.is_idle() && !self.live.tools.are_open();
            if finished && is_unused && self.live.detach_actor(&self.mailbox) {
                break;
            }
            let repeat = self.run.repeats.next_due();
            let idle = next_look.filter(|_| self.is_idle());
            tokio::select! {
                biased;
                () = claim_lost(&mut self.writer.claim.lost) => self.writer.fence(),
                outcome = running_turn::end(&mut self.run.turn) => self.end_turn(outcome).await,
                Some(proposal) = self.proposals.recv() => self.work(Work::Proposal(proposal)).await,
                title = self.titling.made() => match title {
                    Some(title) => self.work(Work::Title(title)).await,
                    None => continue,
                },
                command = self.mailbox.recv() => match command {
                    Some(command) => self.work(Work::Command(command)).await,
                    None => break,
                },
                () = at(repeat) => {
                    self.run.repeats.sent();
                    let mut batch = self.writer.batch();
                    batch.announce = true;
                    self.writer.commit(batch).await;
                    continue;
                }
                () = at(idle) => {
                    match idle::look(&self.live, last_active).await {
                        IdleVerdict::Stay(until) => {
                            next_look = until;
                            continue;
                        }
                        IdleVerdict::Leave(why) => reason = why,
                    }
                    // Stored first: once this has left memory, another actor may write.
                    self.writer.store_snapshot(false).await;
                    if self.live.detach_actor(&self.mailbox) {
                        break;
                    }
                }
            }
            last_active = Instant::now();
            next_look = last_active.checked_add(idle_ttl);
        }
        if self.writer.is_fenced() {
            reason = "another server has the conversation";
            self.abandon().await;
        }
        self.close_tools(reason).await;
    }

    /// Leaves the conversation to its new holder: ends the turn, and refuses what waits.
    async fn abandon(&mut self) {
        let error = self.writer.owned_elsewhere().await;
        tracing::warn!(conversation.id = %self.live.id, "its claim is lost; it leaves memory");
        self.proposals.close();
        for (reason, answer) in self.run.abandon().await {
            // A stop has what it wants.
            let result = if reason.is_some() {
                Ok(())
            } else {
                Err(error.again())
            };
            answer.send(result).ok();
        }
        for command in std::mem::take(&mut self.run.deferred) {
            command.refuse(error.again());
        }
        self.live.refuse_waiting(&mut self.mailbox, &error);
    }

    /// Decides on one piece of work and on whatever else waits by now, and commits it all at once.
    async fn work(&mut self, first: Work) {
        let mut batch = self.writer.batch();
        let mut next = Some(first);
        while let Some(work) = next.take() {
            match work {
                Work::Proposal(proposal) => batch.take(proposal),
                Work::Command(command) => self.decide(command, &mut batch).await,
                Work::Title(title) => self.decider(&mut batch).give_title(title),
            }
            // What comes after the start of a turn is decided with that turn.
            let closed = self.stopped || batch.after_commit.is_some() || batch.start.is_some();
            if batch.answers.len() < MAX_BATCH && !closed {
                next = self.waiting();
            }
        }
        let after_commit = batch.after_commit.take();
        // A run that no stop paused cleanly is not one to resume: it may be what ended the server.
        let resume = batch.events.is_empty() && self.writer.resumes();
        let committed = self.commit(batch).await;
        match after_commit {
            Some(AfterCommit::Recovered(answer)) if committed => {
                if self.run.is_idle() {
                    self.writer.store_snapshot(resume).await;
                }
                self.writer.move_row().await;
                answer.send(Ok(())).ok();
                self.finished = true;
            }
            Some(AfterCommit::Recovered(answer)) => {
                self.writer.lose_run().await;
                let reason = "what a stop left open could not be answered".to_owned();
                answer.send(Err(RuntimeError::Internal(reason))).ok();
            }
            Some(AfterCommit::Stop(reason, answer)) => self.stop(reason, answer).await,
            Some(AfterCommit::CloseTools) if self.run.is_idle() => {
                self.close_tools("there are more than max_idle_shells")
                    .await;
            }
            Some(AfterCommit::LeaveMemory) if self.may_leave_memory() => {
                self.close_tools("there are more than max_idle_conversations")
                    .await;
                let resume = self.writer.resumes();
                self.writer.store_snapshot(resume).await;
                self.finished = true;
            }
            Some(AfterCommit::CloseTools | AfterCommit::LeaveMemory) | None => {}
        }
    }

    async fn decide(&mut self, command: Command, batch: &mut CommitBatch) {
        match Done::of(&command.request, batch, self.live.log.as_ref()).await {
            Ok(done) => self.decider(batch).decide(command, done),
            Err(error) => command.refuse(error),
        }
    }

    fn decider<'a>(&'a mut self, batch: &'a mut CommitBatch) -> Decider<'a> {
        Decider {
            run: &mut self.run,
            slots: &self.live.runtime.slots,
            batch,
        }
    }

    fn waiting(&mut self) -> Option<Work> {
        if let Ok(proposal) = self.proposals.try_recv() {
            return Some(Work::Proposal(proposal));
        }
        self.mailbox.try_recv().ok().map(Work::Command)
    }

    /// Commits a batch and starts the turn that it asks for. False when it could not be made durable.
    async fn commit(&mut self, mut batch: CommitBatch) -> bool {
        let (start, untitled) = (batch.start.take(), batch.untitled.take());
        let committed = self.writer.commit(batch).await;
        if let Some(message) = untitled.filter(|_| committed) {
            self.titling.begin(&self.live, message);
        }
        if let Some(start) = start.filter(|_| committed) {
            self.start_turn(start);
        }
        committed
    }

    fn start_turn(&mut self, start: TurnStart) {
        self.residency.idle_tools.remove(&self.live);
        let live = Arc::clone(&self.live);
        self.run.turn = Some(RunningTurn::start(live, self.proposer.clone(), start));
    }

    async fn end_turn(&mut self, outcome: Outcome) {
        let Some(turn) = self.run.turn.take() else {
            return;
        };
        let EndedTurn {
            stop,
            answers,
            slot,
            paused,
        } = turn.into_ended();
        // What an aborted turn still asked for must not follow its end.
        while self.proposals.try_recv().is_ok() {}
        let mut batch = self.writer.batch();
        batch.announce = true;
        end_of_turn::record(outcome, stop, slot, paused, &mut batch);
        let mut stops = Vec::new();
        for (reason, answer) in answers {
            match reason {
                Some(reason) => stops.push((reason, answer)),
                None => batch.answers.push((answer, Ok(()))),
            }
        }
        let continues = batch.start.is_some();
        let committed = self.commit(batch).await;
        if !committed {
            self.writer.lose_run().await;
        }
        if !(committed && continues) {
            self.run.repeats.plan_if_short();
            let resume = stop == Some(CancelReason::ActorStops(StopReason::ServerStopping));
            self.writer.store_snapshot(resume).await;
            if let Some(tools) = self.live.tools.get().filter(|_| stops.is_empty()) {
                self.residency
                    .idle_tools
                    .add(&self.live, &tools.all())
                    .await;
            }
        }
        for (reason, answer) in stops {
            self.stop(reason, answer).await;
        }
        // Taken out first: after a run that starts here, some may have to wait again.
        for command in std::mem::take(&mut self.run.deferred) {
            // Dropped commands are answered "stopping".
            if !self.stopped {
                self.work(Work::Command(command)).await;
            }
        }
    }

    /// Ends this actor; its turn, if it had one, has ended.
    async fn stop(&mut self, reason: StopReason, answer: Answer) {
        if reason == StopReason::ServerStopping && self.run.is_idle() {
            let resume = self.writer.resumes();
            self.writer.store_snapshot(resume).await;
        }
        let reason = match reason {
            StopReason::Deleted => "it is deleted",
            StopReason::ServerStopping => "the server stops",
        };
        self.close_tools(reason).await;
        self.stopped = true;
        answer.send(Ok(())).ok();
    }

    /// Whether nothing is under way that others would have to wait for or miss.
    fn may_leave_memory(&self) -> bool {
        let may_keep_tools = self.residency.idle_tools.holds(&self.live);
        self.is_idle() && self.run.repeats.is_empty() && !may_keep_tools
    }

    /// Whether no task of its own is under way.
    fn is_idle(&self) -> bool {
        self.run.is_idle() && !self.titling.is_under_way()
    }

    async fn close_tools(&self, reason: &'static str) {
        self.residency.idle_tools.remove(&self.live);
        let opened = self.live.tools.take();
        let ends = opened.connected.iter().map(|connected| connected.close());
        join_all(ends).await;
        for tool in opened.fixed {
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
    Title(Title),
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
