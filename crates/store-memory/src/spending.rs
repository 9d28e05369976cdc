use async_trait::async_trait;
use core_model::{
    StoreError,
    port::{SpendingRecord, SpendingRecords},
    shared_budget::{DaySpending, SharedBudgets},
};

use crate::{MemoryStore, lock::lock};

#[async_trait]
impl SpendingRecords for MemoryStore {
    async fn spending(&self) -> Result<SpendingRecord, StoreError> {
        Ok(lock(&self.shared.spending).clone())
    }

    async fn add_spending(&self, added: Vec<DaySpending>) -> Result<(), StoreError> {
        let mut record = lock(&self.shared.spending);
        for spending in added {
            record.by_day.add(spending);
        }
        Ok(())
    }

    async fn set_budgets(&self, budgets: Option<SharedBudgets>) -> Result<(), StoreError> {
        lock(&self.shared.spending).budgets = budgets;
        Ok(())
    }
}
