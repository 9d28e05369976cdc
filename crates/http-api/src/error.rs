mod store;

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{StatusCode, header},
};
use agent_runtime::RuntimeError;
use core_model::{ConversationId, port::DeliveriesError};
use paperclip::v2::schema::Apiv2Errors;
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use crate::validation::Problem;

/// The header that carries an error's stable code; bodies are as the public clients know them.
pub const ERROR_CODE_HEADER: &str = "x-error-code";

/// What keeps the API from being built.
#[derive(Debug, Error)]
pub enum ApiError {
    #[error("{setting}: {reason}")]
    Setting {
        /// As the server's configuration calls it, `allow_cors_origins[0]` for one.
        setting: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    #[error("prefix `{0}` must be empty or start with `/` and not end with it")]
    Prefix(String),
    #[error("the OpenAPI document cannot be put together: {0}")]
    Document(String),
}

/// Why a request is not granted.
#[derive(Debug)]
pub(crate) enum Failure {
    Unauthorized,
    ForeignOrigin,
    ForeignPreflight,
    /// The request came by this host name, which is none of ours.
    ForeignHost(String),
    /// No host, several, or what is none.
    BadHost,
    NotFound,
    ConversationNotFound(ConversationId),
    ProfileNotFound(Uuid),
    /// By the name that the client gave it.
    WebhookNotFound(String),
    DeliveryNotFound(String),
    /// The events of this delivery went with their conversation.
    EventsGone(String),
    /// This webhook's filter leaves the conversation out.
    ConversationNotWanted(String),
    MethodNotAllowed {
        allow: String,
    },
    /// The route is a WebSocket's and the request is none.
    UpgradeRequired,
    Handshake(String),
    Invalid(Vec<Problem>),
    /// A request whose parts are well formed and yet cannot be carried out.
    Unprocessable(String),
    TooLarge {
        limit: usize,
    },
    BodyUnreadable,
    /// As many followers as may be are there.
    Crowded,
    /// The `Idempotency-Key` came with another body before.
    KeyReused,
    /// `Accept-Encoding` leaves no form in which an answer could come.
    NotAcceptable,
    /// The rest of the body does not come.
    BodyLate,
    /// The message is in the log, the run was refused.
    MessageSaved {
        run_path: String,
    },
    Runtime(RuntimeError),
    Document(ApiError),
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
        problems.truncate(MOST_PROBLEMS);
        Self::Invalid(problems)
    }
}

/// How a failure is answered.
struct Answer {
    status: u16,
    code: &'static str,
    detail: Value,
    /// Seconds after which the same request may do better.
    retry_after: Option<u32>,
}

impl Failure {
    /// Why a message was not taken, or not run: then the client needs to know where it can ask for
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

    /// The one table of errors: status, stable code, what the client reads.
    fn answer(&self) -> Answer {
        match self {
            Self::Unauthorized => answer(401, "unauthorized", "Unauthorized"),
            Self::ForeignOrigin => answer(403, "foreign_origin", "Origin not allowed"),
            Self::ForeignPreflight => answer(400, "foreign_origin", "Disallowed CORS origin"),
            Self::ForeignHost(host) => answer(
                421,
                "foreign_host",
                &format!(
                    "This server is not known as `{host}`. If it is to be reached by that name, add it \
                     to `allowed_hosts` (OH_ALLOWED_HOSTS) in its configuration."
                ),
            ),
            Self::BadHost => answer(
                400,
                "bad_host",
                "The request needs one `Host` header with a host name or an address",
            ),
            Self::NotFound => answer(404, "not_found", "Not Found"),
            Self::ConversationNotFound(id) => answer(
                404,
                "conversation_not_found",
                &format!("Conversation not found: {id}"),
            ),
            Self::ProfileNotFound(id) => answer(
                404,
                "agent_profile_not_found",
                &format!("Agent profile with id '{id}' not found"),
            ),
            Self::WebhookNotFound(name) => answer(
                404,
                "webhook_not_found",
                &format!("Webhook not found: {name}"),
            ),
            Self::DeliveryNotFound(id) => answer(
                404,
                "delivery_not_found",
                &format!(
                    "Delivery not found: {id}. Only the last deliveries and dead letters are known."
                ),
            ),
            Self::EventsGone(id) => answer(
                410,
                "events_gone",
                &format!("The events of delivery {id} are gone with their conversation."),
            ),
            Self::ConversationNotWanted(name) => answer(
                409,
                "conversation_not_wanted",
                &format!("The webhook {name} does not want this conversation."),
            ),
            Self::MethodNotAllowed { .. } => {
                answer(405, "method_not_allowed", "Method Not Allowed")
            }
            Self::UpgradeRequired => answer(
                426,
                "upgrade_required",
                "This URL speaks WebSocket: connect to it with ws:// or wss://",
            ),
            Self::Handshake(why) => answer(400, "bad_handshake", why),
            Self::Invalid(problems) => Answer {
                detail: json!(problems),
                ..answer(422, "invalid_request", "")
            },
            Self::Unprocessable(why) => answer(422, "unprocessable", why),
            Self::TooLarge { limit } => answer(
                413,
                "body_too_large",
                &format!("The request body is larger than {limit} bytes"),
            ),
            Self::BodyUnreadable => answer(
                400,
                "body_unreadable",
                "There was an error parsing the body",
            ),
            Self::KeyReused => answer(
                409,
                "idempotency_key_reused",
                "This Idempotency-Key came with another request body before. Use a new key for a new \
                 request.",
            ),
            Self::Crowded => later(
                503,
                "too_many_followers",
                "Too many sockets and streams are open here. Retry the request later.",
            ),
            Self::NotAcceptable => answer(
                406,
                "not_acceptable",
                "Accept-Encoding allows neither gzip nor deflate nor identity",
            ),
            Self::BodyLate => answer(
                408,
                "body_late",
                "The rest of the request body did not come",
            ),
            Self::MessageSaved { run_path } => later(
                429,
                "run_limit",
                &format!(
                    "Message saved, but the conversation run limit was reached. Retry POST \
                     {run_path} without resending the message."
                ),
            ),
            Self::Runtime(error) => match error {
                RuntimeError::NotFound(_) => answer(404, "conversation_not_found", "Not Found"),
                RuntimeError::UnknownEvent(_) => answer(404, "event_not_found", "Not Found"),
                RuntimeError::CursorExpired => answer(
                    410,
                    "cursor_expired",
                    "The cursor belongs to a feed that is no more. Begin anew, without a cursor or with \
                     cursor=beginning.",
                ),
                RuntimeError::AlreadyRunning => answer(
                    409,
                    "already_running",
                    "Conversation already running. Wait for completion or pause first.",
                ),
                RuntimeError::RunLimit { .. } => later(
                    429,
                    "run_limit",
                    "Conversation run limit reached. Retry the request later.",
                ),
                RuntimeError::Busy => later(
                    503,
                    "conversation_busy",
                    "The conversation has too many requests waiting. Retry the request later.",
                ),
                RuntimeError::Stopping => later(503, "stopping", "The server is stopping."),
                RuntimeError::OwnedElsewhere { .. } => later(
                    503,
                    "owned_elsewhere",
                    "The conversation is owned by another server. Retry the request.",
                ),
                RuntimeError::Invalid(why) => answer(422, "unprocessable", why),
                RuntimeError::Store(error) => store::answer_to(error),
                RuntimeError::Internal(_) => answer(500, "internal", INTERNAL),
            },
            Self::Document(_) => answer(500, "internal", INTERNAL),
        }
    }

    /// Whether the request surely had no effect. Of a store that fails, or a server that stops, it cannot
    /// be told.
    pub(crate) fn left_nothing(&self) -> bool {
        match self {
            Self::Runtime(error) => match error {
                RuntimeError::NotFound(_)
                | RuntimeError::UnknownEvent(_)
                | RuntimeError::CursorExpired
                | RuntimeError::AlreadyRunning
                | RuntimeError::Busy
                | RuntimeError::Invalid(_) => true,
                RuntimeError::RunLimit { message_saved, .. } => !message_saved,
                RuntimeError::Stopping
                | RuntimeError::OwnedElsewhere { .. }
                | RuntimeError::Store(_)
                | RuntimeError::Internal(_) => false,
            },
            Self::MessageSaved { .. } | Self::Document(_) => false,
            Self::Unauthorized
            | Self::ForeignOrigin
            | Self::ForeignPreflight
            | Self::ForeignHost(_)
            | Self::BadHost
            | Self::NotFound
            | Self::ConversationNotFound(_)
            | Self::ProfileNotFound(_)
            | Self::WebhookNotFound(_)
            | Self::DeliveryNotFound(_)
            | Self::EventsGone(_)
            | Self::ConversationNotWanted(_)
            | Self::MethodNotAllowed { .. }
            | Self::UpgradeRequired
            | Self::Handshake(_)
            | Self::Invalid(_)
            | Self::Unprocessable(_)
            | Self::TooLarge { .. }
            | Self::BodyUnreadable
            | Self::Crowded
            | Self::KeyReused
            | Self::NotAcceptable
            | Self::BodyLate => true,
        }
    }

    /// What went wrong on our side, for the log and never for the client.
    fn fault(&self) -> Option<String> {
        match self {
            Self::Runtime(error @ (RuntimeError::Store(_) | RuntimeError::Internal(_))) => {
                Some(error.to_string())
            }
            Self::Document(error) => Some(error.to_string()),
            Self::Runtime(
                RuntimeError::NotFound(_)
                | RuntimeError::UnknownEvent(_)
                | RuntimeError::CursorExpired
                | RuntimeError::AlreadyRunning
                | RuntimeError::RunLimit { .. }
                | RuntimeError::Busy
                | RuntimeError::Stopping
                | RuntimeError::OwnedElsewhere { .. }
                | RuntimeError::Invalid(_),
            )
            | Self::Unauthorized
            | Self::ForeignOrigin
            | Self::ForeignPreflight
            | Self::ForeignHost(_)
            | Self::BadHost
            | Self::NotFound
            | Self::ConversationNotFound(_)
            | Self::ProfileNotFound(_)
            | Self::WebhookNotFound(_)
            | Self::DeliveryNotFound(_)
            | Self::EventsGone(_)
            | Self::ConversationNotWanted(_)
            | Self::MethodNotAllowed { .. }
            | Self::UpgradeRequired
            | Self::Handshake(_)
            | Self::Invalid(_)
            | Self::Unprocessable(_)
            | Self::TooLarge { .. }
            | Self::BodyUnreadable
            | Self::Crowded
            | Self::KeyReused
            | Self::NotAcceptable
            | Self::BodyLate
            | Self::MessageSaved { .. } => None,
        }
    }

    /// One line for people, as socket clients read it.
    pub(crate) fn detail(&self) -> String {
        if let Self::Invalid(problems) = self {
            let lines: Vec<String> = problems.iter().map(Problem::summary).collect();
            return lines.join("; ");
        }
        self.answer().detail.as_str().unwrap_or(INTERNAL).to_owned()
    }
}

fn answer(status: u16, code: &'static str, detail: &str) -> Answer {
    Answer {
        status,
        code,
        detail: json!(detail),
        retry_after: None,
    }
}

/// The same request may do better in a moment.
fn later(status: u16, code: &'static str, detail: &str) -> Answer {
    Answer {
        retry_after: Some(1),
        ..answer(status, code, detail)
    }
}

const INTERNAL: &str = "Internal Server Error";
/// How many problems of a request are told at once.
const MOST_PROBLEMS: usize = 100;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.answer().code)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.answer().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let answer = self.answer();
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((ERROR_CODE_HEADER, answer.code));
        if let Some(seconds) = answer.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Self::MethodNotAllowed { allow } = self {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if matches!(self, Self::UpgradeRequired) {
            response.insert_header((header::UPGRADE, "websocket"));
        }
        let mut body = json!({ "detail": answer.detail });
        if let Some(fault) = self.fault() {
            let error_id = Uuid::new_v4().simple().to_string();
            tracing::error!(error_id, fault, "a request failed on our side");
            body["error_id"] = json!(error_id);
        }
        response.json(body)
    }
}

/// Error responses depend on the operation, not on this type: see `openapi::finish`.
impl Apiv2Errors for Failure {}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
