use super::*;

fn ten_bytes() -> Limits {
    Limits {
        body_bytes: 10,
        ..Limits::default()
    }
}

#[actix_web::test]
async fn a_body_that_stops_arriving_is_refused() {
    let first = futures_util::stream::iter([Ok(Bytes::from_static(b"{"))]);
    let payload = first.chain(futures_util::stream::pending());
    let limits = Limits {
        body_pause: std::time::Duration::from_millis(10),
        ..ten_bytes()
    };
    let refused = read(dev::Payload::from(payload.boxed_local()), Some(2), &limits);
    assert!(matches!(refused.await, Err(Failure::BodyLate)));
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let untouched = dev::Payload::from(
        futures_util::stream::poll_fn(|_| panic!("the body was read")).boxed_local(),
    );
    let refused = read(untouched, Some(11), &ten_bytes()).await;
    assert!(matches!(refused, Err(Failure::TooLarge { limit: 10 })));
}

#[actix_web::test]
async fn a_body_that_does_not_say_its_size_is_cut_off_at_the_limit() {
    let chunks = futures_util::stream::iter([4, 4, 4].map(|n| Ok(Bytes::from(vec![b'x'; n]))));
    let refused = read(dev::Payload::from(chunks.boxed_local()), None, &ten_bytes()).await;
    assert!(matches!(refused, Err(Failure::TooLarge { limit: 10 })));
}
