//! A message to the agent, as clients send it in requests and over sockets.

use core_model::{
    Content, Delivery,
    message::{ContentFault, check_content},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    request::RequestBody,
    validation::{self, Problem},
};

/// A message to the agent: `{"role": "user", "content": [{"type": "text", "text": "Hi"}]}`, or the
/// short form `{"type": "message", "content": "Hi"}`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("examples" = [
    {"role": "user", "content": [{"type": "text", "text": "List the files here."}], "run": true},
    {"type": "message", "content": "Hello, agent!"}
]))]
pub(crate) struct SendMessage {
    /// `user`: messages of others are refused.
    role: Option<UserRole>,
    /// `message`, in the short form.
    #[serde(rename = "type")]
    tag: Option<MessageTag>,
    /// A list of parts, or one text.
    content: Option<TextOrParts>,
    /// Whether to start a run. Left out, it is true below `/conversations` and over a socket, false
    /// below `/api/conversations`.
    run: Option<bool>,
    /// When the agent gets the message. Left out, as `steer`.
    delivery: Option<When>,
}

/// When a message reaches an agent that works: at its next step (`steer`), when its turn has finished
/// (`queue`), or at once, in place of what it does (`interrupt`). With `queue` and `interrupt` a run starts when
/// none is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum When {
    Steer,
    Queue,
    Interrupt,
}

impl RequestBody for SendMessage {}

/// The constant `"user"`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("enum" = ["user"]))]
struct UserRole(String);

/// The constant `"message"`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("enum" = ["message"]))]
struct MessageTag(String);

/// One text, or a list of parts.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TextOrParts(#[schemars(schema_with = "content_schema")] Value);

fn content_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string"}, generator.subschema_for::<Vec<Content>>()]})
}

impl SendMessage {
    /// Whether it says at all that it is a message; a socket accepts other frames too.
    pub(crate) fn is_named(&self) -> bool {
        self.role.is_some() || self.tag.is_some()
    }

    /// A known role other than the user's.
    pub(crate) fn is_of_another_role(&self) -> bool {
        let role = self.role.as_ref().map(|role| role.0.as_str());
        matches!(role, Some("system" | "assistant" | "tool"))
    }

    /// When it reaches the agent. `run`: what is meant where it does not say whether a run is to start.
    ///
    /// # Errors
    /// When it asks for a delivery and against the run that belongs to it.
    pub(crate) fn delivery(&self, run: bool, at: &[&str]) -> Result<Delivery, Vec<Problem>> {
        let delivery = match self.delivery {
            None => {
                let run = self.run.unwrap_or(run);
                return Ok(Delivery::Steer { run });
            }
            Some(When::Steer) => {
                let run = self.run.unwrap_or(true);
                return Ok(Delivery::Steer { run });
            }
            Some(When::Queue) => Delivery::Queue,
            Some(When::Interrupt) => Delivery::Interrupt,
        };
        if self.run == Some(false) {
            let why = "a message with this `delivery` starts a run: leave `run` out";
            return Err(vec![Problem::value_error(&[at, &["run"]].concat(), why)]);
        }
        Ok(delivery)
    }

    /// Its content; `at` is where the message stands in the request.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn content(&self, at: &[&str]) -> Result<Vec<Content>, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Some(UserRole(role)) = self.role.as_ref().filter(|role| role.0 != "user") {
            problems
                .push(Problem::choice(&[at, &["role"]].concat(), &["user"]).input(role.as_str()));
        }
        if let Some(MessageTag(tag)) = self.tag.as_ref().filter(|tag| tag.0 != "message") {
            problems
                .push(Problem::choice(&[at, &["type"]].concat(), &["message"]).input(tag.as_str()));
        }
        let content = match &self.content {
            // The short form has nothing but its content.
            None if self.tag.is_some() => Err(vec![Problem::new(
                "missing",
                &[at, &["content"]].concat(),
                "Field required",
            )]),
            // Which is then found to be empty.
            None => Ok(Vec::new()),
            Some(given) => given.content(&[at, &["content"]].concat()),
        };
        let content =
            content.and_then(|content| checked_content(content, &[at, &["content"]].concat()));
        match content {
            Ok(content) if problems.is_empty() => Ok(content),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }
}

impl TextOrParts {
    /// A part that does not say its type is what it looks like.
    fn content(&self, at: &[&str]) -> Result<Vec<Content>, Vec<Problem>> {
        match &self.0 {
            Value::String(text) => Ok(vec![Content::text(text)]),
            Value::Array(parts) => {
                let mut parts = parts.clone();
                for part in parts.iter_mut().filter_map(Value::as_object_mut) {
                    let looks = [("text", "text"), ("image_urls", "image")];
                    if let Some((_, tag)) =
                        looks.iter().find(|(field, _)| part.contains_key(*field))
                    {
                        part.entry("type").or_insert_with(|| json!(tag));
                    }
                }
                validation::typed(&Value::Array(parts), at)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                Err(vec![Problem::new(
                    "list_type",
                    at,
                    "Input should be a valid list or string",
                )])
            }
        }
    }
}

/// Content that can be sent to a model; `at` is where it stands in the request.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn checked_content(
    content: Vec<Content>,
    at: &[&str],
) -> Result<Vec<Content>, Vec<Problem>> {
    let Err(fault) = check_content(&content) else {
        return Ok(content);
    };
    let problem = Problem::value_error(at, &fault.to_string());
    Err(vec![match fault {
        ContentFault::Empty => problem,
        ContentFault::Nul { part } => problem.at(part).below("text"),
        ContentFault::NoImageUrl { part } => problem.at(part).below("image_urls"),
        ContentFault::ImageUrl { part, url } => problem.at(part).below("image_urls").at(url),
    }])
}

#[cfg(test)]
mod tests;
