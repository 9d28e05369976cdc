use thiserror::Error;

/// What keeps the API from being built.
#[derive(Debug, Error)]
pub enum ApiError {
    #[error("{setting}: {reason}")]
    Setting {
        /// As the server's configuration calls it, for example `allow_cors_origins[0]`.
        setting: String,
        /// What is wrong, and what to write.
        reason: String,
    },
    #[error("prefix `{0}` must be empty or start with `/` and not end with it")]
    Prefix(String),
    #[error("the OpenAPI document cannot be generated: {0}")]
    Document(String),
}
