use std::{io, path::PathBuf};

use core_model::ConversationId;
use store_fs::{OpenError, ReadError};
use thiserror::Error;
use transcript::{export::ExportError, import::ImportError};

use crate::{config::ConfigError, secret_key::SecretKeyError};

/// Why a maintenance command did not do its work, in words that say what to do about it.
#[derive(Debug, Error)]
pub enum MaintenanceError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    SecretKey(#[from] SecretKeyError),
    #[error("`{0}` is not a conversation id, nor the first 6 or more digits of one")]
    NoId(String),
    #[error("no conversation in {} has an id that is or begins with `{text}`", folder.display())]
    NotFound { text: String, folder: PathBuf },
    #[error("`{text}` is the beginning of more than one id: {}", among(found))]
    Ambiguous {
        text: String,
        found: Vec<ConversationId>,
    },
    #[error("{error}{advice}", error = .0, advice = advice(.0))]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Export(#[from] ExportError<ReadError>),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the system refused what every program needs: {0}")]
    System(#[from] io::Error),
}

fn advice(error: &OpenError) -> &'static str {
    let is_locked = matches!(
        error,
        OpenError::Locked { .. } | OpenError::DeliveriesLocked { .. }
    );
    if is_locked { "; stop it first" } else { "" }
}

fn among(found: &[ConversationId]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = found.iter().take(SHOWN).map(ToString::to_string).collect();
    if found.len() > SHOWN {
        text.push("…".to_owned());
    }
    text.join(", ")
}
