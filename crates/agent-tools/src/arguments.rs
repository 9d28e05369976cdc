//! One struct a tool: from it come the schema that a model sees, the check of what the model sent, and
//! the action that is logged.

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::ToolError;

/// The JSON Schema of `T` in the plain dialect that every model API takes: subschemas inline,
/// optional fields without null, and only `type`, `description`, `enum`, `items`, `properties` and
/// `required`. Fields come in the order of the struct; give each a doc comment, which becomes
/// its description. Variants of an enum stay without one, or they are not listed as one `enum`.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(simplify).transform(&mut schema);
    // What the struct's own doc comment says is for readers of the code.
    schema.remove("description");
    schema.to_value()
}

/// Reads a model's arguments as `T`.
///
/// # Errors
/// [`ToolError::Arguments`], naming the field that is missing, unknown or of another type.
pub(crate) fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, ToolError> {
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let place = error.path().to_string();
        let reason = error.inner().to_string();
        let named = place == "." || reason.contains(&format!("`{place}`"));
        ToolError::Arguments(if named {
            reason
        } else {
            format!("`{place}`: {reason}")
        })
    })
}

/// The action that is logged for a model's arguments: the fields of `T`, then `kind`.
///
/// # Errors
/// Those of [`read`]; [`ToolError::Failed`] when `T` is not written as an object, which is a mistake in
/// the tool.
pub(crate) fn action<T: Serialize + DeserializeOwned>(
    arguments: Map<String, Value>,
    kind: &str,
) -> Result<Map<String, Value>, ToolError> {
    let fields = serde_json::to_value(read::<T>(arguments)?).and_then(serde_json::from_value);
    let mut fields: Map<String, Value> =
        fields.map_err(|error| ToolError::Failed(format!("{kind}: {error}")))?;
    fields.insert("kind".to_owned(), kind.into());
    Ok(fields)
}

/// Reads back an action that [`action`] made.
///
/// # Errors
/// [`ToolError::Arguments`] when it is another tool's.
pub(crate) fn from_action<T: DeserializeOwned>(
    action: &Map<String, Value>,
) -> Result<T, ToolError> {
    let mut fields = action.clone();
    fields.shift_remove("kind");
    read(fields)
}

fn simplify(schema: &mut Schema) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(choices)) = fields.get("anyOf") {
        let mut others = choices.iter().filter(|choice| !is_null(choice));
        if let (Some(Value::Object(only)), None) = (others.next(), others.next()) {
            let only = only.clone();
            fields.shift_remove("anyOf");
            for (key, value) in only {
                fields.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    for noise in [
        "$schema",
        "additionalProperties",
        "default",
        "format",
        "maximum",
        "minimum",
        "title",
    ] {
        fields.shift_remove(noise);
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|name| name == "null")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        Small,
        Large,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        /// First.
        zulu: String,
        /// Second.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<Size>,
        /// Third.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range: Option<Vec<i64>>,
        /// Fourth.
        #[serde(default)]
        count: u64,
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn schema_is_flat_and_in_order() {
        let schema = schema::<Sample>();
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "zulu": {"description": "First.", "type": "string"},
                    "size": {"description": "Second.", "type": "string", "enum": ["small", "large"]},
                    "range": {"description": "Third.", "type": "array", "items": {"type": "integer"}},
                    "count": {"description": "Fourth.", "type": "integer"},
                },
                "required": ["zulu"],
            })
        );
        let order: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(order, ["zulu", "size", "range", "count"]);
    }

    #[test]
    fn errors_name_the_field() {
        let error = |value| read::<Sample>(object(value)).unwrap_err().to_string();
        assert_eq!(error(json!({})), "missing field `zulu`");
        assert!(error(json!({"zulu": "z", "bogus": 1})).starts_with("unknown field `bogus`"));
        let wrong = error(json!({"zulu": "z", "count": -1}));
        assert!(wrong.starts_with("`count`: "), "{wrong}");
        let nested = error(json!({"zulu": "z", "range": [1, "x"]}));
        assert!(nested.starts_with("`range[1]`: "), "{nested}");
    }

    #[test]
    fn action_fills_defaults_leaves_out_options_and_ends_in_kind() {
        let sample: Sample = read(object(json!({"zulu": "z"}))).unwrap();
        let action = action::<Sample>(object(json!({"zulu": "z"})), "SampleAction").unwrap();
        assert_eq!(
            serde_json::to_string(&action).unwrap(),
            r#"{"zulu":"z","count":0,"kind":"SampleAction"}"#
        );
        assert_eq!(from_action::<Sample>(&action).unwrap(), sample);
    }
}
