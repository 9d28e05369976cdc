//! Webhooks: how they stand, what became of their deliveries, and sending again.

use std::sync::Arc;

use core_model::port::{Attempt, Deliveries, DeliveriesError, DeliveryList, Rewound, WebhookInfo};
use paperclip::actix::api_v2_operation;

use crate::{
    error::Failure,
    extract::{Body, DeliveryPath, Query, Server, WebhookPath},
    query::DeliveryListParams,
    reply::Reply,
    wire::RewindRequest,
};

/// List the webhooks
///
/// How each stands, in the order of the configuration: whether its receiver takes what it is sent, how
/// far it is behind, and what went wrong last. Empty where none is configured.
#[api_v2_operation(tags("Webhooks"), operation_id = "list_webhooks")]
pub(crate) async fn list(server: Server) -> Result<Reply<Vec<WebhookInfo>>, Failure> {
    Ok(Reply(match &server.0.config.webhooks {
        Some(deliveries) => deliveries.webhooks().await,
        None => Vec::new(),
    }))
}

/// Get a webhook
///
/// How it stands. `parked` means that its receiver takes nothing: the events wait in their logs, the
/// receiver is asked again from time to time, and once it answers everything is sent in order.
#[api_v2_operation(tags("Webhooks"), operation_id = "get_webhook")]
pub(crate) async fn get(server: Server, path: WebhookPath) -> Result<Reply<WebhookInfo>, Failure> {
    let deliveries = deliveries_of(&server, &path)?;
    let mut webhooks = deliveries.webhooks().await;
    // A name may look like another webhook's id; what people chose comes first.
    let named = webhooks.iter().position(|it| it.name == path.0);
    let found = named.or_else(|| webhooks.iter().position(|it| it.id == path.0));
    match found {
        Some(at) => Ok(Reply(webhooks.swap_remove(at))),
        None => Err(Failure::WebhookNotFound(path.0)),
    }
}

/// List a webhook's deliveries
///
/// The last ones, the newest first, as their last attempt left them; and the dead letters, the oldest
/// first: those that the receiver refused for good, or that were given up as configured. The `id` of one
/// is what its requests had as `webhook-id`, the same on every attempt: with it the receiver's log can be
/// searched, and the events be sent again. Only dead letters outlive a restart of the server.
#[api_v2_operation(tags("Webhooks"), operation_id = "list_deliveries")]
pub(crate) async fn deliveries(
    server: Server,
    path: WebhookPath,
    query: Query<DeliveryListParams>,
) -> Result<Reply<DeliveryList>, Failure> {
    let deliveries = deliveries_of(&server, &path)?;
    let mut list = deliveries.deliveries(&path.0).await?;
    if let Some(limit) = query.0.limit {
        list.items.truncate(limit);
    }
    Ok(Reply(list))
}

/// Send a delivery again
///
/// At once and only once, beside the order in which events are delivered: newer events may have arrived
/// before, so the receiver should look at the seqs. A dead letter that is taken this time is one no more.
/// Answers when the receiver has, or did not in time: 200 with `delivered: false` and the reason when it
/// did not take it.
#[api_v2_operation(tags("Webhooks"), operation_id = "redeliver")]
pub(crate) async fn redeliver(
    server: Server,
    path: WebhookPath,
    delivery: DeliveryPath,
) -> Result<Reply<Attempt>, Failure> {
    let deliveries = deliveries_of(&server, &path)?;
    let work = async move { deliveries.redeliver(&path.0, &delivery.0).await };
    run_detached(&server, work).await
}

/// Send a test
///
/// One event that is in no log and counts for nothing, to see whether the receiver answers. 200 with
/// `delivered: false` and the reason when it did not take it.
#[api_v2_operation(tags("Webhooks"), operation_id = "test_webhook")]
pub(crate) async fn test(server: Server, path: WebhookPath) -> Result<Reply<Attempt>, Failure> {
    let deliveries = deliveries_of(&server, &path)?;
    let work = async move { deliveries.test(&path.0).await };
    run_detached(&server, work).await
}

/// Rewind a webhook
///
/// Takes it back to an event of one conversation, to that conversation's start, or with an empty body to
/// the start of all. From there on everything is delivered again, in order: events that the receiver has
/// had come a second time, with the same seqs. It should drop them by conversation and seq, or be ready to
/// take them anew. Answers once that is on disk, before anything is sent, with how much it will be.
#[api_v2_operation(tags("Webhooks"), operation_id = "rewind_webhook")]
pub(crate) async fn rewind(
    server: Server,
    path: WebhookPath,
    body: Body<RewindRequest>,
) -> Result<Reply<Rewound>, Failure> {
    let to = body.0.into_rewind()?;
    let deliveries = deliveries_of(&server, &path)?;
    let work = async move { deliveries.rewind(&path.0, to).await };
    run_detached(&server, work).await
}

/// What is known of deliveries; a host that delivers nothing has no webhook of any name.
fn deliveries_of(
    server: &Server,
    WebhookPath(name): &WebhookPath,
) -> Result<Arc<dyn Deliveries>, Failure> {
    let deliveries = server.0.config.webhooks.clone();
    deliveries.ok_or_else(|| Failure::WebhookNotFound(name.clone()))
}

/// Goes on to the end also when the client does not wait for it: half a request to a receiver, or a
/// rewind that nobody finished, would be worse than either.
async fn run_detached<T: Send + 'static>(
    server: &Server,
    work: impl Future<Output = Result<T, DeliveriesError>> + Send + 'static,
) -> Result<Reply<T>, Failure> {
    let runtime = &server.0.runtime;
    let done = runtime.run_detached(async move { work.await.map_err(Failure::from) });
    done.await.map(Reply)
}

#[cfg(test)]
mod tests {
    use actix_web::web;
    use agent_runtime::{Runtime, RuntimeConfig};
    use core_model::LlmSettings;
    use store_fs::{FsStore, Options};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{Api, ApiConfig};

    #[actix_web::test]
    async fn what_a_client_does_not_wait_for_is_carried_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), Options::default()).unwrap();
        let config = RuntimeConfig::new([7; 32], LlmSettings::default(), folder.path());
        let runtime = Runtime::start(config, Arc::new(store));
        let api = Api::new(runtime, ApiConfig::default()).unwrap();
        let server = Server(web::Data::from(api.shared()));

        let (begin, begun) = oneshot::channel();
        let (go_on, gone_on) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let work = async move {
            begin.send(()).unwrap();
            gone_on.await.unwrap();
            end.send(()).unwrap();
            Ok(())
        };
        tokio::select! {
            _ = run_detached(&server, work) => panic!("it cannot have ended"),
            begun = begun => begun.unwrap(),
        }
        go_on.send(()).unwrap();
        ended.await.unwrap();
    }
}
