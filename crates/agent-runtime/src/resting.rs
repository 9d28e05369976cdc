use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
};

use crate::{command::Command, common::lock, shared::Shared};

/// The conversations at rest whose tools are still open, the longest at rest first. Each may hold a
/// shell, and with it processes and file descriptors, so there is a limit.
pub(crate) struct Resting {
    limit: usize,
    queue: Mutex<VecDeque<Weak<Shared>>>,
}

impl Resting {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            queue: Mutex::default(),
        }
    }

    /// Adds a conversation whose turn has just ended. Beyond the limit, the one that rested longest
    /// is asked to close its tools.
    pub(crate) fn add(&self, shared: &Arc<Shared>) {
        let mut queue = lock(&self.queue);
        queue.retain(|other| {
            let alive = other.strong_count() > 0;
            alive && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(shared))
        });
        queue.push_back(Arc::downgrade(shared));
        let one_too_many = if queue.len() > self.limit {
            queue.pop_front()
        } else {
            None
        };
        drop(queue);
        if let Some(longest) = one_too_many.and_then(|longest| longest.upgrade()) {
            longest.nudge(Command::CloseTools);
        }
    }

    /// Whether a conversation may keep its tools open.
    pub(crate) fn holds(&self, shared: &Arc<Shared>) -> bool {
        let queue = lock(&self.queue);
        queue
            .iter()
            .any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(shared)))
    }
}
