//! The requests under way.

use std::{pin::Pin, sync::Arc};

use core_model::port::Attempt;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::oneshot;

use super::redeliveries::Redelivery;
use crate::{
    endpoint::Endpoint,
    job::{Done, Job, test},
    sent::Sent,
};

/// What a job was for.
pub(super) enum Finished {
    /// The next delivery of a log.
    Delivery(Done),
    Redelivery(Redelivery, Done),
    Test(Sent, oneshot::Sender<Attempt>),
}

#[derive(Default)]
pub(super) struct Jobs {
    all: FuturesUnordered<Pin<Box<dyn Future<Output = Finished> + Send>>>,
    deliveries: u32,
}

impl Jobs {
    pub(super) fn deliver(&mut self, job: Job, endpoint: &Arc<Endpoint>) {
        let endpoint = Arc::clone(endpoint);
        self.deliveries += 1;
        let work = async move { Finished::Delivery(job.run(&endpoint).await) };
        self.all.push(Box::pin(work));
    }

    pub(super) fn redeliver(&mut self, redelivery: Redelivery, endpoint: &Arc<Endpoint>) {
        let endpoint = Arc::clone(endpoint);
        let job = Job {
            of: redelivery.of,
            round: 0,
            rewound: None,
            deleted: false,
            log: None,
            task: redelivery.task.clone(),
        };
        let work = async move { Finished::Redelivery(redelivery, job.run(&endpoint).await) };
        self.all.push(Box::pin(work));
    }

    pub(super) fn test(&mut self, reply: oneshot::Sender<Attempt>, endpoint: &Arc<Endpoint>) {
        let endpoint = Arc::clone(endpoint);
        let work = async move { Finished::Test(test(&endpoint).await, reply) };
        self.all.push(Box::pin(work));
    }

    /// The next one that is finished; none while nothing is under way.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn next(&mut self) -> Option<Finished> {
        let finished = self.all.next().await?;
        if matches!(finished, Finished::Delivery(_)) {
            self.deliveries -= 1;
        }
        Some(finished)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many of them deliver a log in its order.
    pub(super) fn deliveries(&self) -> u32 {
        self.deliveries
    }
}
