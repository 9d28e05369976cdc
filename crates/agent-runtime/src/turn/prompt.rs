use agent_tools::{Tools, model_schema, offered};
use core_model::{Agent, TextContent, Workspace, event::SystemPromptEvent};
use llm_client::ToolSpec;
use serde_json::Value;

const SYSTEM: &str = include_str!("prompt/system.md");

/// The first event of an agent: its instructions, and the tools it is given.
pub(super) fn system(
    agent: &Agent,
    workspace: &Workspace,
    tools: &Tools,
    found: &[String],
) -> SystemPromptEvent {
    let text = agent.system_prompt.as_deref().unwrap_or(SYSTEM).trim();
    SystemPromptEvent {
        system_prompt: TextContent::new(text),
        tools: offered(tools, found)
            .into_iter()
            .map(|tool| tool.definition())
            .collect(),
        dynamic_context: Some(TextContent::new(surroundings(agent, workspace))),
    }
}

/// The tools as a model is offered them. `found`: those that a search has found.
pub(super) fn tool_specs(tools: &Tools, found: &[String]) -> Vec<ToolSpec> {
    let spec = |tool: &std::sync::Arc<dyn agent_tools::Tool>| ToolSpec {
        name: tool.name().to_owned(),
        description: tool.definition().description,
        parameters: model_schema(tool.as_ref()),
    };
    offered(tools, found).into_iter().map(spec).collect()
}

/// What differs between conversations; separate, so that the provider can cache the rest.
fn surroundings(agent: &Agent, workspace: &Workspace) -> String {
    let mut text = format!(
        "Your workspace is the folder `{}`. Use absolute paths in it. The system is {} on {}.",
        workspace.working_dir,
        std::env::consts::OS,
        std::env::consts::ARCH,
    );
    let context = agent.agent_context.as_ref();
    let suffix = context.and_then(|context| context.get("system_message_suffix"));
    for more in [suffix.and_then(Value::as_str), agent.persona.as_deref()]
        .into_iter()
        .flatten()
    {
        if !more.trim().is_empty() {
            text.push_str("\n\n");
            text.push_str(more.trim());
        }
    }
    text
}
