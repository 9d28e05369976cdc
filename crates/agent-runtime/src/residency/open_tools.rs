use std::sync::Mutex;

use agent_tools::OpenedTools;

use crate::lock::lock;

/// The tools that a conversation has open, between turns too: a turn opens them, the actor closes them.
#[derive(Default)]
pub(crate) struct OpenTools(Mutex<Option<OpenedTools>>);

impl OpenTools {
    pub(crate) fn get(&self) -> Option<OpenedTools> {
        lock(&self.0).clone()
    }

    pub(crate) fn are_open(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Keeps what was opened, unless others were faster; the tools that are open in the end.
    pub(crate) fn keep(&self, opened: OpenedTools) -> OpenedTools {
        lock(&self.0).get_or_insert(opened).clone()
    }

    /// Takes them out; the caller closes them.
    pub(crate) fn take(&self) -> OpenedTools {
        lock(&self.0).take().unwrap_or_default()
    }
}
