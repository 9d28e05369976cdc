use std::{borrow::Cow, sync::Arc, time::Duration};

use async_trait::async_trait;
use core_model::{
    Content, Observation,
    event::{ToolAnnotations, ToolDefinition},
};
use serde_json::{Map, Value};
use workspace::ProcessInfo;

use crate::{OpenError, Tool, ToolCall, ToolEnvironment, ToolError, ToolTraits};

type Action = Map<String, Value>;
type Arguments = Map<String, Value>;
type Parameters = Map<String, Value>;
type Opened = Result<Arc<dyn Tool>, OpenError>;

/// All that the server knows of a built-in tool. It stands beside the tool; `built_in.rs` lists them.
pub(super) struct Descriptor {
    /// The name that the model calls it by.
    pub(super) name: &'static str,
    /// Other names that models call it by.
    pub(super) aliases: &'static [&'static str],
    /// Its kinds on the wire are this with `Tool`, `Action` or `Observation` after it.
    pub(super) kind: &'static str,
    pub(super) chosen_by: ChosenBy,
    /// What clients and models read; `{workspace}` stands for the workspace's folder.
    pub(super) description: &'static str,
    pub(super) hints: Hints,
    pub(super) traits: ToolTraits,
    /// Of one call, where that differs.
    pub(super) call_traits: Option<fn(&Action) -> ToolTraits>,
    /// As [`Tool::parameters`].
    pub(super) parameters: fn() -> Value,
    /// As [`Tool::action`].
    pub(super) action: fn(Arguments) -> Result<Action, ToolError>,
    /// Makes the tool, with the parameters that the agent gives it.
    pub(super) open: fn(&ToolEnvironment, &Parameters) -> Opened,
    /// For a tool whose programs may outlive a call.
    pub(super) log: Option<LogReading>,
    /// For a tool that keeps a file beside the log.
    pub(super) keeps: Option<KeptFile>,
}

/// A file that a tool keeps beside the log and that its observations tell, so that a copy of the conversation
/// has it too.
#[derive(Clone, Copy)]
pub struct KeptFile {
    /// As `ToolFiles` know it.
    pub name: &'static str,
    /// What is in it after an observation; `None` for one that does not tell.
    pub after: fn(&Observation) -> Option<Vec<u8>>,
}

/// An observation with this text, these fields, and `kind` as the last of them.
pub(super) fn observation(
    text: impl Into<String>,
    mut fields: Map<String, Value>,
    kind: &str,
) -> Observation {
    fields.insert("kind".to_owned(), kind.into());
    Observation {
        content: vec![Content::text(text)],
        is_error: false,
        fields,
    }
}

/// How an agent chooses a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChosenBy {
    /// By its name, in the agent's `tools`. The Python module is the one by which the public SDK knows
    /// it; clients import these modules when they attach.
    Name { python_module: &'static str },
    /// By its class, in the agent's `include_default_tools`.
    Class,
}

/// Beside what [`ToolTraits`] say, for clients.
pub(super) struct Hints {
    /// Whether the annotations have its name as their title.
    pub(super) titled: bool,
    pub(super) destructive: bool,
    pub(super) idempotent: bool,
    pub(super) open_world: bool,
}

/// How the logged calls of a tool are read whose programs may outlive a call. `None` for observations of
/// other tools.
pub(super) struct LogReading {
    /// What a model reads of an observation.
    pub(super) model_text: fn(&Observation) -> Option<String>,
    /// Whether a program still runs, as far as an observation says.
    pub(super) still_running: fn(&Observation) -> Option<bool>,
    /// Whether a call with this action and observation was made to let time pass, and did.
    pub(super) waited: fn(&Action, &Observation, Duration) -> bool,
}

/// Of a call that only looks where its parameter `command` is `view`.
pub(super) fn traits_by_command(action: &Action) -> ToolTraits {
    match action.get("command") {
        Some(command) if command == "view" => ToolTraits::LOOKS,
        Some(_) | None => ToolTraits::NONE,
    }
}

/// What a built-in tool does; all else is in its descriptor.
#[async_trait]
pub(super) trait Execute: Send + Sync + 'static {
    /// As [`Tool::run`].
    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError>;

    /// As [`Tool::is_busy`].
    fn is_busy(&self) -> bool {
        false
    }

    /// As [`Tool::close`].
    async fn close(&self) -> Vec<ProcessInfo> {
        Vec::new()
    }
}

/// A built-in tool of one conversation.
pub(super) struct BuiltIn<T> {
    descriptor: &'static Descriptor,
    description: Cow<'static, str>,
    pub(super) tool: T,
}

impl Descriptor {
    /// The tool of this descriptor for one conversation.
    pub(super) fn with<T: Execute>(
        &'static self,
        tool: T,
        environment: &ToolEnvironment,
    ) -> BuiltIn<T> {
        const PLACE: &str = "{workspace}";
        let description = if self.description.contains(PLACE) {
            let folder = environment.workspace.folder().display().to_string();
            self.description.replace(PLACE, &folder).into()
        } else {
            self.description.into()
        };
        BuiltIn {
            descriptor: self,
            description,
            tool,
        }
    }

    pub(super) fn traits_of(&self, action: &Action) -> ToolTraits {
        self.call_traits.map_or(self.traits, |of| of(action))
    }
}

#[async_trait]
impl<T: Execute> Tool for BuiltIn<T> {
    fn name(&self) -> &str {
        self.descriptor.name
    }

    fn aliases(&self) -> &[&str] {
        self.descriptor.aliases
    }

    fn definition(&self) -> ToolDefinition {
        let Descriptor {
            name, kind, hints, ..
        } = self.descriptor;
        ToolDefinition {
            description: self.description.clone().into_owned(),
            action_type: format!("{kind}Action"),
            observation_type: Some(format!("{kind}Observation")),
            annotations: Some(ToolAnnotations {
                title: hints.titled.then(|| (*name).to_owned()),
                read_only_hint: self.descriptor.traits.read_only,
                destructive_hint: hints.destructive,
                idempotent_hint: hints.idempotent,
                open_world_hint: hints.open_world,
            }),
            kind: format!("{kind}Tool"),
            title: (*name).to_owned(),
            mcp_tool: None,
        }
    }

    fn parameters(&self) -> Value {
        (self.descriptor.parameters)()
    }

    fn traits(&self) -> ToolTraits {
        self.descriptor.traits
    }

    fn call_traits(&self, action: &Map<String, Value>) -> ToolTraits {
        self.descriptor.traits_of(action)
    }

    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        (self.descriptor.action)(arguments)
    }

    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        self.tool.run(call).await
    }

    fn is_busy(&self) -> bool {
        self.tool.is_busy()
    }

    async fn close(&self) -> Vec<ProcessInfo> {
        self.tool.close().await
    }
}
