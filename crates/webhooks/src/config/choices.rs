//! Settings that are one of a few words.

use serde::{Deserialize, Serialize};

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

/// What becomes of a batch when all its tries failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExhausted {
    /// The webhook is parked and probed; the log keeps the events.
    #[default]
    Park,
    /// It becomes a dead letter, and the next one is tried.
    Drop,
}

/// Where a webhook starts that was not there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With events that happen from then on.
    #[default]
    Now,
    /// With the first event of every conversation there is.
    Beginning,
}
