use std::time::Duration;

use core_model::event::{ErrorClassification, FailureKind, UserAction};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    command::{Answer, StopReason},
    turn::{
        outcome::{Failure, Outcome},
        step::{self, TurnContext},
    },
};

/// A running turn as its actor holds it.
pub(crate) struct RunningTurn {
    task: JoinHandle<Outcome>,
    cancel: CancellationToken,
    pause: watch::Sender<bool>,
    permit: OwnedSemaphorePermit,
    stop: Option<CancelReason>,
    /// When a turn that was told to stop is aborted.
    abort_at: Option<Instant>,
    /// Who waits for its end, and whether they want the actor gone.
    answers: Vec<(Option<StopReason>, Answer<()>)>,
}

/// What is left of a turn that has ended.
pub(crate) struct Parts {
    pub(crate) stop: Option<CancelReason>,
    pub(crate) answers: Vec<(Option<StopReason>, Answer<()>)>,
    pub(crate) permit: OwnedSemaphorePermit,
    /// Whether it was asked to pause, and not asked to go on since.
    pub(crate) paused: bool,
}

/// Why a turn is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelReason {
    Interrupt,
    ActorStops(StopReason),
}

impl RunningTurn {
    /// Starts a turn as a task of its own; one that could not be set up ends at once.
    pub(crate) fn start(
        context: Result<TurnContext, Failure>,
        permit: OwnedSemaphorePermit,
        tokio: &Handle,
    ) -> Self {
        let cancel = CancellationToken::new();
        let (pause, asked_to_pause) = watch::channel(false);
        let task = match context {
            Ok(context) => tokio.spawn(step::take_all(context, cancel.clone(), asked_to_pause)),
            Err(Failure(code, detail)) => {
                let kind = FailureKind::Config;
                let classification = ErrorClassification::new(kind, false, UserAction::Settings);
                let code = code.to_owned();
                tokio.spawn(async {
                    Outcome::Failed {
                        code,
                        detail,
                        classification,
                    }
                })
            }
        };
        Self {
            task,
            cancel,
            pause,
            permit,
            stop: None,
            abort_at: None,
            answers: Vec::new(),
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

    /// Ends the turn now; aborts it if it takes longer than `patience`. A reason outranks an
    /// interruption.
    pub(crate) fn stop(&mut self, stop: CancelReason, patience: Duration, answer: Answer<()>) {
        self.cancel.cancel();
        self.abort_at
            .get_or_insert_with(|| Instant::now() + patience);
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

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            stop: self.stop,
            answers: self.answers,
            permit: self.permit,
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
    match joined {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Outcome::Cancelled,
        Err(error) => {
            tracing::error!(%error, "a turn panicked");
            Outcome::Panicked
        }
    }
}
