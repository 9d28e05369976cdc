use crate::request::{Limit, query};

query! {
    /// How many of a webhook's deliveries are listed.
    pub(super) struct DeliveryListParams {
        /// So many of the last deliveries; all that are known by default. Dead letters are always all listed.
        limit: Option<Limit<1000>>,
    }
}

#[cfg(test)]
mod tests;
