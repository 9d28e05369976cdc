//! Headers that are read or written in more than one place.

use actix_web::http::header::{self, HeaderMap};

/// The header that carries an error's stable code; bodies are as the public clients know them.
pub const ERROR_CODE_HEADER: &str = "x-error-code";
/// What a client calls its request, so that sending it again has no second effect.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Says that an answer was given before.
pub(crate) const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";

/// Whether the request asks for a WebSocket.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}
