//! How many may be connected, and who takes up whose place.

use uuid::Uuid;

use super::*;

const AUTH: &str = r#"{"type":"auth","session_api_key":"sekrit"}"#;

fn one_place_each() -> Limits {
    Limits {
        sockets_per_conversation: 1,
        ..Limits::default()
    }
}

/// Connects until a socket is not turned away.
async fn open_when_free(server: &Server, first: Option<&str>) -> Socket {
    let free = async {
        loop {
            let mut socket = open(server.request()).await;
            if let Some(first) = first {
                socket.send(text(first)).await.unwrap();
            }
            if next(&mut socket).await.is_ok() {
                return socket;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANG_GUARD, free).await.unwrap()
}

#[actix_web::test]
async fn places_are_limited_and_given_back() {
    let server = server(&[], one_place_each()).await;
    let mut first = open(server.request()).await;
    assert_eq!(next(&mut first).await, Ok("full_state".to_owned()));
    assert_eq!(next(&mut open(server.request()).await).await, Err(1013));
    first.close(None).await.unwrap();
    open_when_free(&server, None).await;
}

#[actix_web::test]
async fn conversations_that_do_not_exist_have_no_places_and_take_nobody_s() {
    let server = server(&[], one_place_each()).await;
    let address = server.address;
    let nil = Uuid::nil();
    let mut waiting = Vec::new();
    for id in [nil, nil, nil, Uuid::max(), Uuid::max()] {
        for url in [
            format!("ws://{address}/sockets/events/{id}"),
            format!("ws://{address}/sockets/session/{id}"),
        ] {
            let mut socket = open(url).await;
            assert_eq!(next(&mut socket).await, Err(4004), "{id}");
            // It goes on being connected.
            waiting.push(socket);
        }
    }
    let mut all = open(format!("ws://{address}/sockets/events")).await;
    assert_eq!(next(&mut all).await, Ok("sync".to_owned()));
    assert_eq!(
        next(&mut open(format!("ws://{address}/events/socket")).await).await,
        Err(1013)
    );
    drop(waiting);
}

#[actix_web::test]
async fn followers_of_all_take_no_place_on_a_conversation_whatever_its_id() {
    let server = server(&[], one_place_each()).await;
    let address = server.address;
    let made = reqwest::Client::new()
        .post(format!("http://{address}/conversations"))
        .body(json!({"conversation_id": Uuid::nil()}).to_string());
    assert_eq!(made.send().await.unwrap().status(), 201);
    let mut all = open(format!("ws://{address}/sockets/events")).await;
    assert_eq!(next(&mut all).await, Ok("sync".to_owned()));
    let mut nil = open(format!("ws://{address}/sockets/events/{}", Uuid::nil())).await;
    assert_eq!(next(&mut nil).await, Ok("full_state".to_owned()));
    let stream = |path: &str| reqwest::get(format!("http://{address}{path}"));
    let other = format!("/conversations/{}/events/stream", server.conversation);
    assert_eq!(stream(&other).await.unwrap().status(), 200);
    for taken in [
        "/events/stream".to_owned(),
        format!("/conversations/{}/events/stream", Uuid::nil()),
    ] {
        assert_eq!(stream(&taken).await.unwrap().status(), 503, "{taken}");
    }
}

#[actix_web::test]
async fn who_has_proven_no_key_takes_a_place_among_its_like_alone() {
    let limits = Limits {
        unauthenticated_sockets: 2,
        ..one_place_each()
    };
    let server = server(&["sekrit"], limits).await;
    let mut one = open(server.request()).await;
    let two = open(format!("ws://{}/sockets/events", server.address)).await;
    // A key in a header asks for no such place.
    let mut known = server.request();
    known
        .headers_mut()
        .insert("x-session-api-key", "sekrit".parse().unwrap());
    let mut known = open(known).await;
    assert_eq!(next(&mut known).await, Ok("full_state".to_owned()));
    known.close(None).await.unwrap();
    let too_many = async {
        // The first two may still be on their way to their places.
        while next(&mut open(server.request()).await).await != Err(1013) {}
    };
    timeout(HANG_GUARD, too_many).await.unwrap();
    drop(two);
    open_when_free(&server, Some(AUTH)).await;
    // Who has shown its key has left its place to others.
    let server = self::server(
        &["sekrit"],
        Limits {
            unauthenticated_sockets: 1,
            ..Limits::default()
        },
    )
    .await;
    one.close(None).await.ok();
    let mut shown = Vec::new();
    for _ in 0..3 {
        let mut socket = open(server.request()).await;
        socket.send(text(AUTH)).await.unwrap();
        assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
        shown.push(socket);
    }
}
