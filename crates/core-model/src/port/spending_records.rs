use async_trait::async_trait;

use super::StoreError;
use crate::shared_budget::{DaySpending, SharedBudgets, SpendingByDay};

/// All that is recorded of spending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpendingRecord {
    pub by_day: SpendingByDay,
    /// None: those of the configuration hold.
    pub budgets: Option<SharedBudgets>,
}

/// Records, durably, what conversations spend, by the API key they belong to and the day, and what people
/// allow them to. It outlives the conversations.
#[async_trait]
pub trait SpendingRecords: Send + Sync {
    /// # Errors
    /// When it cannot be read.
    async fn spending(&self) -> Result<SpendingRecord, StoreError>;

    /// Adds to what was spent. Several servers may add to the same day.
    ///
    /// # Errors
    /// When that cannot be made durable: then nothing was added.
    async fn add_spending(&self, added: Vec<DaySpending>) -> Result<(), StoreError>;

    /// Replaces the limits; None: those of the configuration hold.
    ///
    /// # Errors
    /// When that cannot be made durable.
    async fn set_budgets(&self, budgets: Option<SharedBudgets>) -> Result<(), StoreError>;
}
