use core_model::{ConversationId, Seq, port::Rewind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    extract::RequestBody,
    validation::{self, Problem},
};

/// Where to go back to: an event of one conversation, else its start; without a conversation, the start
/// of all. Fields that are not known are refused, as a misspelt one would rewind everything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Rewind", extend("examples" = [
    {"conversation_id": "936e15a0-9bf8-492f-b439-93f478b6cf76", "seq": 4},
    {"conversation_id": "936e15a0-9bf8-492f-b439-93f478b6cf76"},
    {}
]))]
pub(crate) struct RewindRequest {
    /// As a UUID with dashes or as 32 hex digits.
    #[schemars(with = "Option<ConversationId>")]
    conversation_id: Option<String>,
    /// The first event to send again. Only together with a conversation.
    seq: Option<Seq>,
}

impl RequestBody for RewindRequest {
    const OPTIONAL: bool = true;
}

impl RewindRequest {
    /// # Errors
    /// When the conversation is no id, or only a position is given.
    pub(crate) fn into_rewind(self) -> Result<Rewind, Vec<Problem>> {
        let at = ["body", "conversation_id"];
        let id = self.conversation_id.as_deref();
        let id = id.map(|text| validation::conversation_id(text, &at));
        match (id.transpose()?, self.seq) {
            (None, Some(_)) => {
                let why = "seq is a position in one conversation: say which in conversation_id";
                Err(vec![Problem::value_error(&["body", "seq"], why)])
            }
            (conversation_id, seq) => Ok(Rewind {
                conversation_id,
                seq,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "4ed7564a-c465-4319-ba19-ee162b106852";

    fn read(body: Value) -> Result<Rewind, Value> {
        let request: Result<RewindRequest, _> = validation::object(&body, &["body"]);
        let rewind = request.and_then(RewindRequest::into_rewind);
        rewind.map_err(|problems| json!(problems))
    }

    #[test]
    fn a_rewind_goes_to_an_event_to_a_start_or_to_all_starts() {
        let conversation_id = Some(ID.parse().unwrap());
        for (body, seq) in [
            (json!({"conversation_id": ID, "seq": 7}), Some(Seq(7))),
            (json!({"conversation_id": ID, "seq": 0}), Some(Seq(0))),
            (json!({"conversation_id": ID.replace('-', "")}), None),
            (json!({"conversation_id": ID, "seq": null}), None),
        ] {
            let rewind = Rewind {
                conversation_id,
                seq,
            };
            assert_eq!(read(body), Ok(rewind));
        }
        let all = json!({"conversation_id": null, "seq": null});
        for body in [json!({}), all] {
            assert_eq!(read(body), Ok(Rewind::default()));
        }
    }

    #[test]
    fn what_may_be_meant_otherwise_is_refused() {
        for (body, kind, loc) in [
            (json!({"seq": 7}), "value_error", json!(["body", "seq"])),
            (
                json!({"conversation_id": ID, "seq": -1}),
                "int_type",
                json!(["body", "seq"]),
            ),
            (
                json!({"conversation_id": ID, "seq": 1.5}),
                "int_type",
                json!(["body", "seq"]),
            ),
            (
                json!({"conversation_id": ID, "seq": "7"}),
                "int_type",
                json!(["body", "seq"]),
            ),
            (
                json!({"conversation_id": "x"}),
                "uuid_parsing",
                json!(["body", "conversation_id"]),
            ),
            (
                json!({"conversation_id": 5}),
                "string_type",
                json!(["body", "conversation_id"]),
            ),
            (
                json!({"conversation": ID}),
                "extra_forbidden",
                json!(["body", "conversation"]),
            ),
            (json!([]), "model_attributes_type", json!(["body"])),
            (json!(null), "model_attributes_type", json!(["body"])),
        ] {
            let problems = read(body.clone()).unwrap_err();
            assert_eq!(
                (&problems[0]["type"], &problems[0]["loc"]),
                (&json!(kind), &loc),
                "{body}"
            );
        }
    }
}
