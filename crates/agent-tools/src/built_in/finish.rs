use std::sync::Arc;

use async_trait::async_trait;
use core_model::Observation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::descriptor::{ChosenBy, Descriptor, Execute, Hints, observation};
use crate::{ToolCall, ToolError, ToolTraits, arguments};

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    name: "finish",
    aliases: &[],
    kind: "Finish",
    chosen_by: ChosenBy::Class,
    description: DESCRIPTION,
    hints: Hints {
        titled: true,
        destructive: false,
        idempotent: true,
        open_world: false,
    },
    traits: ToolTraits {
        read_only: true,
        ends_turn: true,
        harmless: true,
        ..ToolTraits::NONE
    },
    call_traits: None,
    parameters: arguments::schema::<FinishArguments>,
    action: |arguments| arguments::action::<FinishArguments>(arguments, "FinishAction"),
    open: |environment, _| Ok(Arc::new(DESCRIPTOR.with(Finish, environment))),
    log: None,
    keeps: None,
};

const DESCRIPTION: &str = "\
End your work on the user's request and hand over the result. Nothing runs after this call, so \
call it alone and last.

Call it when the task is done and checked, or when you cannot get further without the user: \
something is missing, forbidden or contradictory. The message is what the user reads. Say what you \
did and where the results are; say plainly what failed, what you left out and what you did not \
check.";

/// The agent's way to end a run.
struct Finish;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FinishArguments {
    /// Your last words to the user: the result, and whatever is still open.
    message: String,
}

#[async_trait]
impl Execute for Finish {
    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        let FinishArguments { message } = arguments::from_action(call.action)?;
        Ok(observation(message, Map::new(), "FinishObservation"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use workspace::Workspace;

    use super::*;
    use crate::CallSignals;

    #[tokio::test]
    async fn hands_the_message_over() {
        let arguments = Map::from_iter([("message".to_owned(), json!("all done"))]);
        let action = (DESCRIPTOR.action)(arguments).unwrap();
        let call = ToolCall {
            action: &action,
            workspace: &Workspace::default(),
            signals: &CallSignals::default(),
        };
        let observation = Finish.run(call).await.unwrap();
        assert_eq!(
            json!({"action": action, "observation": observation}),
            json!({
                "action": {"message": "all done", "kind": "FinishAction"},
                "observation": {
                    "content": [{"type": "text", "cache_prompt": false, "text": "all done"}],
                    "is_error": false,
                    "kind": "FinishObservation",
                },
            })
        );
    }
}
