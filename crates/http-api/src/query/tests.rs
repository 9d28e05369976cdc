use serde_json::{Value, json};

use super::*;
use crate::error::Failure;

fn read<T: FromQuery>(query: &str) -> Result<T, Value> {
    let mut params = Params::parse(query);
    let value = T::from_query(&mut params);
    match params.finish(value) {
        Ok(value) => Ok(value),
        Err(Failure::Invalid(problems)) => Err(json!(problems)),
        Err(other) => panic!("refused otherwise: {other}"),
    }
}

#[test]
fn limits_read_as_recorded() {
    let refused = |query| read::<EventSearchParams>(query).err().unwrap();
    assert_eq!(
        refused("limit=0"),
        json!([{"type": "greater_than", "loc": ["query", "limit"],
                "msg": "Input should be greater than 0", "input": "0", "ctx": {"gt": 0}}])
    );
    assert_eq!(
        refused("limit=101"),
        json!([{"type": "less_than_equal", "loc": ["query", "limit"],
                "msg": "Input should be less than or equal to 100", "input": "101",
                "ctx": {"le": 100}}])
    );
    assert_eq!(refused("limit=many")[0]["type"], "int_parsing");
    assert_eq!(
        read::<EventSearchParams>("").ok().map(|p| p.limit),
        Some(100)
    );
}

#[test]
fn deliveries_are_all_or_as_many_as_asked_for() {
    let limit = |query| read::<DeliveryListParams>(query).map(|params| params.limit);
    assert_eq!(limit(""), Ok(None));
    assert_eq!(limit("limit=1"), Ok(Some(1)));
    assert_eq!(limit("limit=1000"), Ok(Some(1000)));
    assert_eq!(
        limit("limit=1001").unwrap_err()[0]["ctx"],
        json!({"le": 1000})
    );
    let endless = limit("limit=9223372036854775807").unwrap_err();
    assert_eq!(endless[0]["type"], "less_than_equal");
    assert_eq!(limit("limit=0").unwrap_err()[0]["type"], "greater_than");
    assert_eq!(limit("limit=many").unwrap_err()[0]["type"], "int_parsing");
}

#[test]
fn orders_read_as_recorded() {
    assert_eq!(
        read::<EventSearchParams>("sort_order=X").err().unwrap(),
        json!([{"type": "enum", "loc": ["query", "sort_order"],
                "msg": "Input should be 'TIMESTAMP' or 'TIMESTAMP_DESC'", "input": "X",
                "ctx": {"expected": "'TIMESTAMP' or 'TIMESTAMP_DESC'"}}])
    );
    let params = read::<ConversationSearchParams>("sort_order=UPDATED_AT&status=paused");
    let query = ConversationQuery::from(params.unwrap_or_else(|e| panic!("{e}")));
    assert_eq!(query.order, ConversationOrder::Updated);
    assert_eq!(query.status, Some(ExecutionStatus::Paused));
}

#[test]
fn the_documented_orders_are_those_that_are_read() {
    let schema = schemars::schema_for!(ConversationSortOrder).to_value();
    let words: Vec<&str> = CONVERSATION_ORDERS.iter().map(|(word, _)| *word).collect();
    assert_eq!(schema["enum"], json!(words));
    let schema = schemars::schema_for!(EventSortOrder).to_value();
    let words: Vec<&str> = EVENT_ORDERS.iter().map(|(word, _)| *word).collect();
    assert_eq!(schema["enum"], json!(words));
}

#[test]
fn every_problem_is_reported_at_once() {
    let problems = read::<EventSearchParams>("limit=0&timestamp__gte=bad")
        .err()
        .unwrap();
    assert_eq!(problems.as_array().map(Vec::len), Some(2));
}

#[test]
fn ids_come_repeated_or_by_comma() {
    let a = "4ed7564a-c465-4319-ba19-ee162b106852";
    let b = "c19f8284b44a40feb3b6957841fc14cd";
    for query in [format!("ids={a}&ids={b}"), format!("ids={a},{b}")] {
        let ids = read::<ConversationBatchParams>(&query).ok().unwrap().ids;
        assert_eq!(ids, [a.parse().unwrap(), b.parse().unwrap()]);
    }
    let problems = read::<ConversationBatchParams>("ids=zzz").err().unwrap();
    assert_eq!(problems[0]["loc"], json!(["query", "ids", 0]));
    assert_eq!(
        read::<ConversationBatchParams>("").err().unwrap()[0]["type"],
        "missing"
    );
}

#[test]
fn a_socket_starts_where_it_is_told() {
    let start = |query| {
        read::<SocketParams>(query)
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
