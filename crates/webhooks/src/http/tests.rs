use std::net::SocketAddr;

use reqwest::{
    dns::{Addrs, Name, Resolving},
    header::HeaderValue,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use bytes::Bytes;

use super::*;
use crate::sender::Failure;

/// Far longer than any of these tests takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

fn request(url: &str) -> Outgoing {
    Outgoing {
        url: Url::parse(url).unwrap(),
        method: Method::Put,
        headers: HeaderMap::from_iter([(
            reqwest::header::USER_AGENT,
            HeaderValue::from_static("agent-server/1"),
        )]),
        body: Bytes::from_static(b"[1,2]"),
        timeout: TEST_TIMEOUT,
    }
}

fn status(code: u16) -> Answer {
    Answer::Status {
        code,
        retry_after: None,
    }
}

fn failure(answer: Answer) -> Failure {
    match answer {
        Answer::Failed(failure) => failure,
        Answer::Status { code, .. } => panic!("answered {code}"),
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x?token=hush", listener.local_addr().unwrap());
    (listener, url)
}

/// One request, its head and its five bytes of body.
async fn received(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"[1,2]") {
        let read = socket.read_buf(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "cut off");
    }
    String::from_utf8(bytes).unwrap()
}

/// Answers one connection's requests with these texts, one each, and gives the requests.
async fn receiver(answers: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut requests = Vec::new();
        for answer in answers {
            requests.push(received(&mut socket).await);
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
        requests
    });
    (url, task)
}

#[tokio::test]
async fn a_request_arrives_as_given_and_its_connection_serves_again() {
    let answers = vec![
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone",
        "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
    ];
    let (url, requests) = receiver(answers).await;
    let sender = HttpSender::new(false);
    assert_eq!(sender.send(request(&url)).await, status(200));
    let busy = Answer::Status {
        code: 503,
        retry_after: Some(Duration::from_secs(7)),
    };
    assert_eq!(sender.send(request(&url)).await, busy);
    for request in requests.await.unwrap() {
        assert!(
            request.starts_with("PUT /x?token=hush HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("user-agent: agent-server/1\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (target, target_url) = listener().await;
    let (listener, url) = listener().await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        received(&mut socket).await;
        let answer = format!(
            "HTTP/1.1 307 Go\r\nlocation: {target_url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    assert_eq!(
        HttpSender::new(false).send(request(&url)).await,
        status(307)
    );
    // A sender that followed it would wait in the queue of connections by now.
    let waiting = target.into_std().unwrap().accept();
    assert_eq!(waiting.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn user_and_password_of_the_address_become_a_header() {
    let ok = "HTTP/1.1 204 OK\r\n\r\n";
    let (url, requests) = receiver(vec![ok]).await;
    let url = url.replace("http://", "http://user:pass@");
    let answer = HttpSender::new(false).send(request(&url)).await;
    assert_eq!(answer, status(204));
    let requests = requests.await.unwrap();
    let expected = "authorization: Basic dXNlcjpwYXNz\r\n";
    assert!(requests[0].contains(expected), "{}", requests[0]);
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up() {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        received(&mut socket).await;
        // Ends when the connection is closed.
        socket.read(&mut [0]).await.unwrap()
    });
    let mut request = request(&url);
    request.timeout = Duration::from_millis(500);
    let expected = Failure {
        kind: FailureKind::Timeout,
        reason: "no answer within 0.5 s".to_owned(),
    };
    let answer = HttpSender::new(false).send(request).await;
    assert_eq!(answer, Answer::Failed(expected));
    assert_eq!(task.await.unwrap(), 0);
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_status_counts() {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        received(&mut socket).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
        socket.write_all(head).await.unwrap();
        // Ends when the connection is closed.
        while socket.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let answer = HttpSender::new(false).send(request(&url)).await;
    assert_eq!(answer, status(200));
    task.await.unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (listener, url) = listener().await;
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        received(&mut socket).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        socket.write_all(head).await.unwrap();
        socket.read(&mut [0]).await.unwrap()
    });
    let answer = HttpSender::new(false).send(request(&url)).await;
    assert_eq!(answer, status(200));
    assert_eq!(task.await.unwrap(), 0);
}

#[tokio::test]
async fn failures_to_connect_are_told_without_the_address() {
    let (listener, url) = listener().await;
    drop(listener);
    let refused = failure(HttpSender::new(false).send(request(&url)).await);
    assert_eq!(refused.kind, FailureKind::Connection);
    assert!(refused.reason.starts_with("cannot connect"), "{refused:?}");
    assert!(!refused.reason.contains("hush"), "{refused:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_failure() {
    let (url, task) = receiver(vec!["HTTP/1.1 2"]).await;
    let broken = failure(HttpSender::new(false).send(request(&url)).await);
    assert_eq!(broken.kind, FailureKind::Connection);
    assert!(!broken.reason.contains("hush"), "{broken:?}");
    task.await.unwrap();
}

#[tokio::test]
async fn a_link_local_address_is_refused() {
    let sender = HttpSender::new(false);
    for url in [
        "http://169.254.169.254/?hush",
        "http://[::ffff:169.254.1.1]/",
    ] {
        let refused = failure(sender.send(request(url)).await);
        assert_eq!(refused.kind, FailureKind::Forbidden);
        assert_eq!(refused.reason, "it is a link-local address");
    }
}

/// Finds one address for every name.
struct Fixed(&'static str);

impl Resolve for Fixed {
    fn resolve(&self, _: Name) -> Resolving {
        let address = SocketAddr::new(self.0.parse().unwrap(), 0);
        let addresses: Addrs = Box::new([address].into_iter());
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn a_name_that_leads_to_one_is_refused() {
    let client = build(Arc::new(Guard(Arc::new(Fixed("169.254.169.254")))), true).unwrap();
    let refused = failure(send_with(&client, request("http://h.example/?hush")).await);
    assert_eq!(refused.kind, FailureKind::Forbidden);
    assert!(
        refused.reason.starts_with("the address is refused"),
        "{refused:?}"
    );
    assert!(!refused.reason.contains("hush"), "{refused:?}");
}

#[tokio::test]
async fn other_names_pass() {
    let (url, _requests) = receiver(vec!["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).await;
    let client = build(Arc::new(Guard(Arc::new(Fixed("127.0.0.1")))), true).unwrap();
    let url = url.replace("127.0.0.1", "h.example");
    assert_eq!(send_with(&client, request(&url)).await, status(200));
}

#[tokio::test]
async fn clients_are_shared_where_they_are_alike() {
    let near = Url::parse("http://localhost:1/").unwrap();
    let far = Url::parse("http://h.example/").unwrap();
    let pools = Pools(Mutex::default());
    for _ in 0..2 {
        pools.client(Kind::of(&near, false)).unwrap();
        pools.client(Kind::of(&far, false)).unwrap();
        pools.client(Kind::of(&far, true)).unwrap();
    }
    assert_eq!(pools.0.lock().unwrap().len(), 3);
}

#[test]
fn retry_after_is_read_in_all_its_forms() {
    // Wed, 21 Oct 2015 07:28:00 GMT
    const NOW: i64 = 1_445_412_480;
    let hour = Some(Duration::from_secs(3600));
    for (text, expected) in [
        ("0", Some(Duration::ZERO)),
        (" 120 ", Some(Duration::from_secs(120))),
        ("3601", hour),
        ("99999999999999999999999999", hour),
        (
            "Wed, 21 Oct 2015 07:28:30 GMT",
            Some(Duration::from_secs(30)),
        ),
        (
            "Wednesday, 21-Oct-15 07:28:31 GMT",
            Some(Duration::from_secs(31)),
        ),
        ("Wed Oct 21 07:28:32 2015", Some(Duration::from_secs(32))),
        ("Wed, 21 Oct 2015 07:27:00 GMT", Some(Duration::ZERO)),
        ("Wed, 21 Oct 2099 07:27:00 GMT", hour),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("2015-10-21", None),
    ] {
        let value = HeaderValue::from_str(text).unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
        assert_eq!(retry_after(&headers, NOW), expected, "{text:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), NOW), None);
}
