//! What people ask of a webhook.

use core_model::port::{Attempt, DeliveriesError, DeliveryList, Rewind, Rewound, WebhookInfo};
use tokio::sync::oneshot;

pub(crate) enum Command {
    Info(oneshot::Sender<WebhookInfo>),
    Deliveries(oneshot::Sender<DeliveryList>),
    Redeliver {
        id: String,
        reply: oneshot::Sender<Result<Attempt, DeliveriesError>>,
    },
    Test(oneshot::Sender<Attempt>),
    Rewind {
        to: Rewind,
        reply: oneshot::Sender<Result<Rewound, DeliveriesError>>,
    },
    /// Sends what waits, if the receiver takes it, records everything, and ends.
    Drain(oneshot::Sender<()>),
}
