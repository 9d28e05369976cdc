use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::StoreError;
use crate::{ConversationId, Seq, UtcTime};

/// Requests about the webhooks of a running server.
///
/// A webhook is named by its `name` or its `id`.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// The state of every webhook, in the order of the configuration.
    async fn webhooks(&self) -> Vec<WebhookInfo>;

    /// Its last deliveries and its dead letters.
    ///
    /// # Errors
    /// [`DeliveriesError::NoWebhook`].
    async fn deliveries(&self, webhook: &str) -> Result<DeliveryList, DeliveriesError>;

    /// Sends the events of a recent delivery or of a dead letter once more, at once, out of order. A dead
    /// letter that is taken is removed.
    ///
    /// # Errors
    /// [`DeliveriesError::NoWebhook`], [`DeliveriesError::NoDelivery`], or [`DeliveriesError::Gone`]
    /// when its events are gone.
    async fn redeliver(&self, webhook: &str, delivery: &str) -> Result<Attempt, DeliveriesError>;

    /// Sends one event that is in no log, to see whether the receiver answers.
    ///
    /// # Errors
    /// [`DeliveriesError::NoWebhook`].
    async fn test(&self, webhook: &str) -> Result<Attempt, DeliveriesError>;

    /// Rewinds it, so that events are delivered again.
    ///
    /// # Errors
    /// [`DeliveriesError::NoWebhook`], [`DeliveriesError::NoConversation`], [`DeliveriesError::NotWanted`],
    /// or when that cannot be made durable: then nothing is delivered again now, but may be after a restart.
    async fn rewind(&self, webhook: &str, to: Rewind) -> Result<Rewound, DeliveriesError>;
}

/// Why a request about webhooks was refused.
#[derive(Debug, Error)]
pub enum DeliveriesError {
    #[error("no webhook is called `{0}`")]
    NoWebhook(String),
    #[error("no delivery `{0}` is known; only the last ones and dead letters are")]
    NoDelivery(String),
    #[error("the events of delivery `{0}` are gone with their conversation")]
    Gone(String),
    #[error("no such conversation: {0}")]
    NoConversation(ConversationId),
    #[error("the webhook `{0}` does not want that conversation")]
    NotWanted(String),
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The state of one webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookInfo {
    /// As configured, else the address without what may be secret in it.
    pub name: String,
    /// Made from the configured name, else from the address; stays the same as long as those do.
    pub id: String,
    /// The address without user, password and query.
    pub url: String,
    pub form: WebhookForm,
    pub state: WebhookState,
    pub lag: Lag,
    /// Requests under way.
    pub in_flight: u32,
    /// Events that were taken since the server started.
    pub delivered_events: u64,
    /// Requests since the server started that were answered with 2xx.
    pub succeeded: u64,
    /// Requests since the server started that were answered otherwise, or not at all.
    pub failed: u64,
    pub last_success_at: Option<UtcTime>,
    /// Why a request, or reading a log for one, failed last; it stays after a success.
    pub last_error: Option<DeliveryFailure>,
    /// Only while it is parked.
    pub probes: Option<Probes>,
    /// The receiver asked for no requests until then, with `Retry-After`.
    pub paused_until: Option<UtcTime>,
    /// Deliveries that were given up and can be made again.
    pub dead_letters: u64,
}

/// The form in which it was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookForm {
    /// Events go to this address.
    WebhookUrl,
    /// Events go to `/events/{conversation}` below it, conversations to `/conversations`.
    BaseUrl,
}

/// What a webhook is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// Everything is delivered.
    Idle,
    /// Events wait for others, or are on their way.
    Delivering,
    /// The last request failed and is made again soon.
    Retrying,
    /// The receiver does not take events. It is probed, and the log keeps them.
    Parked,
}

/// How far a webhook is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// Events that are not delivered yet; those that a filter leaves out may be counted in. At least this
    /// many: where thousands of conversations wait, not all of them have been looked at.
    pub events: u64,
    pub conversations: u64,
    /// Since the oldest of them happened.
    pub seconds: f64,
}

/// How a receiver that takes no events is asked whether it does again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probes {
    pub since: UtcTime,
    /// How many were made.
    pub count: u32,
    pub next_at: UtcTime,
}

/// Why a request was not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryFailure {
    pub at: UtcTime,
    /// None when there was no answer.
    pub status: Option<u16>,
    pub reason: String,
}

/// The last deliveries of a webhook, the newest first, and its dead letters, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryList {
    pub items: Vec<Delivery>,
    pub dead_letters: Vec<Delivery>,
}

/// One delivery as its last attempt left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// The `webhook-id` of all its requests.
    pub id: String,
    pub subject: DeliverySubject,
    pub conversation_id: Option<ConversationId>,
    pub first_seq: Option<Seq>,
    pub last_seq: Option<Seq>,
    pub events: u64,
    pub outcome: Outcome,
    pub attempts: u32,
    pub status: Option<u16>,
    /// Why it was not taken.
    pub reason: Option<String>,
    pub at: UtcTime,
    /// How long the last attempt took.
    pub milliseconds: Option<f64>,
}

/// What a delivery is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliverySubject {
    Events,
    Conversation,
    Test,
}

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Delivered,
    /// It is made again.
    Failed,
    /// The receiver refused it for good: a dead letter.
    Dead,
    /// It failed too often, and the configuration says to continue without it: a dead letter too.
    Dropped,
}

/// The outcome of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    pub id: String,
    pub delivered: bool,
    pub status: Option<u16>,
    /// Why it was not taken.
    pub reason: Option<String>,
    pub milliseconds: f64,
}

/// Where to rewind to: an event of one conversation, else its start; without a conversation, the start
/// of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rewind {
    #[serde(default)]
    pub conversation_id: Option<ConversationId>,
    #[serde(default)]
    pub seq: Option<Seq>,
}

/// What will be delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rewound {
    pub conversations: u64,
    pub events: u64,
}
