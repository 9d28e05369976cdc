use std::time::Duration;

use agent_tools::Tools;
use tokio::{task::spawn_blocking, time::Instant};

use crate::residency::live_conversation::LiveConversation;

/// Between looks at what an unused conversation still runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Whether a conversation without a run may leave memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdleVerdict {
    /// It may, and this is why.
    Leave(&'static str),
    /// Not before this time, when it is to be looked at again; never if there is none.
    Stay(Option<Instant>),
}

/// Looks at a conversation whose actor had nothing to do since `last_active`.
pub(crate) async fn look(live: &LiveConversation, last_active: Instant) -> IdleVerdict {
    const UNUSED: &str = "it was not used for idle_ttl";
    let Some(tools) = live.tools.get() else {
        // There is nothing to lose: the next command or read finds all of it in the store.
        return IdleVerdict::Leave(UNUSED);
    };
    let config = &live.runtime.config;
    let now = Instant::now();
    if live.is_followed() {
        // The end of that counts as a read.
        return IdleVerdict::Stay(now.checked_add(config.idle_ttl));
    }
    let used = last_active.max(live.last_read());
    let due = used.checked_add(config.idle_ttl);
    if due.is_none_or(|due| due > now) {
        return IdleVerdict::Stay(due);
    }
    if !is_busy(&tools.all()).await {
        return IdleVerdict::Leave(UNUSED);
    }
    let next_look = now + LOOK_INTERVAL.min(config.idle_ttl);
    match used.checked_add(config.idle_jobs_ttl) {
        Some(limit) if limit <= now => IdleVerdict::Leave("it was not used for idle_jobs_ttl"),
        Some(limit) => IdleVerdict::Stay(Some(limit.min(next_look))),
        None => IdleVerdict::Stay(Some(next_look)),
    }
}

/// Whether closing the tools would end something that runs.
pub(crate) async fn is_busy(tools: &Tools) -> bool {
    let tools = tools.clone();
    let asked = spawn_blocking(move || tools.iter().any(|tool| tool.is_busy()));
    // A tool that panics here does not keep the conversation in memory.
    asked.await.unwrap_or(false)
}
