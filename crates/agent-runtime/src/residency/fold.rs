use core_model::{ConversationState, EventLog, Limit, Metadata, Seq, StoreError};

/// Records folded at a time.
const STRIDE: usize = 1024;

/// The state that a log describes, folded from the stored snapshot on, or from the start when that does
/// not fit.
pub(crate) async fn fold(
    log: &dyn EventLog,
    metadata: &Metadata,
) -> Result<ConversationState, StoreError> {
    let (mut state, mut next) = match &metadata.snapshot {
        Some(snapshot) if snapshot.as_of <= log.len() && snapshot.bytes <= log.size() => {
            (snapshot.state.clone(), snapshot.as_of)
        }
        _ => (ConversationState::new(metadata), Seq(0)),
    };
    while next < log.len() {
        let records = log.read(next, Limit::records(STRIDE)).await?;
        let Some(last) = records.last() else { break };
        next = last.seq.after(1);
        for record in &records {
            match record.event() {
                Ok(event) => state.apply(&event),
                Err(error) => tracing::warn!(
                    conversation.id = %metadata.id, seq = %record.seq, %error,
                    "an event cannot be read and is left out of the state"
                ),
            }
        }
    }
    Ok(state)
}
