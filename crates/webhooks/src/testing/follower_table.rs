use std::collections::HashMap;

use core_model::port::FollowerRecords;

/// The records of all followers, and what a loss of power would leave of them.
#[derive(Default)]
pub(super) struct FollowerTable(HashMap<String, Follower>);

#[derive(Default)]
struct Follower {
    records: FollowerRecords,
    durable: Option<FollowerRecords>,
}

impl FollowerTable {
    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn load(&self, follower: &str) -> Option<FollowerRecords> {
        let found = self.0.get(follower);
        found.map(|follower| follower.records.clone())
    }

    /// Records something about a follower.
    pub(super) fn change(&mut self, follower: &str) -> &mut FollowerRecords {
        &mut self.0.entry(follower.to_owned()).or_default().records
    }

    pub(super) fn flush(&mut self, follower: &str) {
        if let Some(follower) = self.0.get_mut(follower) {
            follower.durable = Some(follower.records.clone());
        }
    }

    pub(super) fn forget(&mut self, follower: &str) {
        self.0.remove(follower);
    }

    /// Only what was flushed is left.
    pub(super) fn lose_power(&mut self) {
        self.0.retain(|_, follower| match &follower.durable {
            Some(durable) => {
                follower.records = durable.clone();
                true
            }
            None => false,
        });
    }
}
