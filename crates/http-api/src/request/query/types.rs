use std::borrow::Cow;

use core_model::{ConversationId, EventTime, ExecutionStatus};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::reader::{FromQuery, Parameter, QueryReader, word};
use crate::validation::{self, Problem};

/// How many items are wanted: 1 to `MAX`, and `MAX` if it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit<const MAX: usize>(pub(crate) usize);

impl<const MAX: usize> Parameter for Limit<MAX> {
    fn parse(text: &str, at: &[&str]) -> Result<Self, Vec<Problem>> {
        let problem = match text.trim().parse::<i64>() {
            Err(_) => not_an_integer(at),
            Ok(limit) if limit < 1 => {
                Problem::new("greater_than", at, "Input should be greater than 0").ctx("gt", 0)
            }
            Ok(limit) => match usize::try_from(limit) {
                Ok(limit) if limit <= MAX => return Ok(Self(limit)),
                Ok(_) | Err(_) => {
                    let msg = format!("Input should be less than or equal to {MAX}");
                    Problem::new("less_than_equal", at, msg).ctx("le", MAX)
                }
            },
        };
        Err(vec![problem.input(text)])
    }
}

impl<const MAX: usize> FromQuery for Limit<MAX> {
    fn from_query(query: &mut QueryReader, name: &str) -> Self {
        Option::from_query(query, name).unwrap_or(Self(MAX))
    }
}

impl<const MAX: usize> JsonSchema for Limit<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Limit{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "format": "uint", "minimum": 1, "maximum": MAX})
    }
}

/// A parameter that must be given.
#[derive(Debug, JsonSchema)]
#[schemars(transparent)]
pub(crate) struct Required<T>(pub(crate) T);

impl<T: FromQuery> FromQuery for Required<T> {
    fn from_query(query: &mut QueryReader, name: &str) -> Self {
        if query.text(name).is_none() {
            query.collect::<()>(Err(vec![Problem::missing(&["query", name])]));
        }
        Self(T::from_query(query, name))
    }
}

impl Parameter for String {
    fn parse(text: &str, _: &[&str]) -> Result<Self, Vec<Problem>> {
        Ok(text.to_owned())
    }
}

/// Empty if it is left out.
impl FromQuery for String {
    fn from_query(query: &mut QueryReader, name: &str) -> Self {
        Option::from_query(query, name).unwrap_or_default()
    }
}

impl Parameter for ConversationId {
    fn parse(text: &str, at: &[&str]) -> Result<Self, Vec<Problem>> {
        validation::conversation_id(text, at)
    }
}

impl Parameter for EventTime {
    fn parse(text: &str, at: &[&str]) -> Result<Self, Vec<Problem>> {
        text.parse().map_err(|_| {
            let why = "expected ISO 8601 such as 2026-01-31T12:00:00";
            let msg = format!("Input should be a valid datetime or date, {why}");
            let problem = Problem::new("datetime_from_date_parsing", at, msg);
            vec![problem.input(text).ctx("error", why)]
        })
    }
}

impl Parameter for bool {
    fn parse(text: &str, at: &[&str]) -> Result<Self, Vec<Problem>> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Ok(true),
            "false" | "0" | "no" | "off" | "f" | "n" => Ok(false),
            _ => {
                let msg = "Input should be a valid boolean, unable to interpret input";
                Err(vec![Problem::new("bool_parsing", at, msg).input(text)])
            }
        }
    }
}

/// False if it is left out.
impl FromQuery for bool {
    fn from_query(query: &mut QueryReader, name: &str) -> Self {
        Option::from_query(query, name).unwrap_or_default()
    }
}

word!(ExecutionStatus);

/// The problem of a text that should be an integer.
pub(crate) fn not_an_integer(at: &[&str]) -> Problem {
    let msg = "Input should be a valid integer, unable to parse string as an integer";
    Problem::new("int_parsing", at, msg)
}
