use std::{cell::Cell, future::poll_fn, rc::Rc};

use futures_util::{FutureExt, stream};
use tokio::time::timeout;

use super::*;
use crate::gathered::PIECE;

const SOCKET: Form = Form::Socket;
const MEGABYTE: usize = 1 << 20;

async fn pull(body: &mut Pulled) -> Option<Bytes> {
    let piece = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await;
    piece.map(|Ok(piece)| piece)
}

/// All that comes without waiting, and whether that was the end.
fn pull_all(body: &mut Pulled) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match pull(body).now_or_never() {
            Some(Some(piece)) => bytes.extend_from_slice(&piece),
            Some(None) => return (bytes, true),
            None => return (bytes, false),
        }
    }
}

/// Megabytes without end; counts those that were made.
fn megabytes(made: &Rc<Cell<usize>>) -> Frames {
    let made = Rc::clone(made);
    stream::repeat_with(move || {
        made.set(made.get() + 1);
        Ok(Bytes::from(vec![b'x'; MEGABYTE]).into())
    })
    .boxed_local()
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    let length = u8::try_from(2 + reason.len()).unwrap();
    [&[0x88, length][..], &code.to_be_bytes(), reason.as_bytes()].concat()
}

#[actix_web::test]
async fn no_more_is_made_than_the_connection_asks_for() {
    let made = Rc::new(Cell::new(0));
    let outlet = Outlet::new(SOCKET);
    let mut body = outlet.body();
    outlet.begin(megabytes(&made));
    assert_eq!(made.get(), 0);
    let mut taken = 0;
    while taken < 5 * MEGABYTE {
        let piece = pull(&mut body).await.unwrap();
        assert!((1..=PIECE).contains(&piece.len()));
        taken += piece.len();
        assert_eq!(made.get(), taken.div_ceil(MEGABYTE));
    }
}

#[actix_web::test]
async fn who_takes_nothing_finds_the_rest_of_the_chunk_and_the_reason() {
    for form in [SOCKET, Form::Stream] {
        let made = Rc::new(Cell::new(0));
        let outlet = Outlet::new(form);
        let mut body = outlet.body();
        outlet.begin(megabytes(&made));
        let first = pull(&mut body).await.unwrap();
        assert!(outlet.is_taking());
        outlet.stalled(Duration::from_millis(5)).await;
        assert_eq!(outlet.finish(Goodbye::Slow), 1013);
        // The frames are gone at once.
        assert_eq!(Rc::strong_count(&made), 1);
        let (rest, ended) = pull_all(&mut body);
        assert!(ended);
        let words = match form {
            Form::Socket => close(1013, "slow_consumer"),
            Form::Stream => {
                b"event: end\ndata: {\"code\":1013,\"reason\":\"slow_consumer\"}\n\n".to_vec()
            }
        };
        let (chunk, last) = rest.split_at(MEGABYTE - first.len());
        assert!(chunk.iter().all(|byte| *byte == b'x'));
        assert_eq!(last, words);
        // What is said later changes nothing.
        assert_eq!(outlet.finish(Goodbye::Deleted), 1013);
    }
}

#[actix_web::test]
async fn who_has_taken_all_there_is_does_not_stall() {
    let outlet = Outlet::new(SOCKET);
    let mut body = outlet.body();
    let one = stream::iter([Ok(Bytes::from_static(b"one").into())]);
    outlet.begin(one.chain(stream::pending()).boxed_local());
    assert_eq!(pull_all(&mut body), (b"one".to_vec(), false));
    assert!(!outlet.is_taking());
    let stalled = outlet.stalled(Duration::from_millis(5));
    assert!(timeout(Duration::from_millis(50), stalled).await.is_err());
}

#[actix_web::test]
async fn answers_come_between_chunks_and_wait_in_bounds() {
    let outlet = Outlet::new(SOCKET);
    let mut body = outlet.body();
    let chunk = Bytes::from(vec![b'x'; PIECE + 1]);
    outlet.begin(
        stream::iter([Ok(chunk.into())])
            .chain(stream::pending())
            .boxed_local(),
    );
    pull(&mut body).await.unwrap();
    for payload in ["a", "b"] {
        outlet.pong(Bytes::from_static(payload.as_bytes()));
    }
    let answer = Bytes::from(vec![b'y'; 1000]);
    let mut answers = 0;
    while outlet.room().now_or_never().is_some() {
        outlet.answer(answer.clone()).unwrap();
        answers += 1;
    }
    assert_eq!(answers, 5);
    let (bytes, ended) = pull_all(&mut body);
    assert!(!ended);
    assert_eq!(bytes[0], b'x');
    let frame = [&[0x81, 126, 3, 232][..], &answer].concat();
    let expected = [frame.repeat(answers), vec![0x8a, 1, b'b']].concat();
    assert_eq!(&bytes[1..], expected);
    assert!(outlet.room().now_or_never().is_some());
}

#[actix_web::test]
async fn frames_that_end_and_a_dropped_body_end_all() {
    let outlet = Outlet::new(SOCKET);
    let mut body = outlet.body();
    let frames = [Ok(Bytes::from_static(b"one").into()), Err(Goodbye::Deleted)];
    outlet.begin(stream::iter(frames).boxed_local());
    let (bytes, ended) = pull_all(&mut body);
    assert!(ended);
    assert_eq!(
        bytes,
        [&b"one"[..], &close(4004, "Conversation deleted")].concat()
    );
    assert_eq!(outlet.finish(Goodbye::Gone), 4004);

    let made = Rc::new(Cell::new(0));
    let outlet = Outlet::new(SOCKET);
    let body = outlet.body();
    outlet.begin(megabytes(&made));
    drop(body);
    assert_eq!(Rc::strong_count(&made), 1);
    outlet.gone().await;
    assert_eq!(outlet.finish(Goodbye::Silent), 1006);
}
