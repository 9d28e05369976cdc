use serde_json::{Value, json};

use super::*;
use crate::{
    failure::Failure,
    request::{FromQuery, QueryReader},
};

fn read<T: FromQuery>(query: &str) -> Result<T, Value> {
    match QueryReader::read(query) {
        Ok(value) => Ok(value),
        Err(Failure::Invalid(problems)) => Err(json!(problems)),
        Err(other) => panic!("refused otherwise: {other}"),
    }
}

#[test]
fn orders_and_statuses_are_read() {
    let params = read::<ConversationSearchParams>("sort_order=UPDATED_AT&status=paused");
    let query = ConversationQuery::from(params.unwrap_or_else(|e| panic!("{e}")));
    assert_eq!(query.order, ConversationOrder::Updated);
    assert_eq!(query.status, Some(ExecutionStatus::Paused));
}

#[test]
fn the_documented_orders_are_those_that_are_read() {
    let schema = schemars::schema_for!(ConversationSortOrder).to_value();
    for word in schema["enum"].as_array().unwrap() {
        let query = format!("sort_order={}", word.as_str().unwrap());
        assert!(read::<ConversationSearchParams>(&query).is_ok(), "{query}");
    }
}

#[test]
fn ids_come_repeated_or_by_comma() {
    let a = "4ed7564a-c465-4319-ba19-ee162b106852";
    let b = "c19f8284b44a40feb3b6957841fc14cd";
    for query in [format!("ids={a}&ids={b}"), format!("ids={a},{b}")] {
        let ids = read::<ConversationBatchParams>(&query).ok().unwrap().ids.0;
        assert_eq!(ids, [a.parse().unwrap(), b.parse().unwrap()]);
    }
    let problems = read::<ConversationBatchParams>("ids=zzz").err().unwrap();
    assert_eq!(problems[0]["loc"], json!(["query", "ids", 0]));
    assert_eq!(
        read::<ConversationBatchParams>("").err().unwrap()[0]["type"],
        "missing"
    );
}
