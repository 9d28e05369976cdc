use std::sync::Arc;

use async_trait::async_trait;
use core_model::Observation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::descriptor::{ChosenBy, Descriptor, Execute, Hints, observation};
use crate::{ToolCall, ToolError, ToolTraits, arguments};

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    name: "think",
    aliases: &[],
    kind: "Think",
    chosen_by: ChosenBy::Class,
    description: DESCRIPTION,
    hints: Hints {
        titled: false,
        destructive: false,
        idempotent: true,
        open_world: false,
    },
    traits: ToolTraits {
        harmless: true,
        ..ToolTraits::LOOKS
    },
    call_traits: None,
    parameters: arguments::schema::<ThinkArguments>,
    action: |arguments| arguments::action::<ThinkArguments>(arguments, "ThinkAction"),
    open: |environment, _| Ok(Arc::new(DESCRIPTOR.with(Think, environment))),
    log: None,
    keeps: None,
};

const DESCRIPTION: &str = "\
Write a thought down. Nothing else happens: no file, command or network is touched.

Use it to work out a hard step before you act: weigh several causes of a bug, compare ways to \
change the code, plan an order of work, or judge what a long output means. Do not use it for \
remarks to the user, and do not think the same thought twice.";

/// A place for the model to reason in the open.
struct Think;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ThinkArguments {
    /// What you are thinking, in as many words as it needs.
    thought: String,
}

#[async_trait]
impl Execute for Think {
    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        arguments::from_action::<ThinkArguments>(call.action)?;
        let text = "Your thought has been logged.";
        Ok(observation(text, Map::new(), "ThinkObservation"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use workspace::Workspace;

    use super::*;
    use crate::CallSignals;

    #[tokio::test]
    async fn logs_the_thought() {
        let arguments = Map::from_iter([("thought".to_owned(), json!("hm"))]);
        let action = (DESCRIPTOR.action)(arguments).unwrap();
        let call = ToolCall {
            action: &action,
            workspace: &Workspace::default(),
            signals: &CallSignals::default(),
        };
        let observation = Think.run(call).await.unwrap();
        assert_eq!(
            json!({"action": action, "observation": observation}),
            json!({
                "action": {"thought": "hm", "kind": "ThinkAction"},
                "observation": {
                    "content": [{
                        "type": "text",
                        "cache_prompt": false,
                        "text": "Your thought has been logged.",
                    }],
                    "is_error": false,
                    "kind": "ThinkObservation",
                },
            })
        );
    }
}
