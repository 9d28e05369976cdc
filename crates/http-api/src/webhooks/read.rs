use core_model::port::{DeliveryList, WebhookInfo};
use paperclip::actix::api_v2_operation;
use serde_json::json;

use super::{examples, path::WebhookName, query::DeliveryListParams};
use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler},
    reply::Reply,
    request::{Path, Query, Server},
};

pub(super) const LIST: Operation = Operation {
    paths: both!("/webhooks"),
    example: Some(|_| json!([examples::webhook()])),
    ..Operation::get("list_webhooks", Tag::Webhooks, handler!(list))
};

/// List webhooks
///
/// The state of each, in the order of the configuration: whether its receiver accepts what it is sent, how
/// far it is behind, and what went wrong last. Empty where none is configured.
#[api_v2_operation]
async fn list(server: Server) -> Result<Reply<Vec<WebhookInfo>>, Failure> {
    Ok(Reply(match &server.config.webhooks {
        Some(deliveries) => deliveries.webhooks().await,
        None => Vec::new(),
    }))
}

pub(super) const GET: Operation = Operation {
    paths: both!("/webhooks/{name}"),
    example: Some(|_| examples::webhook()),
    ..Operation::get("get_webhook", Tag::Webhooks, handler!(get))
};

/// Get a webhook
///
/// Its state. `parked` means that its receiver accepts nothing: the events wait in their logs, the receiver
/// is asked again from time to time, and once it answers everything is sent in order.
#[api_v2_operation]
async fn get(server: Server, path: Path<WebhookName>) -> Result<Reply<WebhookInfo>, Failure> {
    let WebhookName(name) = &path.0;
    let mut webhooks = path.0.deliveries(&server)?.webhooks().await;
    // A name may look like another webhook's id; what people chose takes precedence.
    let named = webhooks.iter().position(|it| it.name == *name);
    let found = named.or_else(|| webhooks.iter().position(|it| it.id == *name));
    match found {
        Some(at) => Ok(Reply(webhooks.swap_remove(at))),
        None => Err(Failure::WebhookNotFound(path.0.0)),
    }
}

pub(super) const DELIVERIES: Operation = Operation {
    paths: both!("/webhooks/{name}/deliveries"),
    example: Some(|_| examples::deliveries()),
    ..Operation::get("list_deliveries", Tag::Webhooks, handler!(deliveries))
};

/// List a webhook's deliveries
///
/// The last ones, the newest first, as their last attempt left them; and the dead letters, the oldest
/// first: those that the receiver refused for good, or that were given up as configured. The `id` of one
/// is what its requests had as `webhook-id`, the same on every attempt: with it the receiver's log can be
/// searched, and the events be redelivered. Only dead letters outlive a restart of the server.
#[api_v2_operation]
async fn deliveries(
    server: Server,
    path: Path<WebhookName>,
    query: Query<DeliveryListParams>,
) -> Result<Reply<DeliveryList>, Failure> {
    let deliveries = path.0.deliveries(&server)?;
    let mut list = deliveries.deliveries(&path.0.0).await?;
    if let Some(limit) = query.0.limit {
        list.items.truncate(limit.0);
    }
    Ok(Reply(list))
}
