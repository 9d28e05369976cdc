use crate::request::{Required, query};

query! {
    /// Which models are listed.
    pub(super) struct ModelListParams {
        /// The prefix of one provider; all by default.
        provider: Option<String>,
    }
}

query! {
    /// Whose models are described.
    pub(super) struct ProviderParams {
        /// The prefix of the provider.
        provider: Required<String>,
    }
}
