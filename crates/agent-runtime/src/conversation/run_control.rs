use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    command::{Answer, Command, StopReason},
    turn::running_turn::{self, CancelReason, RunningTurn},
};

/// How long a turn may take to end by itself before it is aborted.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A client may take its run's end for old news when it comes before its answer; so the end of a run this
/// short is repeated, this long after it (`QUIRKS.md` 48).
const SHORT_RUN: Duration = Duration::from_secs(2);
const DELAYS: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// The active run of a conversation, and what waits for its end.
#[derive(Default)]
pub(super) struct RunControl {
    pub(super) turn: Option<RunningTurn>,
    /// Commands that wait for the end of an interrupted turn.
    pub(super) deferred: VecDeque<Command>,
    pub(super) repeats: EndOfRunRepeats,
}

impl RunControl {
    pub(super) fn is_idle(&self) -> bool {
        self.turn.is_none()
    }

    /// Whether the turn is being ended from outside.
    pub(super) fn is_stopping(&self) -> bool {
        self.turn.as_ref().is_some_and(RunningTurn::is_stopping)
    }

    /// Whether a turn runs that only condenses the context.
    pub(super) fn is_condensing(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| !turn.is_work())
    }

    /// Ends the turn and answers when it has ended; gives the answer back when there is no turn.
    pub(super) fn interrupt(&mut self, answer: Answer) -> Option<Answer> {
        self.cancel(CancelReason::Interrupt, answer)
    }

    /// As [`Self::interrupt`], and the actor stops after that.
    pub(super) fn stop(&mut self, reason: StopReason, answer: Answer) -> Option<Answer> {
        self.cancel(CancelReason::ActorStops(reason), answer)
    }

    /// Ends the turn without a word in the log; who waited for its end, and why the actor was to stop
    /// after it, if it was.
    pub(super) async fn abandon(&mut self) -> Vec<(Option<StopReason>, Answer)> {
        if let Some(turn) = &mut self.turn {
            turn.cancel(STOP_GRACE);
            running_turn::end(&mut self.turn).await;
        }
        let ended = self.turn.take().map(RunningTurn::into_ended);
        ended.map(|ended| ended.answers).unwrap_or_default()
    }

    fn cancel(&mut self, reason: CancelReason, answer: Answer) -> Option<Answer> {
        match &mut self.turn {
            Some(turn) => {
                turn.stop(reason, STOP_GRACE, answer);
                None
            }
            None => Some(answer),
        }
    }
}

/// When followers are sent the end of a run again.
#[derive(Default)]
pub(super) struct EndOfRunRepeats {
    /// When the last `Run` was answered.
    run_answered: Option<Instant>,
    due: VecDeque<Instant>,
}

impl EndOfRunRepeats {
    pub(super) fn note_run_answered(&mut self) {
        self.run_answered = Some(Instant::now());
    }

    pub(super) fn plan(&mut self) {
        let now = Instant::now();
        self.due = DELAYS.into_iter().map(|delay| now + delay).collect();
    }

    pub(super) fn plan_if_short(&mut self) {
        if self
            .run_answered
            .is_some_and(|answered| answered.elapsed() < SHORT_RUN)
        {
            self.plan();
        }
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.front().copied()
    }

    /// The one that was due is sent.
    pub(super) fn sent(&mut self) {
        self.due.pop_front();
    }
}
