//! Files that tools keep beside the log, in a copy of a conversation: written again as the log tells.

use std::{collections::HashSet, io};

use agent_tools::KeptFile;
use core_model::{EventBody, EventId, HeadFilter, Limit, Seq};
use tokio::task::spawn_blocking;
use workspace::ToolFiles;

use crate::{RuntimeError, branch::Branches, residency::live_conversation::LiveConversation};

/// Observations that are looked at together.
const STRIDE: usize = 64;

/// Writes those files of the tools that were used and that are not there, as they were at HEAD. A file that
/// cannot be is left out, with a warning: its tool begins with none.
pub(crate) async fn restore(live: &LiveConversation) {
    for name in &live.now().state.used_tools {
        let Some(kept) = agent_tools::kept_file(name) else {
            continue;
        };
        if let Err(error) = restore_one(live, name, kept).await {
            tracing::warn!(
                conversation.id = %live.id, file = kept.name, %error,
                "a tool's file is missing and cannot be written again"
            );
        }
    }
}

async fn restore_one(
    live: &LiveConversation,
    tool: &str,
    kept: KeptFile,
) -> Result<(), RuntimeError> {
    let files = ToolFiles::new(&live.folder);
    let looked = files.clone();
    if blocking(move || looked.has(kept.name)).await? {
        return Ok(());
    }
    let Some(bytes) = at_head(live, tool, kept).await? else {
        return Ok(());
    };
    blocking(move || files.replace(kept.name, &bytes)).await
}

/// What the newest observation of HEAD's branch tells of a file.
async fn at_head(
    live: &LiveConversation,
    tool: &str,
    kept: KeptFile,
) -> Result<Option<Vec<u8>>, RuntimeError> {
    let now = live.now();
    let log = live.log.as_ref();
    let branch: Option<HashSet<EventId>> = match now.state.head_moved {
        true => Some(Branches::read(log, now.extent.len).await?.to_head()),
        false => None,
    };
    let observations = HeadFilter {
        kinds: vec!["ObservationEvent".to_owned()],
        ..HeadFilter::default()
    };
    let mut end = now.extent.len;
    loop {
        let range = Seq(0)..end;
        let seqs = log.select(&observations, range, true, STRIDE).await?;
        let Some(oldest) = seqs.last() else {
            return Ok(None);
        };
        end = *oldest;
        let mut rest = seqs.as_slice();
        while !rest.is_empty() {
            let records = log.read_at(rest, Limit::BYTES).await?;
            for record in &records {
                let on_branch = |branch: &HashSet<EventId>| branch.contains(&record.head.id);
                if !branch.as_ref().is_none_or(on_branch) {
                    continue;
                }
                if let Ok(event) = record.event()
                    && let EventBody::ObservationEvent(seen) = &event.body
                    && seen.tool_name == tool
                    && let Some(bytes) = (kept.after)(&seen.observation)
                {
                    return Ok(Some(bytes));
                }
            }
            let Some(last) = records.last() else { break };
            let read = rest.iter().position(|seq| *seq == last.seq);
            rest = &rest[read.map_or(rest.len(), |at| at + 1)..];
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RuntimeError> {
    let done = spawn_blocking(work).await;
    let done = done.map_err(|error| RuntimeError::Internal(error.to_string()))?;
    done.map_err(|error| RuntimeError::Internal(error.to_string()))
}
