use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A model's reply in its provider's own terms, kept when the provider wants some of it back: signed
/// or encrypted reasoning, signatures of calls, ids of items. It means nothing to us, is bound to the
/// model that made it, and goes back to that model unchanged and to no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderState {
    #[serde(flatten)]
    pub made_by: Provenance,
    /// The reply's parts, in the order the model made them.
    pub blocks: Vec<ProviderBlock>,
}

/// Which model made a reply, and in which wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The model's name as the settings give it.
    pub model: String,
    /// The wire format's name: `chat`, `responses` or `messages`.
    pub format: String,
}

/// One part of a reply, with what the provider wants back of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProviderBlock {
    Text {
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Value>,
    },
    Reasoning {
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Value>,
    },
    /// The call with this id.
    Call {
        id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Value>,
    },
}
