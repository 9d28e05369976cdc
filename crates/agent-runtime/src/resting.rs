use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
};

use agent_tools::{Tool, Tools};
use tokio::task::spawn_blocking;

use crate::{command::Command, common::lock, shared::Shared};

/// The conversations at rest whose tools are still open, the longest at rest first. Each may hold a
/// shell, and with it processes and file descriptors, so there is a limit.
pub(crate) struct Resting {
    limit: usize,
    queue: Mutex<VecDeque<OpenTools>>,
}

/// A conversation at rest, and its tools.
#[derive(Clone)]
struct OpenTools {
    shared: Weak<Shared>,
    tools: Vec<Weak<dyn Tool>>,
}

impl Resting {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            queue: Mutex::default(),
        }
    }

    /// Adds a conversation whose turn has just ended. Beyond the limit, the one that can best do
    /// without is asked to close its tools.
    pub(crate) async fn add(&self, shared: &Arc<Shared>, tools: &Tools) {
        self.remove(shared);
        lock(&self.queue).push_back(OpenTools {
            shared: Arc::downgrade(shared),
            tools: tools.iter().map(Arc::downgrade).collect(),
        });
        while let Some(all) = self.too_many() {
            // It looks at processes. A panic there is one of a tool, and leaves the first.
            let first = all.front().cloned();
            let found = spawn_blocking(move || least_needed(&all).cloned()).await;
            let Some(chosen) = found.ok().flatten().or(first) else {
                return;
            };
            let shared = chosen.shared.upgrade();
            // Unless another was faster.
            if let Some(shared) = shared.filter(|shared| self.remove(shared)) {
                shared.nudge(Command::CloseTools);
            }
        }
    }

    /// Whether a conversation may keep its tools open.
    pub(crate) fn holds(&self, shared: &Arc<Shared>) -> bool {
        lock(&self.queue).iter().any(|open| open.belongs_to(shared))
    }

    /// Takes out a conversation that is at rest no longer, or has closed its tools. Whether it was there.
    pub(crate) fn remove(&self, shared: &Arc<Shared>) -> bool {
        let mut queue = lock(&self.queue);
        let before = queue.len();
        queue.retain(|open| !open.belongs_to(shared));
        queue.len() < before
    }

    /// All of them, if they are more than may be.
    fn too_many(&self) -> Option<VecDeque<OpenTools>> {
        let mut queue = lock(&self.queue);
        queue.retain(|open| open.shared.strong_count() > 0);
        (queue.len() > self.limit).then(|| queue.clone())
    }
}

impl OpenTools {
    fn belongs_to(&self, shared: &Arc<Shared>) -> bool {
        std::ptr::eq(self.shared.as_ptr(), Arc::as_ptr(shared))
    }

    fn is_followed(&self) -> bool {
        let shared = self.shared.upgrade();
        shared.is_some_and(|shared| shared.is_followed())
    }

    fn is_busy(&self) -> bool {
        let tools = self.tools.iter().filter_map(Weak::upgrade);
        tools.into_iter().any(|tool| tool.is_busy())
    }
}

/// The first that runs nothing, of those first that nobody follows; else the first that nobody
/// follows; else the first.
fn least_needed(all: &VecDeque<OpenTools>) -> Option<&OpenTools> {
    let (followed, alone): (Vec<_>, Vec<_>) = all.iter().partition(|open| open.is_followed());
    let in_order = || alone.iter().chain(&followed).copied();
    in_order()
        .find(|open| !open.is_busy())
        .or_else(|| in_order().next())
}
