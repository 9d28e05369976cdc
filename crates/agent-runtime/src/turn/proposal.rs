use core_model::Draft;

use crate::command::Answer;

/// Events that a turn asks its actor to append.
pub(crate) struct Proposal {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) answer: Answer<()>,
}
