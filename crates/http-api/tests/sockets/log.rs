//! What the log says of requests and sockets, and what it never says.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Lines that hold what `expected` does, as (field, value).
    fn count(&self, expected: &[(&str, Value)]) -> usize {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|line: &Value| expected.iter().all(|(name, value)| line[name] == *value))
            .count()
    }
}

#[actix_web::test]
async fn a_line_a_request_and_two_a_socket_and_never_what_is_said_or_secret() {
    let log = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let server = server(&["sk-right"], Limits::default()).await;
    let (address, id) = (server.address, &server.conversation);
    let client = reqwest::Client::new();
    let at = |path: &str| format!("http://{address}/conversations/{path}");
    let right = ("x-session-api-key", "sk-right");
    for (request, status) in [
        (client.get(at(id)).header(right.0, right.1), 200),
        (client.get(at(id)).header(right.0, "sk-wrong"), 401),
        (
            client
                .post(at(&format!("{id}/events?note=sk-query")))
                .header(right.0, right.1)
                .body(r#"{"content":"sk-body","run":false}"#),
            200,
        ),
        (client.get(at("sk-path/b")).header(right.0, right.1), 404),
        (
            client.get(at(&format!("{id}/events/stream?session_api_key=sk-right"))),
            200,
        ),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let mut socket = open(format!("{}?session_api_key=sk-right", server.urls()[0])).await;
    assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
    socket.send(text(r#"{"sk-frame":1}"#)).await.unwrap();
    assert_eq!(next(&mut socket).await, Ok("ServerErrorEvent".to_owned()));
    socket.close(None).await.unwrap();
    let conversation = || ("conversation.id", json!(id));
    let closed = [
        ("message", json!("socket closed")),
        conversation(),
        ("code", json!(1005)),
    ];
    let logged = async {
        while log.count(&closed) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANG_GUARD, logged).await.unwrap();

    assert_eq!(
        log.count(&[("message", json!("socket opened")), conversation()]),
        1
    );
    let request = |method: &str, route: &str, status: u16| {
        [
            ("message", json!("request")),
            ("method", json!(method)),
            ("route", json!(route)),
            ("status", json!(status)),
        ]
    };
    let one = "/conversations/{conversation_id}";
    for (method, route, status) in [
        ("GET", one.to_owned(), 200),
        ("POST", format!("{one}/events"), 200),
        ("GET", format!("{one}/events/socket"), 101),
        ("GET", format!("{one}/events/stream"), 200),
    ] {
        let mut expected = request(method, &route, status).to_vec();
        expected.push(conversation());
        assert_eq!(log.count(&expected), 1, "{method} {route} {status}");
    }
    // Without the key no path is looked at closely enough to name a conversation.
    assert_eq!(log.count(&request("GET", one, 401)), 1);
    assert_eq!(log.count(&request("GET", "-", 404)), 1);
    let text = log.text();
    assert!(text.contains(r#""ms":"#), "{text}");
    assert!(text.contains("deprecated"), "{text}");
    assert!(!text.contains("sk-"), "{text}");
}
