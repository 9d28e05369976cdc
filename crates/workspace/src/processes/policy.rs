//! What processes that a conversation starts are allowed and given.

mod environment;

pub(super) use self::environment::inherited;
pub use self::environment::{NeverPassed, check_name, is_passed};

/// How a conversation's processes are started.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Variables of the server that processes inherit beside the usual ones; a `*` at the end stands
    /// for any rest of a name.
    pub environment: Vec<String>,
    /// Whether each session gets a control group of its own, where the system allows one.
    pub control_groups: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            environment: Vec::new(),
            control_groups: true,
        }
    }
}
