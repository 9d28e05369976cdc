use core_model::port::{Attempt, DeliveriesError, Rewound};
use paperclip::actix::api_v2_operation;

use super::{
    examples,
    path::{DeliveryId, WebhookName},
    rewind::RewindRequest,
};
use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler, refusals},
    reply::Reply,
    request::{Body, Path, Server},
};

pub(super) const REDELIVER: Operation = Operation {
    paths: both!("/webhooks/{name}/deliveries/{delivery_id}/redeliver"),
    refusals: &[&refusals::EVENTS_GONE],
    example: Some(|_| examples::attempt()),
    ..Operation::post("redeliver", Tag::Webhooks, handler!(redeliver))
};

/// Redeliver
///
/// At once and only once, outside the order in which events are delivered: newer events may have arrived
/// before, so the receiver should check the seqs. A dead letter that is accepted this time stops being one.
/// Answers when the receiver has, or did not in time: 200 with `delivered: false` and the reason when it
/// did not accept it.
#[api_v2_operation]
async fn redeliver(
    server: Server,
    path: Path<WebhookName>,
    delivery: Path<DeliveryId>,
) -> Result<Reply<Attempt>, Failure> {
    let deliveries = path.0.deliveries(&server)?;
    let work = async move { deliveries.redeliver(&path.0.0, &delivery.0.0).await };
    run_detached(&server, work).await
}

pub(super) const TEST: Operation = Operation {
    paths: both!("/webhooks/{name}/test"),
    example: Some(|_| examples::attempt()),
    ..Operation::post("test_webhook", Tag::Webhooks, handler!(test))
};

/// Test a webhook
///
/// Sends one event that is in no log and counts for nothing, to see whether the receiver answers. 200 with
/// `delivered: false` and the reason when it did not accept it.
#[api_v2_operation]
async fn test(server: Server, path: Path<WebhookName>) -> Result<Reply<Attempt>, Failure> {
    let deliveries = path.0.deliveries(&server)?;
    let work = async move { deliveries.test(&path.0.0).await };
    run_detached(&server, work).await
}

pub(super) const REWIND: Operation = Operation {
    paths: both!("/webhooks/{name}/rewind"),
    refusals: &[&refusals::NOT_WANTED],
    example: Some(|_| examples::rewound()),
    ..Operation::post("rewind_webhook", Tag::Webhooks, handler!(rewind))
};

/// Rewind a webhook
///
/// To an event of one conversation, to that conversation's start, or with an empty body to the start of
/// all. From there on everything is delivered again, in order: events that the receiver has had come a
/// second time, with the same seqs. It should drop them by conversation and seq, or be ready to process
/// them again. Answers once that is on disk, before anything is sent, with how much it will be.
#[api_v2_operation]
async fn rewind(
    server: Server,
    path: Path<WebhookName>,
    body: Body<RewindRequest>,
) -> Result<Reply<Rewound>, Failure> {
    let to = body.0.into_rewind()?;
    let deliveries = path.0.deliveries(&server)?;
    let work = async move { deliveries.rewind(&path.0.0, to).await };
    run_detached(&server, work).await
}

/// Continues to the end also when the client does not wait for it: half a request to a receiver, or an
/// unfinished rewind, would be worse than either.
async fn run_detached<T: Send + 'static>(
    server: &Server,
    work: impl Future<Output = Result<T, DeliveriesError>> + Send + 'static,
) -> Result<Reply<T>, Failure> {
    let work = async move { work.await.map_err(Failure::from) };
    server.runtime.run_detached(work).await.map(Reply)
}

#[cfg(test)]
mod tests;
