use std::{cell::Cell, future::poll_fn, rc::Rc};

use futures_util::{FutureExt, stream};
use tokio::time::timeout;

use super::*;
use crate::buf_list::CHUNK_BYTES;

const SOCKET: FrameEncoding = FrameEncoding::WebSocket;
const MEGABYTE: usize = 1 << 20;

async fn pull(body: &mut FrameBody) -> Option<Bytes> {
    let piece = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await;
    piece.map(|Ok(piece)| piece)
}

/// All that comes without waiting, and whether that was the end.
fn pull_all(body: &mut FrameBody) -> (Vec<u8>, bool) {
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
fn megabytes(made: &Rc<Cell<usize>>) -> FrameChunks {
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
    let sender = FrameSender::new(SOCKET);
    let mut body = sender.body();
    sender.start(megabytes(&made));
    assert_eq!(made.get(), 0);
    let mut taken = 0;
    while taken < 5 * MEGABYTE {
        let piece = pull(&mut body).await.unwrap();
        assert!((1..=CHUNK_BYTES).contains(&piece.len()));
        taken += piece.len();
        assert_eq!(made.get(), taken.div_ceil(MEGABYTE));
    }
}

#[actix_web::test]
async fn who_takes_nothing_finds_the_rest_of_the_chunk_and_the_reason() {
    for encoding in [SOCKET, FrameEncoding::EventStream] {
        let made = Rc::new(Cell::new(0));
        let sender = FrameSender::new(encoding);
        let mut body = sender.body();
        sender.start(megabytes(&made));
        let first = pull(&mut body).await.unwrap();
        assert!(sender.is_sending());
        sender.stalled(Duration::from_millis(5)).await;
        assert_eq!(sender.close(CloseReason::SlowConsumer), 1013);
        // The frames are gone at once.
        assert_eq!(Rc::strong_count(&made), 1);
        let (rest, ended) = pull_all(&mut body);
        assert!(ended);
        let words = match encoding {
            FrameEncoding::WebSocket => close(1013, "slow_consumer"),
            FrameEncoding::EventStream => {
                b"event: end\ndata: {\"code\":1013,\"reason\":\"slow_consumer\"}\n\n".to_vec()
            }
        };
        let (chunk, last) = rest.split_at(MEGABYTE - first.len());
        assert!(chunk.iter().all(|byte| *byte == b'x'));
        assert_eq!(last, words);
        // What is said later changes nothing.
        assert_eq!(sender.close(CloseReason::Deleted), 1013);
    }
}

#[actix_web::test]
async fn who_has_taken_all_there_is_does_not_stall() {
    let sender = FrameSender::new(SOCKET);
    let mut body = sender.body();
    let one = stream::iter([Ok(Bytes::from_static(b"one").into())]);
    sender.start(one.chain(stream::pending()).boxed_local());
    assert_eq!(pull_all(&mut body), (b"one".to_vec(), false));
    assert!(!sender.is_sending());
    let stalled = sender.stalled(Duration::from_millis(5));
    assert!(timeout(Duration::from_millis(50), stalled).await.is_err());
}

#[actix_web::test]
async fn answers_come_between_chunks_and_wait_in_bounds() {
    let sender = FrameSender::new(SOCKET);
    let mut body = sender.body();
    let chunk = Bytes::from(vec![b'x'; CHUNK_BYTES + 1]);
    sender.start(
        stream::iter([Ok(chunk.into())])
            .chain(stream::pending())
            .boxed_local(),
    );
    pull(&mut body).await.unwrap();
    for payload in ["a", "b"] {
        sender.pong(Bytes::from_static(payload.as_bytes()));
    }
    let answer = Bytes::from(vec![b'y'; 1000]);
    let mut answers = 0;
    while sender.room_for_answers().now_or_never().is_some() {
        sender.answer(answer.clone()).unwrap();
        answers += 1;
    }
    assert_eq!(answers, 5);
    let (bytes, ended) = pull_all(&mut body);
    assert!(!ended);
    assert_eq!(bytes[0], b'x');
    let frame = [&[0x81, 126, 3, 232][..], &answer].concat();
    let expected = [frame.repeat(answers), vec![0x8a, 1, b'b']].concat();
    assert_eq!(&bytes[1..], expected);
    assert!(sender.room_for_answers().now_or_never().is_some());
}

#[actix_web::test]
async fn frames_that_end_and_a_dropped_body_end_all() {
    let sender = FrameSender::new(SOCKET);
    let mut body = sender.body();
    let frames = [
        Ok(Bytes::from_static(b"one").into()),
        Err(CloseReason::Deleted),
    ];
    sender.start(stream::iter(frames).boxed_local());
    let (bytes, ended) = pull_all(&mut body);
    assert!(ended);
    assert_eq!(
        bytes,
        [&b"one"[..], &close(4004, "Conversation deleted")].concat()
    );
    assert_eq!(sender.close(CloseReason::ConnectionLost), 4004);

    let made = Rc::new(Cell::new(0));
    let sender = FrameSender::new(SOCKET);
    let body = sender.body();
    sender.start(megabytes(&made));
    drop(body);
    assert_eq!(Rc::strong_count(&made), 1);
    sender.body_dropped().await;
    assert_eq!(sender.close(CloseReason::Unresponsive), 1006);
}
