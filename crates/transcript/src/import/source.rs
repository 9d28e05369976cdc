use std::path::PathBuf;

use core_model::ConversationId;

use super::{folder::EventFile, settings::Settings};

/// What a folder of the reference server holds.
pub(super) struct Source {
    pub(super) folder: PathBuf,
    pub(super) files: Vec<EventFile>,
    pub(super) settings: Settings,
    pub(super) notices: Vec<String>,
}

impl Source {
    pub(super) fn id(&self) -> ConversationId {
        self.settings.metadata.id
    }
}
