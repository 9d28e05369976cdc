use agent_runtime::RuntimeError;
use core_model::{ConversationId, port::DeliveriesError};
use uuid::Uuid;

use crate::{error::ApiError, validation::Problem};

/// How many problems of a request are reported at once.
const MAX_PROBLEMS: usize = 100;

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Failure {
    Unauthorized,
    ForeignOrigin,
    /// A key with a name asks for what only one without may do.
    KeyNotAllowed,
    ForeignPreflight,
    /// The request was sent to this host name, which is not one of ours.
    ForeignHost(String),
    /// No `Host`, several, or one that is not a valid host.
    BadHost,
    NotFound,
    ConversationNotFound(ConversationId),
    ProfileNotFound(Uuid),
    /// By the name that the client gave it.
    WebhookNotFound(String),
    DeliveryNotFound(String),
    /// The events of this delivery were deleted with their conversation.
    EventsGone(String),
    /// This webhook's filter excludes the conversation.
    ConversationNotWanted(String),
    MethodNotAllowed {
        allow: String,
    },
    /// The route is a WebSocket's and the request does not ask for one.
    UpgradeRequired,
    BadHandshake(String),
    Invalid(Vec<Problem>),
    /// A request whose parts are well formed and yet cannot be carried out.
    Unprocessable(String),
    TooLarge {
        limit: usize,
    },
    BodyUnreadable,
    /// The limit on followers is reached.
    TooManyFollowers,
    /// The `Idempotency-Key` came with another body before.
    IdempotencyKeyReused,
    /// `Accept-Encoding` allows no encoding in which an answer could be sent.
    NotAcceptable,
    /// The rest of the body did not arrive in time.
    BodyLate,
    /// The message is in the log, the run was refused.
    MessageSaved {
        run_path: String,
    },
    Runtime(RuntimeError),
    Document(ApiError),
}

impl Failure {
    /// Why a message was not accepted, or not run: then the client needs to know where it can ask for
    /// the run alone.
    pub(crate) fn of_message(error: RuntimeError, run_path: impl FnOnce() -> String) -> Self {
        if let RuntimeError::RunLimit {
            message_saved: true,
            ..
        } = error
        {
            return Self::MessageSaved {
                run_path: run_path(),
            };
        }
        error.into()
    }

    /// Says which conversation was not found, as clients expect it of the routes of events.
    pub(crate) fn naming_conversation(error: RuntimeError) -> Self {
        if let RuntimeError::NotFound(id) = error {
            Self::ConversationNotFound(id)
        } else {
            error.into()
        }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

impl From<DeliveriesError> for Failure {
    fn from(error: DeliveriesError) -> Self {
        match error {
            DeliveriesError::NoWebhook(name) => Self::WebhookNotFound(name),
            DeliveriesError::NoDelivery(id) => Self::DeliveryNotFound(id),
            DeliveriesError::Gone(id) => Self::EventsGone(id),
            DeliveriesError::NoConversation(id) => Self::ConversationNotFound(id),
            DeliveriesError::NotWanted(name) => Self::ConversationNotWanted(name),
            DeliveriesError::Stopping => RuntimeError::Stopping.into(),
            DeliveriesError::Store(error) => RuntimeError::from(error).into(),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Invalid(vec![problem])
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(mut problems: Vec<Problem>) -> Self {
        problems.truncate(MAX_PROBLEMS);
        Self::Invalid(problems)
    }
}
