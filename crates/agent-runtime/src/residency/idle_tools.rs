use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
};

use agent_tools::{Tool, Tools};
use tokio::task::spawn_blocking;

use crate::{command::CommandRequest, lock::lock, residency::live_conversation::LiveConversation};

/// The conversations without a run whose tools are still open, the longest idle first. Each may hold a
/// shell, and with it processes and file descriptors, so there is a limit.
pub(crate) struct IdleTools {
    limit: usize,
    queue: Mutex<VecDeque<Idle>>,
}

/// A conversation without a run, and its tools.
#[derive(Clone)]
struct Idle {
    live: Weak<LiveConversation>,
    tools: Vec<Weak<dyn Tool>>,
}

impl IdleTools {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            queue: Mutex::default(),
        }
    }

    /// Adds a conversation whose turn has just ended. Beyond the limit, the one that can best do without
    /// is asked to close its tools.
    pub(crate) async fn add(&self, live: &Arc<LiveConversation>, tools: &Tools) {
        self.remove(live);
        lock(&self.queue).push_back(Idle {
            live: Arc::downgrade(live),
            tools: tools.iter().map(Arc::downgrade).collect(),
        });
        while let Some(all) = self.beyond_limit() {
            // It looks at processes. A panic there is one of a tool, and leaves the first.
            let first = all.front().cloned();
            let found = spawn_blocking(move || least_needed(&all).cloned()).await;
            let Some(chosen) = found.ok().flatten().or(first) else {
                return;
            };
            let live = chosen.live.upgrade();
            // Unless another was faster.
            if let Some(live) = live.filter(|live| self.remove(live)) {
                live.suggest(CommandRequest::CloseTools);
            }
        }
    }

    /// Whether a conversation may keep its tools open.
    pub(crate) fn holds(&self, live: &Arc<LiveConversation>) -> bool {
        lock(&self.queue).iter().any(|idle| idle.belongs_to(live))
    }

    /// Takes out a conversation that has a run again, or has closed its tools. Whether it was there.
    pub(crate) fn remove(&self, live: &Arc<LiveConversation>) -> bool {
        let mut queue = lock(&self.queue);
        let before = queue.len();
        queue.retain(|idle| !idle.belongs_to(live));
        queue.len() < before
    }

    /// All of them, if they are more than may be.
    fn beyond_limit(&self) -> Option<VecDeque<Idle>> {
        let mut queue = lock(&self.queue);
        queue.retain(|idle| idle.live.strong_count() > 0);
        (queue.len() > self.limit).then(|| queue.clone())
    }
}

impl Idle {
    fn belongs_to(&self, live: &Arc<LiveConversation>) -> bool {
        std::ptr::eq(self.live.as_ptr(), Arc::as_ptr(live))
    }

    fn is_followed(&self) -> bool {
        let live = self.live.upgrade();
        live.is_some_and(|live| live.is_followed())
    }

    fn is_busy(&self) -> bool {
        let tools = self.tools.iter().filter_map(Weak::upgrade);
        tools.into_iter().any(|tool| tool.is_busy())
    }
}

/// The first that runs nothing, with those first that nobody follows; else the first that nobody
/// follows; else the first.
fn least_needed(all: &VecDeque<Idle>) -> Option<&Idle> {
    let (followed, alone): (Vec<_>, Vec<_>) = all.iter().partition(|idle| idle.is_followed());
    let in_order = || alone.iter().chain(&followed).copied();
    in_order()
        .find(|idle| !idle.is_busy())
        .or_else(|| in_order().next())
}
