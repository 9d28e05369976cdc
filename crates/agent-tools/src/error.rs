use thiserror::Error;

/// Why a tool gave no observation.
#[derive(Debug, Error)]
pub enum ToolError {
    /// The model's arguments do not fit the tool.
    #[error("{0}")]
    Arguments(String),
    /// The tool broke; the text is for the model and the log.
    #[error("{0}")]
    Failed(String),
    /// The call was cancelled.
    #[error("cancelled")]
    Cancelled,
}
