use std::fmt;

use serde_json::Value;

use super::schema::{below, fields, is_without_effect, nearest};

/// Something in the configuration that is not wrong enough to stop the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    UnknownKey {
        /// The file or the variable.
        origin: String,
        key: String,
        nearest: Option<String>,
    },
    /// A key of the public server.
    NoEffect { origin: String, key: String },
    /// A session key that is there and empty, on a server without any.
    EmptyKey { origin: String },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey {
                origin,
                key,
                nearest,
            } => {
                write!(f, "{origin}: unknown key `{key}` is ignored")?;
                nearest
                    .iter()
                    .try_for_each(|name| write!(f, "; did you mean `{name}`?"))
            }
            Self::NoEffect { origin, key } => write!(
                f,
                "{origin}: `{key}` is known to the reference server and has no effect here"
            ),
            Self::EmptyKey { origin } => write!(
                f,
                "{origin}: the session key is empty, which counts as unset: THE SERVER ASKS FOR NO KEY"
            ),
        }
    }
}

/// What of `given` is not among the known keys, at any depth.
pub(super) fn find(given: &Value, known: &Value, origin: &str) -> Vec<Notice> {
    let mut notices = Vec::new();
    walk(given, known, "", &mut |key, nearest| {
        let (origin, key) = (origin.to_owned(), key.to_owned());
        notices.push(if is_without_effect(&key) {
            Notice::NoEffect { origin, key }
        } else {
            Notice::UnknownKey {
                origin,
                key,
                nearest,
            }
        });
    });
    notices
}

fn walk(given: &Value, known: &Value, at: &str, report: &mut impl FnMut(&str, Option<String>)) {
    if let (Some(given), Some(known)) = (given.as_object(), fields(known)) {
        for (name, value) in given {
            let key = below(at, name);
            match known.get(name) {
                Some(known) => walk(value, known, &key, report),
                None => report(&key, nearest(name, known.keys()).map(str::to_owned)),
            }
        }
    } else if let (Some(given), Some([known])) =
        (given.as_array(), known.as_array().map(Vec::as_slice))
    {
        for (index, value) in given.iter().enumerate() {
            walk(value, known, &format!("{at}[{index}]"), report);
        }
    }
}
