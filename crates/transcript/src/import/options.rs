use core_model::Workspace;
use serde_json::Value;

/// How an import handles secrets, and what replaces what is missing.
///
/// ```
/// use core_model::{Workspace, WorkspaceKind};
/// use serde_json::json;
/// use transcript::import::ImportOptions;
///
/// let options = ImportOptions {
///     open: &|_sealed| None,        // the reference's key is not known
///     seal: &|_settings| Ok(()),    // there is nothing to seal
///     agent: json!({"kind": "Agent"}),
///     llm: Some(json!({"model": "openai/gpt-4.1"})),
///     workspace: Workspace {
///         working_dir: "workspace/project".to_owned(),
///         kind: WorkspaceKind::LocalWorkspace,
///     },
/// };
/// ```
pub struct ImportOptions<'a> {
    /// Decrypts a value that the reference server encrypted; none when it cannot.
    pub open: &'a dyn Fn(&str) -> Option<String>,
    /// Seals the secrets of agent settings, or of a map of secrets, in place.
    pub seal: &'a dyn Fn(&mut Value) -> Result<(), String>,
    /// The agent of a conversation whose own cannot be read.
    pub agent: Value,
    /// The model that every agent gets instead of its own, as an `llm` object.
    pub llm: Option<Value>,
    /// The workspace of a conversation whose own cannot be read.
    pub workspace: Workspace,
}
