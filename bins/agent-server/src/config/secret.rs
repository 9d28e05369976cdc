use std::fmt;

use core_model::secrets::MASK;
use serde::{Deserialize, Serialize};

/// A value that is never written to a log, table or message. Serialising shows it, because the layers
/// need it; the report masks by key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, without white space around it; `None` when nothing is left, because an empty key
    /// counts as unset.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        Some(self.trimmed()).filter(|text| !text.is_empty())
    }

    /// Whether there is nothing, not even white space.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, without white space around it.
    #[must_use]
    pub fn trimmed(&self) -> &str {
        self.0.trim()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}
