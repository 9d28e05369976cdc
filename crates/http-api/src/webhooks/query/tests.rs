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
fn deliveries_are_all_or_as_many_as_asked_for() {
    let limit =
        |query| read::<DeliveryListParams>(query).map(|params| params.limit.map(|limit| limit.0));
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
