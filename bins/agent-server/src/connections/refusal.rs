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

/// How long a client may take to read an answer before which its connection is not closed: closed with
/// data unread it would be reset, and the client might never see the answer.
pub(super) const PARTING: Duration = Duration::from_millis(500);
/// Refused connections that are waited for at a time; others are closed at once.
const MOST_PARTING: usize = 64;
/// Bytes that are read meanwhile, and thrown away.
const MOST_READ: u64 = 64 << 10;

static IN_PARTING: AtomicUsize = AtomicUsize::new(0);

/// Why a connection ends before there was a request that a handler could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoPlace,
    HeadLate,
    HeadTooLarge,
}

impl Refusal {
    /// The whole answer, in the form that all errors have.
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

/// Sends it over a connection that is new, and ends that.
pub(super) async fn send(refusal: Refusal, mut connection: TcpStream) {
    let patient = IN_PARTING.fetch_add(1, Ordering::Relaxed) < MOST_PARTING;
    let parting = async {
        connection.write_all(&refusal.answer()).await?;
        connection.shutdown().await?;
        if patient {
            let mut rest = connection.take(MOST_READ);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    // However it ends.
    timeout(PARTING, parting).await.ok();
    IN_PARTING.fetch_sub(1, Ordering::Relaxed);
}
