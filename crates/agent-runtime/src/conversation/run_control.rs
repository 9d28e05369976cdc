use std::{collections::VecDeque, time::Duration};

use crate::{
    command::{Answer, Command, StopReason},
    conversation::end_of_run_repeats::EndOfRunRepeats,
    turn::running_turn::{self, CancelReason, RunningTurn},
};

/// How long a turn may take to end by itself before it is aborted.
const STOP_GRACE: Duration = Duration::from_secs(5);

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
