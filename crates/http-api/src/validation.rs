//! Turns what is wrong with a request into the error list that the public clients know: one
//! object a problem, with `type`, `loc`, `msg` and, where it cannot give a secret away, `input`.

mod explain;
mod problem;

use core_model::ConversationId;
use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category};

use self::explain::explain;

pub(crate) use problem::Problem;

/// Parses a request body as JSON of any shape.
///
/// # Errors
/// One problem of type `json_invalid` with the offset in bytes.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, Vec<Problem>> {
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = Problem::new("json_invalid", &["body"], "JSON decode error")
            .at(offset(bytes, error.line(), error.column()))
            .ctx("error", syntax_fault(&error));
        vec![problem.input_left_out()]
    })
}

/// Reads `value` as a `T`; `at` is where the value stands in the request.
///
/// # Errors
/// The first thing that does not fit.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value, at: &[&str]) -> Result<T, Vec<Problem>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().clone();
        vec![explain(&error.into_inner().to_string(), at, &path, value)]
    })
}

/// Reads `value`, which must be an object, as a `T`. A list would also do for a deserializer.
///
/// # Errors
/// The first thing that does not fit.
pub(crate) fn object<T: DeserializeOwned>(value: &Value, at: &[&str]) -> Result<T, Vec<Problem>> {
    if !value.is_object() {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        return Err(vec![
            Problem::new("model_attributes_type", at, msg).input(value.clone()),
        ]);
    }
    typed(value, at)
}

/// Reads a conversation id, dashed or as 32 hex digits.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn conversation_id(text: &str, loc: &[&str]) -> Result<ConversationId, Vec<Problem>> {
    let plain = text.len() == 36 || text.len() == 32;
    match text.parse() {
        Ok(id) if plain => Ok(id),
        Ok(_) | Err(_) => Err(vec![Problem::uuid(loc, text)]),
    }
}

/// Where a parser stopped, counted in bytes from the start.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

/// A syntax error in words, without the position that the offset already says.
fn syntax_fault(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "the text ends too early".to_owned(),
        Category::Syntax | Category::Data | Category::Io => {
            let text = error.to_string();
            text.split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
