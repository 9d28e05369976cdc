use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::exchange::Failure;
use crate::ModelError;

/// Fields that a model's provider has refused; they are not sent again.
#[derive(Default)]
pub(super) struct RefusedFields(Mutex<BTreeSet<&'static str>>);

impl RefusedFields {
    pub(super) fn remove_from(&self, body: &mut Map<String, Value>) {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.retain(|name, _| !refused.contains(name.as_str()));
    }

    /// Records which `optional` fields of `sent` a failure says are not supported; whether it named
    /// any.
    pub(super) fn learn(
        &self,
        failure: &Failure,
        sent: &Map<String, Value>,
        optional: &[&'static str],
    ) -> bool {
        let fields: Vec<&'static str> = optional
            .iter()
            .copied()
            .filter(|field| sent.contains_key(*field))
            .filter(|field| names(&failure.body, field))
            .collect();
        if fields.is_empty() || !is_refusal(failure) {
            return false;
        }
        tracing::info!(?fields, "the model's provider refuses these fields");
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.extend(fields);
        true
    }
}

fn is_refusal(failure: &Failure) -> bool {
    const PHRASES: [&str; 9] = [
        "support",
        "unknown",
        "unrecognized",
        "unexpected",
        "extra",
        "not permitted",
        "not allowed",
        "cannot find",
        "deprecated",
    ];
    let bad_request = matches!(
        failure.error,
        ModelError::BadRequest {
            status: 400 | 422,
            ..
        }
    );
    let body = failure.body.to_lowercase();
    bad_request && PHRASES.iter().any(|phrase| body.contains(phrase))
}

/// Whether a text holds a field's name, in lower or upper case, as a word of its own.
fn names(text: &str, field: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !part_of_word(c))
        .any(|word| word.eq_ignore_ascii_case(field))
}
