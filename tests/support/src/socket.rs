use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::CloseFrame},
};

/// Longer than anything a test waits for; only a hang gets there.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that the system takes for a client that does not read, about.
const SMALL_BUFFER: u32 = 16 << 10;

/// A connection whose client stalls its server soon when it does not read.
pub async fn small_connection(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    socket.connect(address).await.unwrap()
}

/// A WebSocket client that reads JSON frames and close codes.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a server sent.
#[derive(Debug, PartialEq)]
pub enum Received {
    Json(Value),
    /// Close code, 1006 when the connection just ended, and reason.
    Closed(u16, String),
}

impl Socket {
    /// Connects with these request headers.
    pub async fn connect(url: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::try_connect(url, headers).await.unwrap()
    }

    /// Connects over a small connection.
    pub async fn connect_small(address: SocketAddr, path: &str) -> Self {
        let stream = MaybeTlsStream::Plain(small_connection(address).await);
        let url = format!("ws://{address}{path}");
        let connected = timeout(TIMEOUT, client_async(url, stream)).await.unwrap();
        Self(connected.unwrap().0)
    }

    /// Connects, or tells how the server refused the handshake.
    pub async fn try_connect(
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let connected = timeout(TIMEOUT, connect_async(request)).await.unwrap();
        connected.map(|(stream, _)| Self(stream))
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.send_raw(Message::text(text)).await.unwrap();
    }

    pub async fn send_raw(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        timeout(TIMEOUT, self.0.send(message)).await.unwrap()
    }

    /// The next JSON frame or the end; pings are answered on the way.
    pub async fn receive(&mut self) -> Received {
        loop {
            let message = timeout(TIMEOUT, self.0.next())
                .await
                .expect("a frame before the test gives up");
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Received::Json(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), close_parts);
                    return Received::Closed(code, reason);
                }
                Some(Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                )) => {}
                Some(Err(_)) | None => return Received::Closed(1006, String::new()),
            }
        }
    }

    /// The next frame, which must be JSON.
    pub async fn json(&mut self) -> Value {
        match self.receive().await {
            Received::Json(value) => value,
            Received::Closed(code, reason) => panic!("closed with {code} {reason}"),
        }
    }

    /// Reads on to the first frame that fits.
    pub async fn until(&mut self, mut fits: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.json().await;
            let last = fits(&frame);
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }

    /// Reads on to the snapshot that says the conversation has this status.
    pub async fn until_snapshot(&mut self, status: &str) -> Vec<Value> {
        self.until(|frame| {
            frame["key"] == "full_state" && frame["value"]["execution_status"] == status
        })
        .await
    }

    /// Reads on to the end of the connection: its close code.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Received::Closed(code, _) = self.receive().await {
                return code;
            }
        }
    }

    /// Whether nothing comes within that time.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.receive()).await.is_err()
    }
}

fn close_parts(frame: CloseFrame) -> (u16, String) {
    (frame.code.into(), frame.reason.to_string())
}
