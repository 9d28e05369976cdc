use std::{fmt, io, path::PathBuf};

use thiserror::Error;

/// Why the demonstration failed.
#[derive(Debug, Error)]
pub(super) enum DemoError {
    #[error("the server did not start: {0}")]
    Start(String),
    #[error("{0}")]
    Log(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a task of your own needs a model: set LLM_MODEL (and LLM_API_KEY, LLM_BASE_URL)")]
    TaskWithoutModel,
    #[error("{request}: {reason}")]
    Request { request: String, reason: String },
    #[error("the WebSocket: {0}")]
    Socket(String),
    #[error("nothing happened for ten minutes")]
    NoEvents,
    #[error("interrupted")]
    Interrupted,
    #[error("the run ended as {status}{}", reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    NotFinished {
        status: String,
        reason: Option<String>,
    },
    #[error("the last command failed with exit code {0}")]
    CommandFailed(i64),
    #[error("a tool call failed: {0}")]
    ToolFailed(String),
    #[error("no {0} among the agent's files")]
    NoFile(String),
    #[error("{path}: {reason}", path = .path.display())]
    BadLog { path: PathBuf, reason: String },
    #[error("{0} events of the REST listing never came over the WebSocket")]
    Missed(usize),
}

impl DemoError {
    pub(super) fn start(error: impl fmt::Display) -> Self {
        Self::Start(error.to_string())
    }
}
