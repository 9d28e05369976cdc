use core_model::{ConversationId, LlmSettings};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::start::check_llm;
use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler},
    reply::Reply,
    request::{Body, Path, RequestBody, Server},
    validation::{self, Problem},
};

const MAX_TITLE_CHARS: usize = 200;
const USUAL_TITLE_CHARS: i64 = 50;

/// A title that a client chose.
///
/// # Errors
/// What is wrong with it.
pub(super) fn checked_title(title: &str) -> Result<String, Vec<Problem>> {
    let title = title.trim();
    let wrong = |why: &str| vec![Problem::value_error(&["body", "title"], why)];
    if title.is_empty() {
        return Err(wrong("a title has at least 1 character"));
    }
    if title.chars().count() > MAX_TITLE_CHARS {
        return Err(wrong("a title has at most 200 characters"));
    }
    // It is one line of lists, of terminals and of exported files.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if title.contains(breaks) {
        return Err(wrong(
            "a title has no line breaks and no control characters",
        ));
    }
    Ok(title.to_owned())
}

/// How to write the title; every field is optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("examples" = [{"max_length": 30}]))]
struct GenerateTitle {
    /// In characters.
    #[schemars(range(min = 1, max = 200), extend("default" = 50))]
    max_length: Option<i64>,
    /// The model that writes it, in place of the agent's.
    #[schemars(with = "Option<LlmSettings>")]
    llm: Option<Value>,
}

impl RequestBody for GenerateTitle {
    const OPTIONAL: bool = true;
}

/// A title.
#[derive(Serialize, JsonSchema)]
struct GeneratedTitle {
    title: String,
}

pub(super) const GENERATE_TITLE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/generate_title"),
    example: Some(|_| json!({"title": "📝 A haiku about rust"})),
    difference: Some("As older clients call it; the reference server no longer has it."),
    ..Operation::post(
        "generate_conversation_title",
        Tag::Conversations,
        handler!(generate),
    )
};

/// Generate a title
///
/// A model writes a title for the conversation's first message; when it cannot, the title is the beginning of
/// the message. The conversation's own title stays as it is.
#[api_v2_operation]
async fn generate(
    server: Server,
    path: Path<ConversationId>,
    body: Body<GenerateTitle>,
) -> Result<Reply<GeneratedTitle>, Failure> {
    let GenerateTitle { max_length, llm } = body.0;
    let max_chars = usize::try_from(max_length.unwrap_or(USUAL_TITLE_CHARS)).unwrap_or_default();
    if !(1..=MAX_TITLE_CHARS).contains(&max_chars) {
        let why = "a number from 1 to 200";
        return Err(Problem::value_error(&["body", "max_length"], why).into());
    }
    let llm: Option<LlmSettings> = match &llm {
        None => None,
        Some(llm) => {
            if !llm["model"].is_string() {
                return Err(Problem::missing(&["body", "llm", "model"]).into());
            }
            let llm = validation::typed(llm, &["body", "llm"])?;
            check_llm(&llm, &["body", "llm"])?;
            Some(llm)
        }
    };
    let conversation = server.runtime.open(path.0).await?;
    let title = conversation.generate_title(llm, max_chars).await?;
    Ok(Reply(GeneratedTitle { title }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line() {
        assert_eq!(checked_title(" A title – ü \n").unwrap(), "A title – ü");
        assert!(checked_title(&"ü".repeat(200)).is_ok());
        for wrong in [
            "",
            " \n",
            "a\nb",
            "a\0b",
            "a\u{1b}[31mb",
            "a\u{2028}b",
            "a\tb",
        ] {
            assert!(checked_title(wrong).is_err(), "{wrong:?}");
        }
        assert!(checked_title(&"ü".repeat(201)).is_err());
    }
}
