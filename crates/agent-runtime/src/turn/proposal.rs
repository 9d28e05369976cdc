use core_model::Draft;
use tokio::sync::{mpsc, oneshot};

use crate::{
    command::{Answer, SpentCall},
    turn::outcome::Outcome,
};

/// Events that a turn asks its actor to append.
pub(crate) struct Proposal {
    /// The model call that they come of: it is counted before them.
    pub(crate) call: Option<Box<SpentCall>>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) answer: Answer,
}

/// Has events appended; they are durable and visible when this returns.
///
/// # Errors
/// How the turn ends when they cannot be appended.
pub(super) async fn propose(
    proposer: &mpsc::Sender<Proposal>,
    call: Option<SpentCall>,
    drafts: Vec<Draft>,
) -> Result<(), Outcome> {
    if call.is_none() && drafts.is_empty() {
        return Ok(());
    }
    let (answer, answered) = oneshot::channel();
    let proposal = Proposal {
        call: call.map(Box::new),
        drafts,
        answer,
    };
    let cancelled = Outcome::cancelled;
    proposer
        .send(proposal)
        .await
        .map_err(|_closed| cancelled())?;
    let appended = answered.await.map_err(|_dropped| cancelled())?;
    appended.map_err(|error| {
        Outcome::internal(format!(
            "the conversation's log could not be written: {error}"
        ))
    })
}
