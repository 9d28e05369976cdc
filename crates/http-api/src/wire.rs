//! What goes over the wire: bodies of requests, turned into what the runtime takes, and bodies of
//! answers.

mod kept;
mod rewind;
mod start;

use bytes::{BufMut, Bytes};
use core_model::{
    Content, ConversationId, ConversationInfo, Event, UtcTime,
    message::{ContentFault, check_content},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    extract::RequestBody,
    gathered::Gathered,
    validation::{self, Problem},
};

pub(crate) use rewind::RewindRequest;
pub(crate) use start::StartConversation;

/// A message to the agent: `{"role": "user", "content": [{"type": "text", "text": "Hi"}]}`, or the
/// short form `{"type": "message", "content": "Hi"}`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("examples" = [
    {"role": "user", "content": [{"type": "text", "text": "List the files here."}], "run": true},
    {"type": "message", "content": "Hello, agent!"}
]))]
pub(crate) struct SendMessage {
    /// `user`: nobody else's words are taken.
    #[schemars(with = "Option<UserRole>")]
    role: Option<String>,
    /// `message`, in the short form.
    #[serde(rename = "type")]
    #[schemars(with = "Option<MessageTag>")]
    tag: Option<String>,
    /// A list of parts, or one text.
    #[schemars(with = "Option<TextOrParts>")]
    content: Option<Value>,
    /// Whether to start a run. Left out, it is true below `/conversations` and over a socket, false
    /// below `/api/conversations`.
    pub(crate) run: Option<bool>,
}

impl RequestBody for SendMessage {}

/// The constant `"user"`.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "names the choice in the OpenAPI document")]
enum UserRole {
    User,
}

/// The constant `"message"`.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "names the choice in the OpenAPI document")]
enum MessageTag {
    Message,
}

/// One text, or a list of parts.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "names the choices in the OpenAPI document")]
enum TextOrParts {
    Text(String),
    Parts(Vec<Content>),
}

impl SendMessage {
    /// Whether it says at all that it is a message; a socket takes other frames too.
    pub(crate) fn is_named(&self) -> bool {
        self.role.is_some() || self.tag.is_some()
    }

    /// A known role other than the user's.
    pub(crate) fn is_anothers(&self) -> bool {
        matches!(self.role.as_deref(), Some("system" | "assistant" | "tool"))
    }

    /// What is said; `at` is where the message stands in the request.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn content(&self, at: &[&str]) -> Result<Vec<Content>, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Some(role) = self.role.as_deref().filter(|role| *role != "user") {
            problems.push(Problem::choice(&[at, &["role"]].concat(), &["user"]).input(role));
        }
        if let Some(tag) = self.tag.as_deref().filter(|tag| *tag != "message") {
            problems.push(Problem::choice(&[at, &["type"]].concat(), &["message"]).input(tag));
        }
        let content = match &self.content {
            // The short form has nothing but its content.
            None | Some(Value::Null) if self.tag.is_some() => Err(vec![Problem::new(
                "missing",
                &[at, &["content"]].concat(),
                "Field required",
            )]),
            // Which is then found to be empty.
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(given) => content(given, &[at, &["content"]].concat()),
        };
        let content = content.and_then(|content| checked(content, &[at, &["content"]].concat()));
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

/// Content of which a model can be asked something; `at` is where it stands in the request.
///
/// # Errors
/// What is wrong with it.
fn checked(content: Vec<Content>, at: &[&str]) -> Result<Vec<Content>, Vec<Problem>> {
    let Err(fault) = check_content(&content) else {
        return Ok(content);
    };
    let problem = Problem::value_error(at, &fault.to_string());
    Err(vec![match fault {
        ContentFault::Empty => problem,
        ContentFault::NoImageUrl { part } => problem.at(part).below("image_urls"),
        ContentFault::ImageUrl { part, url } => problem.at(part).below("image_urls").at(url),
    }])
}

/// Reads content given as a list of parts or as one text. A part that does not say its type is what
/// it looks like.
fn content(given: &Value, at: &[&str]) -> Result<Vec<Content>, Vec<Problem>> {
    match given {
        Value::String(text) => Ok(vec![Content::text(text)]),
        Value::Array(parts) => {
            let mut parts = parts.clone();
            for part in parts.iter_mut().filter_map(Value::as_object_mut) {
                let looks = [("text", "text"), ("image_urls", "image")];
                if let Some((_, tag)) = looks.iter().find(|(field, _)| part.contains_key(*field)) {
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

/// An answer to a request for consent.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"accept": false, "reason": "Not in this folder."}]))]
pub(crate) struct ConfirmationResponse {
    /// Whether the waiting actions may be carried out.
    pub(crate) accept: bool,
    /// What the agent is told when they may not.
    #[serde(default = "rejected")]
    pub(crate) reason: String,
}

impl RequestBody for ConfirmationResponse {}

fn rejected() -> String {
    "User rejected the action.".to_owned()
}

/// `{"success": true}`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Success {
    success: bool,
}

impl Success {
    pub(crate) fn new() -> Self {
        Self { success: true }
    }
}

/// What the agent said last.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FinalResponse {
    pub(crate) response: String,
}

/// One page of conversations.
#[derive(JsonSchema)]
#[expect(
    dead_code,
    reason = "describes pages, which are put together from bytes"
)]
pub(crate) struct ConversationPageBody {
    items: Vec<ConversationInfo>,
    /// Pass it as `page_id` for the next page; null on the last.
    next_page_id: Option<String>,
}

/// One page of events.
#[derive(JsonSchema)]
#[expect(
    dead_code,
    reason = "describes pages, which are put together from bytes"
)]
pub(crate) struct EventPageBody {
    items: Vec<Event>,
    /// Pass it as `page_id` for the next page; null on the last.
    next_page_id: Option<String>,
}

/// A page of events, or, when certain events were asked for, those.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(
    dead_code,
    reason = "describes answers, which are put together from bytes"
)]
pub(crate) enum EventListBody {
    Page(EventPageBody),
    Batch(Vec<Option<Event>>),
}

/// Leaves out what only those want who asked for it.
pub(crate) fn trimmed(info: ConversationInfo, include_skills: bool) -> ConversationInfo {
    match include_skills {
        true => info,
        false => info.without_skills(),
    }
}

/// A page of what is JSON already.
pub(crate) fn page_json(items: Vec<Bytes>, next_page_id: Option<&str>) -> Gathered {
    let mut json = Gathered::with_room(list_room(&items) + 64);
    json.small().put_slice(br#"{"items":"#);
    write_list(&mut json, items);
    json.small().put_slice(br#","next_page_id":"#);
    json.small()
        .put_slice(json!(next_page_id).to_string().as_bytes());
    json.small().put_u8(b'}');
    json
}

/// A list of what is JSON already.
pub(crate) fn list_json(items: Vec<Bytes>) -> Gathered {
    let mut json = Gathered::with_room(list_room(&items));
    write_list(&mut json, items);
    json
}

fn list_room(items: &[Bytes]) -> usize {
    let room = items.iter().map(|item| Gathered::room_for(item.len()) + 1);
    room.sum::<usize>() + 2
}

fn write_list(json: &mut Gathered, items: Vec<Bytes>) {
    json.small().put_u8(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            json.small().put_u8(b',');
        }
        json.push(item);
    }
    json.small().put_u8(b']');
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct HealthStatus {
    pub(crate) status: &'static str,
}

/// Whether the server is ready.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Ready {
    /// `ready` or `not ready`.
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) details: ReadyDetails,
}

/// What there is to know beside whether the server is ready.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReadyDetails {
    /// Whether all stored conversations are listed and mended. Lists and counts wait until they are
    /// listed.
    pub(crate) settled: bool,
    /// What was found in stored conversations since the start, and what became of it; the newest last,
    /// at most a hundred.
    pub(crate) notices: Vec<ReadyNotice>,
}

/// Something a person should know of a stored conversation.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReadyNotice {
    pub(crate) conversation_id: ConversationId,
    pub(crate) found_at: UtcTime,
    pub(crate) text: String,
}

/// What this server is. `version` and its like are those of the protocol, which clients compare.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ServerInfo {
    /// Seconds since the start.
    pub(crate) uptime: f64,
    /// Seconds since a client last asked for something to be done.
    pub(crate) idle_time: f64,
    pub(crate) title: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sdk_version: &'static str,
    pub(crate) tools_version: &'static str,
    pub(crate) workspace_version: &'static str,
    /// The name of this implementation.
    pub(crate) server: &'static str,
    /// The version of this implementation.
    pub(crate) server_version: &'static str,
    pub(crate) build_git_sha: &'static str,
    pub(crate) build_git_ref: &'static str,
    pub(crate) usable_tools: Vec<&'static str>,
    pub(crate) runtime_idle_timeout_seconds: Option<f64>,
    pub(crate) conversation_runtime: &'static str,
    pub(crate) available_conversation_runtimes: Vec<&'static str>,
    pub(crate) capabilities: Vec<&'static str>,
    /// How long a call of the terminal waits for its command at most, unless the agent's parameters say
    /// something else.
    pub(crate) max_foreground_terminal_timeout_seconds: f64,
    /// Where the interactive documentation is.
    pub(crate) docs: String,
    pub(crate) redoc: String,
}

/// Why a request was refused, in words. The header `x-error-code` has a code that does not change.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the bodies of errors")]
pub(crate) struct ErrorBody {
    detail: String,
    /// Names a fault of the server in its log.
    error_id: Option<String>,
}

/// All that is wrong with a request.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the bodies of errors")]
pub(crate) struct ValidationErrorBody {
    detail: Vec<ValidationError>,
}

/// One thing that is wrong with a request.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes the bodies of errors")]
struct ValidationError {
    /// `missing`, `enum`, `uuid_parsing`, …
    #[schemars(rename = "type")]
    kind: String,
    /// Where: `body`, `query` or `path`, then names and positions from there on.
    loc: Vec<NameOrPosition>,
    /// What is wrong, for people.
    msg: String,
    /// What was given, left out where it may be a secret.
    input: Option<Value>,
    /// The figures in `msg`.
    ctx: Option<Map<String, Value>>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes the bodies of errors")]
enum NameOrPosition {
    Name(String),
    Position(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: Value) -> Result<Vec<Content>, Value> {
        let message: SendMessage = validation::object(&body, &["body"]).map_err(|p| json!(p))?;
        message
            .content(&["body"])
            .map_err(|problems| json!(problems))
    }

    #[test]
    fn a_message_has_a_long_and_a_short_form() {
        for body in [
            json!({"role": "user", "content": [{"type": "text", "text": "hi"}], "sender": "x"}),
            json!({"content": [{"text": "hi"}]}),
            json!({"type": "message", "content": "hi"}),
            json!({"content": "hi", "extra_top": 1}),
        ] {
            assert_eq!(
                message(body.clone()),
                Ok(vec![Content::text("hi")]),
                "{body}"
            );
        }
        let url = "data:image/png;base64,iVBORw0KGgo=";
        let part = Content::Image {
            cache_prompt: false,
            image_urls: vec![url.into()],
        };
        let image = json!({"content": [{"type": "image", "image_urls": [url]}]});
        assert_eq!(message(image), Ok(vec![part.clone()]));
        let beside = json!({"content": [{"text": " "}, {"image_urls": [url]}]});
        assert_eq!(message(beside), Ok(vec![Content::text(" "), part]));
    }

    #[test]
    fn a_message_that_says_nothing_is_refused_and_located() {
        let url = json!("https://h/a.png");
        for (body, loc) in [
            (json!({}), json!(["body", "content"])),
            (
                json!({"role": "user", "content": []}),
                json!(["body", "content"]),
            ),
            (
                json!({"role": "user", "content": null}),
                json!(["body", "content"]),
            ),
            (json!({"content": ""}), json!(["body", "content"])),
            (
                json!({"type": "message", "content": " \n"}),
                json!(["body", "content"]),
            ),
            (
                json!({"content": [{"text": " "}, {"text": ""}]}),
                json!(["body", "content"]),
            ),
            (
                json!({"content": [{"text": "x"}, {"type": "image", "image_urls": []}]}),
                json!(["body", "content", 1, "image_urls"]),
            ),
            (
                json!({"content": [{"type": "image", "image_urls": [url, " "]}]}),
                json!(["body", "content", 0, "image_urls", 1]),
            ),
            (
                json!({"content": [{"image_urls": ["file:///etc/passwd"]}]}),
                json!(["body", "content", 0, "image_urls", 0]),
            ),
        ] {
            let problems = message(body.clone()).unwrap_err();
            assert_eq!(problems[0]["type"], "value_error", "{body}");
            assert_eq!(problems[0]["loc"], loc, "{body}");
        }
    }

    #[test]
    fn only_the_user_speaks() {
        let problems = message(json!({"role": "assistant", "content": []})).unwrap_err();
        assert_eq!(problems[0]["loc"], json!(["body", "role"]));
        assert_eq!(problems[0]["msg"], "Input should be 'user'");
    }

    #[test]
    fn wrong_content_is_located() {
        let loc = |body| message(body).unwrap_err()[0]["loc"].clone();
        assert_eq!(loc(json!({"content": 1})), json!(["body", "content"]));
        assert_eq!(
            loc(json!({"content": [{"type": "audio"}]})),
            json!(["body", "content", 0, "type"])
        );
        assert_eq!(
            loc(json!({"content": ["hi"]})),
            json!(["body", "content", 0])
        );
        assert_eq!(loc(json!([])), json!(["body"]));
        assert_eq!(loc(json!({"run": "maybe"})), json!(["body", "run"]));
    }

    #[test]
    fn a_page_is_its_items_put_together() {
        let text = |mut json: Gathered| {
            let pieces = std::iter::from_fn(|| json.next_piece());
            String::from_utf8(pieces.flatten().collect()).unwrap()
        };
        let items = [r#"{"id":"a"}"#, r#"{"id":"b"}"#].map(Bytes::from);
        let page = page_json(items.to_vec(), Some("c"));
        let expected = json!({"items": [{"id": "a"}, {"id": "b"}], "next_page_id": "c"});
        assert_eq!(text(page), expected.to_string());
        let expected = json!({"items": [], "next_page_id": null});
        assert_eq!(text(page_json(Vec::new(), None)), expected.to_string());
    }
}
