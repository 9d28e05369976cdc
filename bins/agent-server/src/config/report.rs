use std::{collections::BTreeMap, fmt::Write as _};

use core_model::secrets::MASK;
use serde_json::{Map, Value, json};

use super::{Loaded, credentials::hide_credentials, load::DEFAULT, schema::is_secret};

impl Loaded {
    /// The effective configuration as a table: key, value, source; secrets masked.
    #[must_use]
    pub fn table(&self) -> String {
        let rows = self.rows();
        let key_width = rows.iter().map(|row| row.key.len()).max().unwrap_or(0);
        let value_width = rows.iter().map(|row| row.text().chars().count()).max();
        let value_width = value_width.unwrap_or(0).min(60);
        rows.iter().fold(String::new(), |mut table, row| {
            let (key, text, origin) = (&row.key, row.text(), row.origin);
            writeln!(table, "{key:key_width$}  {text:value_width$}  {origin}").ok();
            table
        })
    }

    /// The same as one JSON object: `{key: {"value": …, "source": …}}`, with a `note` where the table has
    /// one instead of the value.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows = self.rows().into_iter();
        rows.map(|row| {
            let mut shown = json!({"value": row.value, "source": row.origin});
            if let Some(note) = row.note {
                shown["note"] = note.into();
            }
            (row.key, shown)
        })
        .collect::<Map<_, _>>()
        .into()
    }

    /// For the log: each source except the defaults, with the keys that it sets.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<&str, Vec<String>> {
        let mut sources = BTreeMap::<&str, Vec<String>>::new();
        for row in self.rows() {
            if row.origin != DEFAULT {
                sources.entry(row.origin).or_default().push(row.key);
            }
        }
        sources
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        let settings = serde_json::to_value(&self.settings).unwrap_or_default();
        self.collect(settings, String::new(), &mut rows);
        rows
    }

    fn collect<'a>(&'a self, value: Value, key: String, rows: &mut Vec<Row<'a>>) {
        match value {
            Value::Null if derived_from(&key).is_none() => {}
            Value::Object(fields) if !fields.is_empty() => {
                for (name, field) in fields {
                    let key = if key.is_empty() {
                        name
                    } else {
                        format!("{key}.{name}")
                    };
                    self.collect(field, key, rows);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, item) in items.into_iter().enumerate() {
                    self.collect(item, format!("{key}[{index}]"), rows);
                }
            }
            Value::Null
            | Value::Object(_)
            | Value::Array(_)
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => rows.push(Row {
                note: note(&key, &value),
                value: masked(&key, value),
                origin: self.source_of(&key),
                key,
            }),
        }
    }

    /// A default inside an entry that a file gave is still a default.
    fn source_of(&self, key: &str) -> &str {
        let origin = self.merged.origins.get(key);
        origin.map_or("default", String::as_str)
    }
}

struct Row<'a> {
    key: String,
    value: Value,
    /// Shown instead of the value.
    note: Option<&'static str>,
    origin: &'a str,
}

impl Row<'_> {
    fn text(&self) -> String {
        if let Some(note) = self.note {
            return format!("({note})");
        }
        match &self.value {
            Value::String(text) => text.clone(),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => other.to_string(),
        }
    }
}

/// Where a limit comes from that is not set.
fn derived_from(key: &str) -> Option<&'static str> {
    match key {
        "max_connections" => Some("by files and memory"),
        "max_connections_per_address" => Some("half of max_connections"),
        "max_frame_bytes" => Some("as max_body_bytes"),
        _ => None,
    }
}

/// A mask would let an empty key look like one that protects.
fn note(key: &str, value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => derived_from(key),
        Value::String(text) if text.is_empty() && key == "session_api_key" => Some("empty: no key"),
        Value::String(text) if text.is_empty() && is_secret(key) => Some("empty"),
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

fn masked(key: &str, value: Value) -> Value {
    let empty = [json!([]), json!({}), json!(""), Value::Null].contains(&value);
    if is_secret(key) && !empty {
        return MASK.into();
    }
    match value {
        Value::String(text) => hide_credentials(text).into(),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other,
    }
}
