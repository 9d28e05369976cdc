//! The refusals that several operations share, and those that an operation declares.

use agent_runtime::RuntimeError;
use core_model::{
    ConversationId, EventId, StoreError,
    budget::{BudgetReached, BudgetScope},
    port::Fault,
};

use super::refusal::{Example, Refusal};
use crate::{failure::Failure, validation::Problem};

/// `ENOSPC`.
const NO_SPACE: i32 = 28;

pub(crate) const BAD_HOST: Refusal = Refusal::new(
    "BadHost",
    "`Host` is empty or not a valid host (`bad_host`), or the body broke off (`body_unreadable`). \
     Without `Host`, or with several, the answer has neither body nor `x-error-code`",
    || Failure::BadHost,
);
pub(crate) const BAD_HANDSHAKE: Refusal = Refusal::new(
    "BadHandshake",
    "The request asks for a WebSocket with an invalid handshake, or `Host` is empty or not a valid \
     host: see `x-error-code`",
    || Failure::BadHandshake("unknown WebSocket key".to_owned()),
);
pub(crate) const UNAUTHORIZED: Refusal = Refusal::new(
    "Unauthorized",
    "A session key is configured and the request has none or a wrong one",
    || Failure::Unauthorized,
);
pub(crate) const KEY_NOT_ALLOWED: Refusal = Refusal::new(
    "KeyNotAllowed",
    "The key has a name (`key_not_allowed`), or a web page whose origin is not allowed sent this \
     (`foreign_origin`)",
    || Failure::KeyNotAllowed,
);
pub(crate) const FOREIGN_ORIGIN: Refusal = Refusal::new(
    "ForeignOrigin",
    "A web page whose origin is not allowed sent this",
    || Failure::ForeignOrigin,
);
pub(crate) const FOREIGN_HOST: Refusal = Refusal::new(
    "ForeignHost",
    "The request was sent to a `Host` that is not this server's; `allowed_hosts` names more",
    || Failure::ForeignHost("agents.example.com".to_owned()),
);
pub(crate) const NOT_FOUND: Refusal =
    Refusal::new("NotFound", "It does not exist", || Failure::NotFound);
pub(crate) const NOT_ACCEPTABLE: Refusal = Refusal::new(
    "NotAcceptable",
    "`Accept-Encoding` allows neither `gzip` nor `deflate` nor `identity`",
    || Failure::NotAcceptable,
);
pub(crate) const HEAD_LATE: Refusal = Refusal {
    name: "HeadLate",
    meaning: "The rest of the request line and headers did not arrive in time",
    example: Example::OfConnection {
        status: 408,
        detail: "The rest of the request head did not come",
        has_retry_after: false,
    },
};
pub(crate) const HEAD_TOO_LARGE: Refusal = Refusal {
    name: "HeadTooLarge",
    meaning: "The request line and headers are too large",
    example: Example::OfConnection {
        status: 431,
        detail: "The request line and headers are too large",
        has_retry_after: false,
    },
};
pub(crate) const CONFLICT: Refusal = Refusal::new(
    "Conflict",
    "The conversation is running, or the `Idempotency-Key` came with another body before: see \
     `x-error-code`",
    || RuntimeError::AlreadyRunning.into(),
);
pub(crate) const MODEL: Refusal = Refusal::new(
    "ModelFailed",
    "The model gave no answer; the text says why",
    || {
        RuntimeError::Model {
            code: "LLMRateLimitError",
            detail: "the model provider limits the request rate: try again later".to_owned(),
        }
        .into()
    },
);
pub(crate) const NO_CONDENSER: Refusal = Refusal::new(
    "NoCondenser",
    "The agent's settings switch condensation off",
    || RuntimeError::NoCondenser.into(),
);
pub(crate) const RUNNING: Refusal = Refusal::new("Running", "The conversation is running", || {
    RuntimeError::AlreadyRunning.into()
});
pub(crate) const NOT_QUEUED: Refusal = Refusal::new(
    "NotQueued",
    "No such message waits: the agent has it by now, or it was taken back",
    || RuntimeError::NotQueued(EventId(String::new())).into(),
);
pub(crate) const QUEUE_FULL: Refusal = Refusal::new(
    "QueueFull",
    "Too many messages wait for the agent already",
    || RuntimeError::QueueFull { limit: 32 }.into(),
);
pub(crate) const GOAL_RUNNING: Refusal = Refusal::new(
    "GoalRunning",
    "The conversation is running, or has an active goal",
    || RuntimeError::GoalRunning.into(),
);
pub(crate) const NO_GOAL: Refusal = Refusal::new(
    "NoGoalToResume",
    "There was no goal, or the last one is complete or capped (`no_resumable_goal`); `bad_host` and \
     `body_unreadable` as everywhere",
    || RuntimeError::NoGoalToResume.into(),
);
pub(crate) const ID_TAKEN: Refusal = Refusal::new(
    "IdTaken",
    "There is a conversation with this id already",
    || RuntimeError::IdTaken(ConversationId(uuid::Uuid::nil())).into(),
);
pub(crate) const KEY_REUSED: Refusal = Refusal::new(
    "KeyReused",
    "The `Idempotency-Key` came with another request body before",
    || Failure::IdempotencyKeyReused,
);
pub(crate) const CURSOR_EXPIRED: Refusal = Refusal::new(
    "CursorExpired",
    "The cursor belongs to a feed that no longer exists; start again",
    || RuntimeError::CursorExpired.into(),
);
pub(crate) const NOT_WANTED: Refusal = Refusal::new(
    "NotWanted",
    "The webhook's filter excludes this conversation",
    || Failure::ConversationNotWanted("crm".to_owned()),
);
pub(crate) const EVENTS_GONE: Refusal = Refusal::new(
    "EventsGone",
    "The conversation was deleted, and its events with it",
    || Failure::EventsGone("msg_84cd4b6942255f98a1998ef8a9054d39".to_owned()),
);
pub(crate) const BODY_LATE: Refusal = Refusal::new(
    "BodyLate",
    "The rest of the headers (`head_late`) or of the body (`body_late`) did not arrive in time",
    || Failure::BodyLate,
);
pub(crate) const TOO_LARGE: Refusal = Refusal::new(
    "TooLarge",
    "The body is larger than the server's limit",
    || Failure::TooLarge { limit: 10_485_760 },
);
pub(crate) const UPGRADE_REQUIRED: Refusal = Refusal::new(
    "UpgradeRequired",
    "The request does not ask for a WebSocket",
    || Failure::UpgradeRequired,
);
pub(crate) const BUDGET_REACHED: Refusal = Refusal::new(
    "BudgetReached",
    "A budget does not allow the model call that this needs",
    || {
        RuntimeError::BudgetReached(BudgetReached {
            scope: BudgetScope::Conversation,
            key: None,
            period: None,
            limit: "max_cost_usd".to_owned(),
            max: 5.0,
            spent: 5.02,
            detail: None,
        })
        .into()
    },
);
pub(crate) const RUN_LIMIT: Refusal = Refusal::new(
    "RunLimit",
    "Every run slot is taken; `Retry-After` says when to try again",
    || {
        let message_saved = false;
        RuntimeError::RunLimit {
            limit: 10,
            message_saved,
        }
        .into()
    },
);
pub(crate) const BUSY: Refusal = Refusal::new(
    "Busy",
    "Too many connections are open (`too_many_connections`), too many requests wait, the disk \
     accepts no writes, or the server is stopping; see `x-error-code` and `Retry-After`",
    || RuntimeError::Busy.into(),
);
pub(crate) const TOO_MANY_CONNECTIONS: Refusal = Refusal {
    name: "TooManyConnections",
    meaning: "Too many connections are open (`too_many_connections`); `Retry-After` says when to try again",
    example: Example::OfConnection {
        status: 503,
        detail: "Too many connections are open. Close what is not used, or retry later.",
        has_retry_after: true,
    },
};
pub(crate) const DISK_FULL: Refusal = Refusal::new(
    "DiskFull",
    "The server has no room to store this; `Retry-After` says when to try again",
    || {
        let fault = Fault::of(&std::io::Error::from_raw_os_error(NO_SPACE));
        RuntimeError::Store(StoreError::Poisoned(fault)).into()
    },
);
pub(crate) const INVALID: Refusal = Refusal::new(
    "Invalid",
    "The request is not well formed, or cannot be carried out as it stands. The `type` of each \
     problem says which: for example, `metadata_too_large` is more to store than \
     `max_metadata_bytes`",
    || {
        Problem::new(
            "greater_than",
            &["query", "limit"],
            "Input should be greater than 0",
        )
        .input("0")
        .ctx("gt", 0)
        .into()
    },
);
