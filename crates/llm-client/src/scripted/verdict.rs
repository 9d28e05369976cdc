//! Whether a goal is reached, as far as exit codes tell.

use serde_json::json;

use super::EXIT;
use crate::{ModelRequest, VERDICT_FORM};

/// The answer to a request for a verdict; None for any other request.
pub(super) fn given(request: &ModelRequest) -> Option<String> {
    let instructions = request.messages.first()?;
    if !instructions.text().ends_with(VERDICT_FORM) {
        return None;
    }
    let record = request.messages.last()?.text();
    let code = record
        .rsplit_once(EXIT)
        .and_then(|(_, rest)| rest.split(']').next())
        .unwrap_or("0");
    let missing = if code == "0" {
        String::new()
    } else {
        format!("The last command ended with exit code {code}.")
    };
    let complete = missing.is_empty();
    let verdict = json!({
        "score": if complete { 1.0 } else { 0.0 }, "complete": complete, "missing": missing,
    });
    Some(verdict.to_string())
}
