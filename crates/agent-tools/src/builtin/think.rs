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
Write a thought down. Nothing else happens: no file, command or network is touched.

Use it to work out a hard step before you act: weigh several causes of a bug, compare ways to \
change the code, plan an order of work, or judge what a long output means. Do not use it for \
remarks to the user, and do not think the same thought twice.";

/// A place for the model to reason in the open.
pub(crate) struct Think;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ThinkArguments {
    /// What you are thinking, in as many words as it needs.
    thought: String,
}

#[async_trait]
impl Tool for Think {
    fn name(&self) -> &str {
        "think"
    }

    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            description: DESCRIPTION.to_owned(),
            action_type: "ThinkAction".to_owned(),
            observation_type: Some("ThinkObservation".to_owned()),
            annotations: Some(ToolAnnotations {
                title: None,
                read_only_hint: true,
                destructive_hint: false,
                idempotent_hint: true,
                open_world_hint: false,
            }),
            kind: "ThinkTool".to_owned(),
            title: "think".to_owned(),
        }
    }

    fn parameters(&self) -> Value {
        arguments::schema::<ThinkArguments>()
    }

    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        arguments::action(
            &arguments::read::<ThinkArguments>(arguments)?,
            "ThinkAction",
        )
    }

    async fn run(
        &self,
        action: &Map<String, Value>,
        _signals: &CallSignals,
    ) -> Result<Observation, ToolError> {
        arguments::from_action::<ThinkArguments>(action)?;
        Ok(Observation {
            content: vec![Content::text("Your thought has been logged.")],
            is_error: false,
            fields: Map::from_iter([("kind".to_owned(), "ThinkObservation".into())]),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn logs_the_thought() {
        let arguments = Map::from_iter([("thought".to_owned(), json!("hm"))]);
        let action = Think.action(arguments).unwrap();
        let observation = Think.run(&action, &CallSignals::default()).await.unwrap();
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
