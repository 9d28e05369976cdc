//! How parts of the body are read that may be null or left out.

use serde_json::{Map, Value};

use crate::validation::Problem;

pub(super) fn is_null(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

/// Reads what is neither left out nor null.
///
/// # Errors
/// Those of `read`.
pub(super) fn given<T>(
    value: Option<&Value>,
    read: impl Fn(&Value) -> Result<T, Vec<Problem>>,
) -> Result<Option<T>, Vec<Problem>> {
    value.filter(|value| !value.is_null()).map(read).transpose()
}

/// # Errors
/// When it is not an object.
pub(super) fn object<'a>(
    value: &'a Value,
    at: &[&str],
) -> Result<&'a Map<String, Value>, Vec<Problem>> {
    value.as_object().ok_or_else(|| {
        vec![Problem::new(
            "dict_type",
            at,
            "Input should be a valid object",
        )]
    })
}

pub(super) fn at_least_one(at: &[&str], given: i64) -> Problem {
    Problem::new(
        "greater_than_equal",
        at,
        "Input should be greater than or equal to 1",
    )
    .input(given)
    .ctx("ge", 1)
}
