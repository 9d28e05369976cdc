use std::{collections::BTreeMap, fmt::Write as _};

use core_model::secrets::MASK;
use serde_json::{Map, Value, json};

use super::{
    Loaded,
    load::DEFAULT,
    schema::{below, hide_credentials, is_secret},
};

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
        if let Some(fields) = value.as_object().filter(|fields| !fields.is_empty()) {
            for (name, field) in fields {
                self.collect(field.clone(), below(&key, name), rows);
            }
        } else if let Some(items) = value.as_array().filter(|items| !items.is_empty()) {
            for (index, item) in items.iter().enumerate() {
                self.collect(item.clone(), format!("{key}[{index}]"), rows);
            }
        } else if !value.is_null() || derived_from(&key).is_some() {
            rows.push(Row {
                note: note(&key, &value),
                value: masked(&key, value),
                origin: self.source_of(&key),
                key,
            });
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
        let text = self.value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| self.value.to_string())
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
    if value.is_null() {
        return derived_from(key);
    }
    let empty = if key == "session_api_key" {
        "empty: no key"
    } else {
        "empty"
    };
    (value == "" && is_secret(key)).then_some(empty)
}

fn masked(key: &str, value: Value) -> Value {
    let empty = [json!([]), json!({}), json!(""), Value::Null].contains(&value);
    if is_secret(key) && !empty {
        return MASK.into();
    }
    match value.as_str() {
        Some(text) => hide_credentials(text.to_owned()).into(),
        None => value,
    }
}
