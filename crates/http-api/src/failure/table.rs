//! The table of errors: one row a variant.

use agent_runtime::RuntimeError;
use core_model::{
    StoreError,
    port::{Fault, FaultKind},
};

use super::{
    reason::Failure,
    row::{INTERNAL, Row, row},
};
use crate::validation::Problem;

/// Seconds after which a store that could not write may do so again.
const STORAGE_RETRY_SECONDS: u32 = 10;
/// Seconds after which some of many remembered keys may have been forgotten.
const RECEIPTS_RETRY_SECONDS: u32 = 600;

impl Failure {
    pub(crate) fn row(&self) -> Row {
        match self {
            Self::Unauthorized => row(401, "unauthorized", "Unauthorized"),
            Self::KeyNotAllowed => row(
                403,
                "key_not_allowed",
                "Budgets of keys and of the server can be changed with a key that has no name, not with \
                 one whose own budget may be among them",
            ),
            Self::ForeignOrigin => row(403, "foreign_origin", "Origin not allowed"),
            Self::ForeignPreflight => row(400, "foreign_origin", "Disallowed CORS origin"),
            Self::ForeignHost(host) => row(
                421,
                "foreign_host",
                format!(
                    "This server is not known as `{host}`. If it is to be reached by that name, add it \
                     to `allowed_hosts` (OH_ALLOWED_HOSTS) in its configuration."
                ),
            ),
            Self::BadHost => row(
                400,
                "bad_host",
                "The request needs one `Host` header with a host name or an address",
            ),
            Self::NotFound => row(404, "not_found", "Not Found"),
            Self::ConversationNotFound(id) => row(
                404,
                "conversation_not_found",
                format!("Conversation not found: {id}"),
            ),
            Self::ProfileNotFound(id) => row(
                404,
                "agent_profile_not_found",
                format!("Agent profile with id '{id}' not found"),
            ),
            Self::WebhookNotFound(name) => row(
                404,
                "webhook_not_found",
                format!("Webhook not found: {name}"),
            ),
            Self::DeliveryNotFound(id) => row(
                404,
                "delivery_not_found",
                format!(
                    "Delivery not found: {id}. Only the last deliveries and dead letters are known."
                ),
            ),
            Self::EventsGone(id) => row(
                410,
                "events_gone",
                format!("The events of delivery {id} are gone with their conversation."),
            ),
            Self::ConversationNotWanted(name) => row(
                409,
                "conversation_not_wanted",
                format!("The webhook {name} does not want this conversation."),
            ),
            Self::MethodNotAllowed { .. } => row(405, "method_not_allowed", "Method Not Allowed"),
            Self::UpgradeRequired => row(
                426,
                "upgrade_required",
                "This URL speaks WebSocket: connect to it with ws:// or wss://",
            ),
            Self::BadHandshake(reason) => row(400, "bad_handshake", reason),
            Self::Invalid(_) => row(422, "invalid_request", ""),
            Self::Unprocessable(reason) => row(422, "unprocessable", reason),
            Self::TooLarge { limit } => row(
                413,
                "body_too_large",
                format!("The request body is larger than {limit} bytes"),
            ),
            Self::BodyUnreadable => row(
                400,
                "body_unreadable",
                "There was an error parsing the body",
            ),
            Self::TooManyFollowers => row(
                503,
                "too_many_followers",
                "Too many sockets and streams are open here. Retry the request later.",
            )
            .retry_after(1),
            Self::IdempotencyKeyReused => row(
                409,
                "idempotency_key_reused",
                "This Idempotency-Key came with another request body before. Use a new key for a new \
                 request.",
            ),
            Self::NotAcceptable => row(
                406,
                "not_acceptable",
                "Accept-Encoding allows neither gzip nor deflate nor identity",
            ),
            Self::BodyLate => row(
                408,
                "body_late",
                "The rest of the request body did not arrive in time",
            ),
            Self::MessageSaved { run_path } => row(
                429,
                "run_limit",
                format!(
                    "Message saved, but the conversation run limit was reached. Retry POST \
                     {run_path} without resending the message."
                ),
            )
            .retry_after(1)
            .may_have_effect(),
            Self::Runtime(error) => of_runtime(error),
            Self::Document(error) => row(500, "internal", INTERNAL)
                .may_have_effect()
                .fault(error),
        }
    }

    /// One line for people, as socket clients read it.
    pub(crate) fn detail(&self) -> String {
        if let Self::Invalid(problems) = self {
            let lines: Vec<String> = problems.iter().map(Problem::summary).collect();
            return lines.join("; ");
        }
        self.row().detail
    }
}

fn of_runtime(error: &RuntimeError) -> Row {
    match error {
        RuntimeError::NotFound(_) => row(404, "conversation_not_found", "Not Found"),
        RuntimeError::UnknownEvent(_) => row(404, "event_not_found", "Not Found"),
        RuntimeError::NotQueued(_) => row(
            404,
            "message_not_queued",
            "No such message waits: the agent has taken it up, or it was taken back.",
        ),
        RuntimeError::QueueFull { limit } => row(
            429,
            "queue_full",
            format!("{limit} messages wait for the agent already. Take one back, or wait."),
        ),
        RuntimeError::CursorExpired => row(
            410,
            "cursor_expired",
            "The cursor belongs to a feed that no longer exists. Start again without a cursor, or with \
             cursor=beginning.",
        ),
        RuntimeError::AlreadyRunning => row(
            409,
            "already_running",
            "Conversation already running. Wait for completion or pause first.",
        ),
        RuntimeError::GoalRunning => row(
            409,
            "already_running",
            "Conversation run or goal loop already running.",
        ),
        RuntimeError::NoGoalToResume => row(
            400,
            "no_resumable_goal",
            "No goal to resume: there was none, or it is complete or capped.",
        ),
        RuntimeError::Model { code, detail } => {
            row(502, "model_failed", format!("{code}: {detail}"))
        }
        RuntimeError::IdTaken(id) => row(
            409,
            "id_taken",
            format!("There is a conversation {id} already"),
        ),
        RuntimeError::NoCondenser => row(
            409,
            "no_condenser",
            "Cannot condense conversation: No condenser configured",
        ),
        RuntimeError::BudgetReached(reached) => row(
            402,
            "budget_reached",
            format!("No model was asked: {reached}. Raise the limit, or limit less."),
        ),
        RuntimeError::RunLimit { message_saved, .. } => {
            let row = row(
                429,
                "run_limit",
                "Conversation run limit reached. Retry the request later.",
            )
            .retry_after(1);
            if *message_saved {
                row.may_have_effect()
            } else {
                row
            }
        }
        RuntimeError::Busy => row(
            503,
            "conversation_busy",
            "The conversation has too many requests waiting. Retry the request later.",
        )
        .retry_after(1),
        RuntimeError::Stopping => row(503, "stopping", "The server is stopping.")
            .retry_after(1)
            .may_have_effect(),
        RuntimeError::OwnedElsewhere { .. } => row(
            503,
            "owned_elsewhere",
            "The conversation is owned by another server. Retry the request.",
        )
        .retry_after(1)
        .may_have_effect(),
        RuntimeError::Invalid(reason) => row(422, "unprocessable", reason),
        RuntimeError::Store(source) => of_store(source).may_have_effect().fault(error),
        RuntimeError::Internal(_) => row(500, "internal", INTERNAL)
            .may_have_effect()
            .fault(error),
    }
}

fn of_store(error: &StoreError) -> Row {
    match error {
        StoreError::Unavailable(_) => row(
            503,
            "storage_unavailable",
            "The server cannot reach its store. Retry the request.",
        )
        .retry_after(STORAGE_RETRY_SECONDS),
        StoreError::TooManyReceipts { limit } => row(
            503,
            "too_many_idempotency_keys",
            format!(
                "The server remembers {limit} requests with an Idempotency-Key, and no more. Retry \
                 the request later, or send it without a key."
            ),
        ).retry_after(RECEIPTS_RETRY_SECONDS),
        StoreError::NotFound(_)
        | StoreError::Exists(_)
        | StoreError::Fenced
        | StoreError::OwnedElsewhere { .. }
        | StoreError::Poisoned(_)
        | StoreError::Io { .. }
        | StoreError::Damaged { .. } => match error.fault() {
            Some(Fault {
                kind: FaultKind::Full,
                reason,
            }) => row(
                507,
                "disk_full",
                format!(
                    "The server has no room to store this ({reason}). Make room on it and retry the \
                     request; it needs no restart."
                ),
            ).retry_after(STORAGE_RETRY_SECONDS),
            Some(Fault {
                kind: FaultKind::ReadOnly,
                ..
            }) => row(
                503,
                "storage_unavailable",
                "The server cannot store this: its file system is read-only. Make it writable and \
                 retry the request; the server needs no restart.",
            ).retry_after(STORAGE_RETRY_SECONDS),
            Some(_) if matches!(error, StoreError::Poisoned(_)) => row(
                503,
                "storage_unavailable",
                "The conversation accepts no more events since a write failed; GET /ready says why. \
                 Retry the request when that is repaired.",
            ).retry_after(STORAGE_RETRY_SECONDS),
            Some(_) | None => row(500, "storage_failed", INTERNAL),
        },
    }
}
