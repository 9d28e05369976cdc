/// The version of the protocol that this server speaks; clients compare it with the one they need.
pub(super) const PROTOCOL_VERSION: &str = "1.58.0";
/// The tools that an agent may be given by name.
pub(super) const USABLE_TOOLS: [&str; 3] = ["terminal", "file_editor", "task_tracker"];
