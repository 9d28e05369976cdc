use core_model::{ConversationId, Seq, port::Rewind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    request::RequestBody,
    validation::{self, Problem},
};

/// Where to rewind to: an event of one conversation, or its start; without a conversation, the start of
/// all. Unknown fields are refused, because a misspelt one would rewind everything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Rewind", extend("examples" = [
    {"conversation_id": "936e15a0-9bf8-492f-b439-93f478b6cf76", "seq": 4},
    {"conversation_id": "936e15a0-9bf8-492f-b439-93f478b6cf76"},
    {}
]))]
pub(super) struct RewindRequest {
    /// As a UUID with dashes or as 32 hex digits.
    #[schemars(with = "Option<ConversationId>")]
    conversation_id: Option<String>,
    /// The first event to redeliver. Only together with a conversation.
    seq: Option<Seq>,
}

impl RequestBody for RewindRequest {
    const OPTIONAL: bool = true;
}

impl RewindRequest {
    /// # Errors
    /// When the conversation is not an id, or only a position is given.
    pub(super) fn into_rewind(self) -> Result<Rewind, Vec<Problem>> {
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
mod tests;
