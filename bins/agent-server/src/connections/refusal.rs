use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a connection stays open for its client to read the last answer. If it were closed while there
/// are unread data, it would be reset, and the client might never see the answer.
pub(super) const CLOSE_GRACE: Duration = Duration::from_millis(500);
/// Refused connections that stay open at a time; others are closed at once.
const MAX_CLOSING: usize = 64;
/// Bytes that are read meanwhile, and discarded.
const MAX_DISCARDED_BYTES: u64 = 64 << 10;

static CLOSING: AtomicUsize = AtomicUsize::new(0);

/// Why a connection ends before a handler could answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoPlace,
    HeadLate,
    HeadTooLarge,
}

impl Refusal {
    /// The whole answer, with the same error body as everywhere else.
    pub(super) fn answer(self) -> Vec<u8> {
        let (status, more, code, detail) = match self {
            Self::NoPlace => (
                "503 Service Unavailable",
                "retry-after: 1\r\n",
                "too_many_connections",
                "Too many connections are open. Close what is not used, or retry later.",
            ),
            Self::HeadLate => (
                "408 Request Timeout",
                "",
                "head_late",
                "The rest of the request head did not come",
            ),
            Self::HeadTooLarge => (
                "431 Request Header Fields Too Large",
                "",
                "head_too_large",
                "The request line and headers are too large",
            ),
        };
        let body = json!({ "detail": detail }).to_string();
        let code_header = http_api::ERROR_CODE_HEADER;
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             {code_header}: {code}\r\n{more}connection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// Sends it over a new connection, and closes that.
pub(super) async fn send(refusal: Refusal, mut connection: TcpStream) {
    let waits_for_client = CLOSING.fetch_add(1, Ordering::Relaxed) < MAX_CLOSING;
    let closing = async {
        connection.write_all(&refusal.answer()).await?;
        connection.shutdown().await?;
        if waits_for_client {
            let mut rest = connection.take(MAX_DISCARDED_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    // However it ends.
    timeout(CLOSE_GRACE, closing).await.ok();
    CLOSING.fetch_sub(1, Ordering::Relaxed);
}
