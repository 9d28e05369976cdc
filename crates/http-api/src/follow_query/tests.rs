use serde_json::{Value, json};

use super::*;
use crate::failure::Failure;

fn read<T: FromQuery>(query: &str) -> Result<T, Value> {
    match QueryReader::read(query) {
        Ok(value) => Ok(value),
        Err(Failure::Invalid(problems)) => Err(json!(problems)),
        Err(other) => panic!("refused otherwise: {other}"),
    }
}

#[test]
fn a_socket_starts_where_it_is_told() {
    let start = |query| {
        read::<FollowParams>(query)
            .ok()
            .map(|params| params.start())
    };
    let time: EventTime = "2026-11-22T19:41:07.359261".parse().unwrap();
    assert_eq!(start(""), Some(Start::Live));
    assert_eq!(start("resend_mode=all"), Some(Start::Beginning));
    assert_eq!(start("resend_all=true"), Some(Start::Beginning));
    assert_eq!(start("resend_mode=since"), Some(Start::Live));
    assert_eq!(
        start("resend_mode=since&after_timestamp=2026-11-22T19:41:07.359261Z"),
        Some(Start::Since(time))
    );
    assert_eq!(
        start("resend_mode=all&after_event_id=x"),
        Some(Start::After("x".into()))
    );
    assert_eq!(start("resend_mode=bogus"), None);
}
