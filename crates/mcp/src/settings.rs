use std::time::Duration;

/// Limits of the servers of all conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McpSettings {
    /// How long a server may take to start, introduce itself and list its tools.
    pub start_timeout: Duration,
    /// How long a call may be silent, where the server's own settings say nothing else. Each report of
    /// progress starts it anew.
    pub call_timeout: Duration,
}

impl McpSettings {
    pub const START_TIMEOUT: Duration = Duration::from_secs(30);
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(300);
    /// A call ends after this many times its limit, however much progress it reports.
    pub(crate) const LONGEST_CALL: u32 = 12;
}

impl Default for McpSettings {
    fn default() -> Self {
        Self {
            start_timeout: Self::START_TIMEOUT,
            call_timeout: Self::CALL_TIMEOUT,
        }
    }
}
