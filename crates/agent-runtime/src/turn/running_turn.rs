use std::{sync::Arc, time::Duration};

use telemetry::TurnEnded;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::{
    command::{Answer, StopReason},
    residency::live_conversation::LiveConversation,
    run_slot::RunSlot,
    turn::{
        outcome::{Outcome, Purpose},
        proposal::Proposal,
        state::TurnSignals,
        steps,
    },
};

/// A running turn as its actor holds it.
pub(crate) struct RunningTurn {
    purpose: Purpose,
    task: JoinHandle<Outcome>,
    span: Span,
    cancel: CancellationToken,
    pause: watch::Sender<bool>,
    slot: RunSlot,
    stop: Option<CancelReason>,
    /// When a turn that is to end is aborted.
    abort_at: Option<Instant>,
    /// Who waits for its end, and why the actor is to stop after it, if it is.
    answers: Vec<(Option<StopReason>, Answer)>,
}

/// A turn that is to start.
pub(crate) struct TurnStart {
    pub(crate) purpose: Purpose,
    pub(crate) slot: RunSlot,
    /// Who waits for its end.
    pub(crate) answers: Vec<(Option<StopReason>, Answer)>,
}

impl TurnStart {
    /// The agent works; nobody waits for the end.
    pub(crate) fn work(slot: RunSlot) -> Self {
        Self {
            purpose: Purpose::Work,
            slot,
            answers: Vec::new(),
        }
    }
}

/// What is left of a turn that has ended.
pub(crate) struct EndedTurn {
    pub(crate) stop: Option<CancelReason>,
    pub(crate) answers: Vec<(Option<StopReason>, Answer)>,
    pub(crate) slot: RunSlot,
    /// Whether it was asked to pause, and not to continue since.
    pub(crate) paused: bool,
}

/// Why a turn is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelReason {
    Interrupt,
    ActorStops(StopReason),
}

impl RunningTurn {
    /// Starts a turn as a task of its own.
    pub(crate) fn start(
        live: Arc<LiveConversation>,
        proposer: mpsc::Sender<Proposal>,
        start: TurnStart,
    ) -> Self {
        let cancel = CancellationToken::new();
        let (pause, asked_to_pause) = watch::channel(false);
        let signals = TurnSignals {
            cancel: cancel.clone(),
            pause: asked_to_pause,
        };
        let tokio = live.runtime.tokio.clone();
        let span = telemetry::turn(&live.id);
        let run = steps::run_turn(live, proposer, signals, start.purpose.clone());
        let run = run.instrument(span.clone());
        Self {
            purpose: start.purpose,
            task: tokio.spawn(run),
            span,
            cancel,
            pause,
            slot: start.slot,
            stop: None,
            abort_at: None,
            answers: start.answers,
        }
    }

    /// Asks the turn to end at its next step, and its tool to wait no longer.
    pub(crate) fn pause(&self) {
        self.pause.send_replace(true);
    }

    /// Takes a pause back; whether there was one.
    pub(crate) fn unpause(&self) -> bool {
        self.pause.send_replace(false)
    }

    /// Ends the turn now; aborts it if it takes longer than `grace`. A stop of the actor outranks an
    /// interrupt.
    pub(crate) fn stop(&mut self, stop: CancelReason, grace: Duration, answer: Answer) {
        self.cancel(grace);
        let reason = match stop {
            CancelReason::Interrupt => {
                self.stop.get_or_insert(stop);
                None
            }
            CancelReason::ActorStops(reason) => {
                self.stop = Some(stop);
                Some(reason)
            }
        };
        self.answers.push((reason, answer));
    }

    /// Ends the turn now, for no reason that the log is told; aborts it if it takes longer than `grace`.
    pub(crate) fn cancel(&mut self, grace: Duration) {
        self.cancel.cancel();
        self.abort_at.get_or_insert_with(|| Instant::now() + grace);
    }

    /// Whether it does more than condense the context: it works, or its work is judged.
    pub(crate) fn is_work(&self) -> bool {
        self.purpose != Purpose::Condense
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    pub(crate) fn into_ended(self) -> EndedTurn {
        EndedTurn {
            stop: self.stop,
            answers: self.answers,
            slot: self.slot,
            paused: *self.pause.borrow(),
        }
    }
}

/// Waits for a turn's end, if there is a turn.
///
/// # Cancel safety
/// Loses nothing.
pub(crate) async fn end(turn: &mut Option<RunningTurn>) -> Outcome {
    let Some(turn) = turn else {
        return std::future::pending().await;
    };
    let abort_at = turn.abort_at;
    let joined = tokio::select! {
        joined = &mut turn.task => joined,
        () = async { match abort_at {
            Some(time) => sleep_until(time).await,
            None => std::future::pending().await,
        }} => {
            turn.task.abort();
            (&mut turn.task).await
        }
    };
    let outcome = match joined {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Outcome::cancelled(),
        Err(error) => {
            tracing::error!(%error, "a turn panicked");
            Outcome::Panicked
        }
    };
    let ended = TurnEnded {
        error: outcome.error(),
    };
    ended.emit(&turn.span);
    outcome
}
