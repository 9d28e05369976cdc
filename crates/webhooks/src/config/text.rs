use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A secret of the configuration. It may name environment variables, as in `Bearer ${TOKEN}`, and
/// has no text until they are looked up; `$${` stands for `${` itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

impl SecretText {
    /// The text; none as long as it names variables.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            [Piece::Variable(_), ..] | [Piece::Text(_), _, ..] => None,
        }
    }

    /// The variables that it names.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Variable(name) => Some(name.as_str()),
        })
    }

    /// Puts values in the place of the variables, once: what a value holds is text.
    ///
    /// # Errors
    /// The name of a variable that is unset or empty. Then nothing changed.
    pub(super) fn resolve(
        &mut self,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let mut resolved = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => resolved.push_str(text),
                Piece::Variable(name) => {
                    let value = variable(name).filter(|value| !value.trim().is_empty());
                    resolved.push_str(&value.ok_or_else(|| name.clone())?);
                }
            }
        }
        *self = resolved.into();
        Ok(())
    }

    /// As the configuration writes it.
    fn parse(mut rest: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        while let Some(start) = rest.find("${") {
            if let Some(before) = rest[..start].strip_suffix('$') {
                text.push_str(before);
                text.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            text.push_str(&rest[..start]);
            let (name, after) = rest[start + 2..].split_once('}')?;
            if !is_variable(name) {
                return None;
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Some(Self(pieces))
    }
}

/// Taken as it is, whatever it holds.
impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(vec![Piece::Text(text)])
    }
}

/// Taken as it is, whatever it holds.
impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core_model::secrets::MASK)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(
                "`${` begins the name of an environment variable, as in `${TOKEN}`; \
                 `$${` stands for the characters themselves",
            )
        })
    }
}

/// Shows the secret: a configuration is written to be read again.
impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.replace("${", "$${"),
            Piece::Variable(name) => format!("${{{name}}}"),
        });
        serializer.serialize_str(&written.collect::<String>())
    }
}

/// As shells have it.
fn is_variable(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(begins) && name.chars().all(|c| begins(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> SecretText {
        serde_json::from_value(json!(text)).unwrap()
    }

    fn resolved(text: &str) -> Result<String, String> {
        let mut secret = read(text);
        let variable = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "B_2" => Some("${A}".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            _ => None,
        };
        secret.resolve(&variable)?;
        Ok(secret.text().unwrap().to_owned())
    }

    #[test]
    fn variables_are_replaced_once_wherever_they_stand() {
        for (text, expected) in [
            ("", ""),
            ("plain $5 {x}", "plain $5 {x}"),
            ("${A}", "one"),
            ("Bearer ${A}!", "Bearer one!"),
            ("${A}${A}/${B_2}$", "oneone/${A}$"),
            ("$${A}", "${A}"),
            ("$$${A}${A}", "$${A}one"),
        ] {
            assert_eq!(resolved(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_unset_or_empty_variable_is_named() {
        assert_eq!(resolved("${A} ${NONE}"), Err("NONE".to_owned()));
        assert_eq!(resolved("${EMPTY}"), Err("EMPTY".to_owned()));
    }

    #[test]
    fn there_is_no_text_before_variables_are_looked_up() {
        assert_eq!(read("Bearer ${A}").text(), None);
        assert_eq!(read("${A}").text(), None);
        assert_eq!(read("$${A}").text(), Some("${A}"));
    }

    #[test]
    fn what_is_no_name_of_a_variable_is_refused() {
        for text in ["${", "${}", "${A", "${1A}", "${A B}", "x ${A} ${-}"] {
            let error = serde_json::from_value::<SecretText>(json!(text)).unwrap_err();
            assert!(error.to_string().contains("`${TOKEN}`"), "{text}: {error}");
        }
    }

    #[test]
    fn it_is_written_so_that_it_reads_the_same() {
        for secret in [read("a ${A} $${B}"), "${A} as it is".into(), "$$${".into()] {
            let written = serde_json::to_value(&secret).unwrap();
            let again: SecretText = serde_json::from_value(written).unwrap();
            assert!(again == secret, "{:?}", again.text());
        }
    }

    #[test]
    fn debug_output_hides_it() {
        assert_eq!(format!("{:?}", read("hush")), "**********");
    }
}
