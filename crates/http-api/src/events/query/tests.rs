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
        read::<EventSearchParams>("").ok().map(|p| p.limit.0),
        Some(100)
    );
}

#[test]
fn orders_read_as_recorded() {
    assert_eq!(
        read::<EventSearchParams>("sort_order=X").err().unwrap(),
        json!([{"type": "enum", "loc": ["query", "sort_order"],
                "msg": "Input should be 'TIMESTAMP' or 'TIMESTAMP_DESC'", "input": "X",
                "ctx": {"expected": "'TIMESTAMP' or 'TIMESTAMP_DESC'"}}])
    );
}

#[test]
fn the_documented_orders_are_those_that_are_read() {
    let schema = schemars::schema_for!(EventSortOrder).to_value();
    for word in schema["enum"].as_array().unwrap() {
        let query = format!("sort_order={}", word.as_str().unwrap());
        assert!(read::<EventSearchParams>(&query).is_ok(), "{query}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let problems = read::<EventSearchParams>("limit=0&timestamp__gte=bad")
        .err()
        .unwrap();
    assert_eq!(problems.as_array().map(Vec::len), Some(2));
}
