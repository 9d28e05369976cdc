//! Which calls of a group run at the same time, and in which order their outputs come.

use std::collections::{BTreeMap, VecDeque};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};

/// Whether a call may run beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Beside all others that are shared.
    Shared,
    /// Alone.
    Exclusive,
}

/// Calls that start in their order, at most `limit` at a time, shared ones beside each other, exclusive
/// ones alone. Their outputs come in the order of the calls, also when a later call ends first.
pub(super) struct OrderedCalls<'a, T> {
    limit: usize,
    waiting: VecDeque<(Access, BoxFuture<'a, T>)>,
    running: FuturesUnordered<BoxFuture<'a, (usize, T)>>,
    /// Whether the call that runs is exclusive.
    is_exclusive: bool,
    started: usize,
    /// Outputs that came before their turn, by their call's position.
    ended: BTreeMap<usize, T>,
    /// The position of the next output.
    next: usize,
}

impl<'a, T: Send + 'a> OrderedCalls<'a, T> {
    /// Nothing starts before [`Self::next`].
    pub(super) fn new(
        limit: usize,
        calls: impl IntoIterator<Item = (Access, BoxFuture<'a, T>)>,
    ) -> Self {
        Self {
            limit: limit.max(1),
            waiting: calls.into_iter().collect(),
            running: FuturesUnordered::new(),
            is_exclusive: false,
            started: 0,
            ended: BTreeMap::new(),
            next: 0,
        }
    }

    /// The output of the next call in order; none when all that started have ended and none is to start.
    ///
    /// # Cancel safety
    /// Loses nothing; the calls make progress only while this is awaited.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            // Before others start: with a limit of one, a call begins after the last one's output is used.
            if let Some(output) = self.ended.remove(&self.next) {
                self.next += 1;
                return Some(output);
            }
            self.start_waiting();
            let (position, output) = self.running.next().await?;
            self.ended.insert(position, output);
        }
    }

    /// Starts no more calls. Those that run go to their end.
    pub(super) fn start_no_more(&mut self) {
        self.waiting.clear();
    }

    /// Waits for the calls that run and drops their outputs; returns those that had come before, in order.
    pub(super) async fn abandon(mut self) -> Vec<T> {
        while self.running.next().await.is_some() {}
        self.ended.into_values().collect()
    }

    fn start_waiting(&mut self) {
        while let Some((access, _)) = self.waiting.front()
            && self.admits(*access)
            && let Some((access, call)) = self.waiting.pop_front()
        {
            let position = self.started;
            self.started += 1;
            self.is_exclusive = access == Access::Exclusive;
            self.running
                .push(Box::pin(async move { (position, call.await) }));
        }
    }

    fn admits(&self, access: Access) -> bool {
        let beside_others = access == Access::Shared && !self.is_exclusive;
        self.running.is_empty() || beside_others && self.running.len() < self.limit
    }
}

#[cfg(test)]
mod tests;
