use actix_web::body::to_bytes;
use agent_runtime::RuntimeError;
use core_model::{
    ConversationId, StoreError,
    port::{DeliveriesError, Fault},
};
use serde_json::{Value, json};

use super::*;

async fn body(failure: Failure) -> (u16, Value) {
    let response = failure.error_response();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body()).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[actix_web::test]
async fn failures_read_as_the_clients_expect() {
    let id: ConversationId = "4ed7564a-c465-4319-ba19-ee162b106852".parse().unwrap();
    for (failure, status, detail) in [
        (Failure::Unauthorized, 401, "Unauthorized"),
        (RuntimeError::NotFound(id).into(), 404, "Not Found"),
        (
            Failure::ConversationNotFound(id),
            404,
            "Conversation not found: 4ed7564a-c465-4319-ba19-ee162b106852",
        ),
        (
            RuntimeError::AlreadyRunning.into(),
            409,
            "Conversation already running. Wait for completion or pause first.",
        ),
        (
            RuntimeError::RunLimit {
                limit: 1,
                message_saved: false,
            }
            .into(),
            429,
            "Conversation run limit reached. Retry the request later.",
        ),
    ] {
        assert_eq!(body(failure).await, (status, json!({ "detail": detail })));
    }
}

#[actix_web::test]
async fn what_webhooks_refuse_has_a_status_and_a_code() {
    let id: ConversationId = "4ed7564a-c465-4319-ba19-ee162b106852".parse().unwrap();
    let full = StoreError::Io {
        path: "/secret/hook.jsonl".to_owned(),
        source: std::io::Error::from_raw_os_error(28),
    };
    let text = str::to_owned;
    for (error, status, code, said) in [
        (
            DeliveriesError::NoWebhook(text("a/b")),
            404,
            "webhook_not_found",
            "Webhook not found: a/b",
        ),
        (
            DeliveriesError::NoDelivery(text("d1")),
            404,
            "delivery_not_found",
            "Delivery not found: d1. Only the last deliveries and dead letters are known.",
        ),
        (
            DeliveriesError::Gone(text("d1")),
            410,
            "events_gone",
            "The events of delivery d1 are gone with their conversation.",
        ),
        (
            DeliveriesError::NoConversation(id),
            404,
            "conversation_not_found",
            "Conversation not found: 4ed7564a-c465-4319-ba19-ee162b106852",
        ),
        (
            DeliveriesError::NotWanted(text("crm")),
            409,
            "conversation_not_wanted",
            "The webhook crm does not want this conversation.",
        ),
        (
            DeliveriesError::Stopping,
            503,
            "stopping",
            "The server is stopping.",
        ),
        (
            DeliveriesError::Store(StoreError::NotFound(id)),
            404,
            "conversation_not_found",
            "Not Found",
        ),
        (
            DeliveriesError::Store(full),
            507,
            "disk_full",
            "The server has no room to store this (disk full). Make room on it and retry the request; \
             it needs no restart.",
        ),
    ] {
        let failure = Failure::from(error);
        assert_eq!(failure.to_string(), code);
        let (found, body) = body(failure).await;
        assert_eq!((found, &body["detail"]), (status, &json!(said)), "{code}");
    }
}

#[actix_web::test]
async fn our_own_faults_are_not_told() {
    let fault = RuntimeError::Internal("/secret/path exploded".to_owned());
    let (status, body) = body(fault.into()).await;
    assert_eq!(
        (status, &body["detail"]),
        (500, &json!("Internal Server Error"))
    );
    assert!(!body.to_string().contains("secret"));
    assert_eq!(body["error_id"].as_str().map(str::len), Some(32));
}

#[test]
fn a_full_mailbox_says_when_to_come_back() {
    let response = Failure::from(RuntimeError::Busy).error_response();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");
}

#[test]
fn a_store_that_cannot_write_says_what_to_do_and_when_to_come_back() {
    let io = |errno| StoreError::Io {
        path: "/secret/events.jsonl".to_owned(),
        source: std::io::Error::from_raw_os_error(errno),
    };
    let poisoned =
        |errno| StoreError::Poisoned(Fault::of(&std::io::Error::from_raw_os_error(errno)));
    for (error, status, code) in [
        (io(28), 507, "disk_full"),
        (poisoned(28), 507, "disk_full"),
        (poisoned(122), 507, "disk_full"),
        (io(30), 503, "storage_unavailable"),
        (poisoned(30), 503, "storage_unavailable"),
        (poisoned(5), 503, "storage_unavailable"),
        (
            StoreError::TooManyReceipts { limit: 9 },
            503,
            "too_many_idempotency_keys",
        ),
        (io(5), 500, "storage_failed"),
    ] {
        let failure = Failure::from(RuntimeError::Store(error));
        let detail = failure.detail();
        let response = failure.error_response();
        assert_eq!(response.status(), status, "{detail}");
        assert_eq!(response.headers().get(ERROR_CODE_HEADER).unwrap(), code);
        let retry = response.headers().contains_key(header::RETRY_AFTER);
        assert_eq!(retry, status != 500, "{code}");
        assert_eq!(detail.contains("etry"), status != 500, "{detail}");
        assert!(!detail.contains("secret"), "{detail}");
    }
}
