use async_trait::async_trait;
use core_model::{
    Content, Observation,
    event::{ToolAnnotations, ToolDefinition},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{CallSignals, Tool, ToolError, arguments};

const DESCRIPTION: &str = "\
End your work on the user's request and hand over the result. Nothing runs after this call, so \
call it alone and last.

Call it when the task is done and checked, or when you cannot get further without the user: \
something is missing, forbidden or contradictory. The message is what the user reads. Say what you \
did and where the results are; say plainly what failed, what you left out and what you did not \
check.";

/// The agent's way to end a run.
pub(crate) struct Finish;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FinishArguments {
    /// Your last words to the user: the result, and whatever is still open.
    message: String,
}

#[async_trait]
impl Tool for Finish {
    fn name(&self) -> &str {
        "finish"
    }

    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            description: DESCRIPTION.to_owned(),
            action_type: "FinishAction".to_owned(),
            observation_type: Some("FinishObservation".to_owned()),
            annotations: Some(ToolAnnotations {
                title: Some("finish".to_owned()),
                read_only_hint: true,
                destructive_hint: false,
                idempotent_hint: true,
                open_world_hint: false,
            }),
            kind: "FinishTool".to_owned(),
            title: "finish".to_owned(),
        }
    }

    fn parameters(&self) -> Value {
        arguments::schema::<FinishArguments>()
    }

    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        arguments::action(
            &arguments::read::<FinishArguments>(arguments)?,
            "FinishAction",
        )
    }

    async fn run(
        &self,
        action: &Map<String, Value>,
        _signals: &CallSignals,
    ) -> Result<Observation, ToolError> {
        let FinishArguments { message } = arguments::from_action(action)?;
        Ok(Observation {
            content: vec![Content::text(message)],
            is_error: false,
            fields: Map::from_iter([("kind".to_owned(), "FinishObservation".into())]),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn hands_the_message_over() {
        let arguments = Map::from_iter([("message".to_owned(), json!("all done"))]);
        let action = Finish.action(arguments).unwrap();
        let observation = Finish.run(&action, &CallSignals::default()).await.unwrap();
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
