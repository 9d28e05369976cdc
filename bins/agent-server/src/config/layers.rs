use std::{collections::BTreeMap, fmt};

use config::{Config, Map, Source, Value as Sourced, ValueKind};
use serde_json::{Number, Value};

use super::schema::below;

/// Values from one place: a file, a variable, a flag, the defaults.
#[derive(Clone)]
pub(super) struct Layer {
    /// By path expression, `webhooks[0].method` for one.
    values: Vec<(String, Value)>,
    origin: String,
}

impl Layer {
    pub(super) fn one(key: String, value: Value, origin: String) -> Self {
        Self {
            values: vec![(key, value)],
            origin,
        }
    }

    /// The fields of an object that are among the known ones and not null.
    pub(super) fn object(value: &Value, known: &Value, origin: String) -> Self {
        let fields = value.as_object().into_iter().flatten();
        let values = fields
            .filter(|(name, value)| known.get(name).is_some() && !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self { values, origin }
    }
}

/// Without the values, which may be secrets.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Sourced>, config::ConfigError> {
        let sourced =
            |(key, value): &(String, Value)| (key.clone(), with_origin(value, &self.origin));
        Ok(self.values.iter().map(sourced).collect())
    }
}

/// All layers in one: the values, and where each came from, by key.
pub(super) struct Merged {
    pub(super) values: Value,
    pub(super) origins: BTreeMap<String, String>,
}

/// Lays later layers over earlier ones, field by field.
pub(super) fn merge(layers: Vec<Layer>) -> Result<Merged, config::ConfigError> {
    let mut objects = BTreeMap::new();
    // The first are the defaults, which lie over nothing.
    for layer in layers.iter().skip(1) {
        for (key, value) in &layer.values {
            note_objects(value, key, &layer.origin, &mut objects);
        }
    }
    let builder = layers
        .into_iter()
        .fold(Config::builder(), |builder, layer| {
            builder.add_source(layer)
        });
    let merged = builder.build()?.cache;
    let mut origins = BTreeMap::new();
    let values = without_origin(merged, "", &mut origins).unwrap_or_default();
    origins.extend(objects);
    Ok(Merged { values, origins })
}

/// Notes where objects came from: merging keeps the origin of what they are laid over.
fn note_objects(value: &Value, at: &str, origin: &str, objects: &mut BTreeMap<String, String>) {
    let Some(fields) = value.as_object() else {
        // It takes the place of what is below it.
        objects.remove(at);
        return;
    };
    objects.insert(at.to_owned(), origin.to_owned());
    for (name, field) in fields {
        note_objects(field, &format!("{at}.{name}"), origin, objects);
    }
}

fn with_origin(value: &Value, origin: &String) -> Sourced {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(flag) => ValueKind::Boolean(*flag),
        Value::Number(number) => from_number(number),
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(items) => {
            ValueKind::Array(items.iter().map(|item| with_origin(item, origin)).collect())
        }
        Value::Object(fields) => ValueKind::Table(
            fields
                .iter()
                // Unset: what lies below stays.
                .filter(|(_, field)| !field.is_null())
                .map(|(name, field)| (name.clone(), with_origin(field, origin)))
                .collect(),
        ),
    };
    Sourced::new(Some(origin), kind)
}

fn from_number(number: &Number) -> ValueKind {
    match (number.as_u64(), number.as_i64()) {
        (Some(whole), _) => ValueKind::U64(whole),
        (None, Some(whole)) => ValueKind::I64(whole),
        (None, None) => ValueKind::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// Plain JSON again; gaps in lists and nulls go.
fn without_origin(
    value: Sourced,
    at: &str,
    origins: &mut BTreeMap<String, String>,
) -> Option<Value> {
    if let Some(origin) = value.origin() {
        origins.insert(at.to_owned(), origin.to_owned());
    }
    match value.kind {
        ValueKind::Nil => None,
        ValueKind::Boolean(flag) => Some(flag.into()),
        ValueKind::I64(whole) => Some(whole.into()),
        ValueKind::U64(whole) => Some(whole.into()),
        // `from_number` makes neither.
        ValueKind::I128(_) | ValueKind::U128(_) => None,
        ValueKind::Float(number) => Some(number.into()),
        ValueKind::String(text) => Some(text.into()),
        ValueKind::Array(items) => {
            let mut plain = Vec::with_capacity(items.len());
            for item in items {
                let at = format!("{at}[{}]", plain.len());
                plain.extend(without_origin(item, &at, origins));
            }
            Some(plain.into())
        }
        ValueKind::Table(fields) => {
            let mut plain = serde_json::Map::new();
            for (name, field) in fields {
                if let Some(field) = without_origin(field, &below(at, &name), origins) {
                    plain.insert(name, field);
                }
            }
            Some(plain.into())
        }
    }
}
