//! What all conversations spend, by API key and day, and what they may spend together. Each is told here
//! what its commits cost; a task records that, so that it outlives the conversation and the server.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use core_model::{
    Store, UtcTime,
    budget::{Budget, BudgetReached, BudgetScope, Period, Spent},
    shared_budget::{DaySpending, SharedBudgets, SpendingByDay},
};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use crate::{RuntimeError, lock::lock};

/// How long the record of spending waits after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is written at most while nothing is limited, and nobody waits for it.
const UNHURRIED: Duration = Duration::from_millis(250);

/// What several conversations spend together.
pub(crate) struct Spending {
    store: Arc<dyn Store>,
    configured: SharedBudgets,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    added: Arc<Notify>,
}

#[derive(Default)]
struct State {
    by_day: SpendingByDay,
    unrecorded: SpendingByDay,
    /// None: those of the configuration hold.
    requested: Option<SharedBudgets>,
    /// How often something was added.
    additions: u64,
}

/// How far the task that records has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// What earlier servers recorded was read, or could not be.
    loaded: bool,
    /// Additions that are recorded, or that it failed to record and will try again.
    tried: u64,
}

/// A budget, and what was spent of it.
#[derive(Clone, Debug)]
pub(crate) struct ScopedBudget {
    pub(crate) scope: BudgetScope,
    pub(crate) key: Option<String>,
    pub(crate) period: Option<Period>,
    pub(crate) limits: Budget,
    pub(crate) spent: Spent,
}

impl ScopedBudget {
    /// The first limit that does not allow one more call.
    pub(crate) fn reached(&self) -> Option<BudgetReached> {
        let reached = self.limits.reached(self.scope, &self.spent)?;
        Some(self.about(reached))
    }

    /// Says which budget it is.
    pub(crate) fn about(&self, reached: BudgetReached) -> BudgetReached {
        BudgetReached {
            key: self.key.clone(),
            period: self.period,
            ..reached
        }
    }
}

impl Spending {
    /// Starts the task that records on the tokio runtime that calls this.
    pub(crate) fn start(store: Arc<dyn Store>, configured: SharedBudgets) -> Arc<Self> {
        let spending = Arc::new(Self {
            store,
            configured,
            state: Mutex::default(),
            progress: watch::Sender::default(),
            added: Arc::default(),
        });
        let (weak, added) = (Arc::downgrade(&spending), Arc::clone(&spending.added));
        tokio::spawn(record(weak, added));
        spending
    }

    /// Notes what a conversation spent; `key`: the name of the API key that it belongs to.
    pub(crate) fn add(&self, key: Option<&str>, spent: Spent) {
        if spent == Spent::default() {
            return;
        }
        let spending = DaySpending {
            key: key.map(str::to_owned),
            day: UtcTime::now().0.date_naive(),
            spent,
        };
        let mut state = lock(&self.state);
        state.by_day.add(spending.clone());
        state.unrecorded.add(spending);
        state.additions += 1;
        drop(state);
        self.added.notify_one();
    }

    /// The limits that hold, and whether a request set them.
    pub(crate) async fn budgets(&self) -> (SharedBudgets, bool) {
        self.until(|progress| progress.loaded).await;
        let requested = lock(&self.state).requested.clone();
        let is_requested = requested.is_some();
        (
            requested.unwrap_or_else(|| self.configured.clone()),
            is_requested,
        )
    }

    /// Replaces the limits; None: those of the configuration hold.
    ///
    /// # Errors
    /// When that cannot be made durable.
    pub(crate) async fn set_budgets(
        &self,
        budgets: Option<SharedBudgets>,
    ) -> Result<(), RuntimeError> {
        self.until(|progress| progress.loaded).await;
        self.store.set_budgets(budgets.clone()).await?;
        lock(&self.state).requested = budgets;
        Ok(())
    }

    /// The budgets that limit a conversation of this key, and what was spent of them; nothing when nothing
    /// is limited. All that was spent before this call is recorded by then.
    pub(crate) async fn scopes(&self, key: Option<&str>) -> Vec<ScopedBudget> {
        let (budgets, _) = self.budgets().await;
        if budgets.is_unlimited() {
            return Vec::new();
        }
        self.flush().await;
        self.all_scopes(&budgets)
            .into_iter()
            .filter(|scope| scope.key.is_none() || scope.key.as_deref() == key)
            .collect()
    }

    /// Waits until all that was spent before this call is recorded, or could not be.
    pub(crate) async fn flush(&self) {
        let additions = lock(&self.state).additions;
        self.until(|progress| progress.tried >= additions).await;
    }

    /// Each key's budget, then the server's.
    pub(crate) fn all_scopes(&self, budgets: &SharedBudgets) -> Vec<ScopedBudget> {
        let today = UtcTime::now().0.date_naive();
        let state = lock(&self.state);
        let of_keys = budgets.keys.iter().map(|(name, budget)| ScopedBudget {
            scope: BudgetScope::Key,
            key: Some(name.clone()),
            period: Some(budget.period),
            limits: budget.limits(),
            spent: state.by_day.of_key(name, budget.period, today),
        });
        let server = budgets.server;
        let of_server = ScopedBudget {
            scope: BudgetScope::Server,
            key: None,
            period: Some(server.period),
            limits: server.limits(),
            spent: state.by_day.of_server(server.period, today),
        };
        of_keys.chain([of_server]).collect()
    }

    async fn until(&self, reached: impl FnMut(&Progress) -> bool) {
        let mut progress = self.progress.subscribe();
        // It cannot close: this holds the sender.
        progress.wait_for(reached).await.ok();
    }

    /// Reads what earlier servers recorded, unless that is done. False when it failed.
    async fn load(&self, is_loaded: bool) -> bool {
        if is_loaded {
            return true;
        }
        let read = self.store.spending().await;
        let loaded = match read {
            Ok(record) => {
                let mut state = lock(&self.state);
                state.by_day = record.by_day;
                for spending in state.unrecorded.days().collect::<Vec<_>>() {
                    state.by_day.add(spending);
                }
                state.requested = record.budgets;
                true
            }
            Err(error) => {
                tracing::error!(%error, "what was spent cannot be read; budgets count from now on");
                false
            }
        };
        // Not even a failure may keep conversations from working.
        self.progress.send_modify(|progress| progress.loaded = true);
        loaded
    }

    /// Records what is not recorded yet. False when it failed.
    async fn record(&self) -> bool {
        let (unrecorded, additions) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.unrecorded), state.additions)
        };
        let written = if unrecorded.is_empty() {
            Ok(())
        } else {
            self.store.add_spending(unrecorded.days().collect()).await
        };
        if let Err(error) = &written {
            tracing::warn!(%error, "what was spent is not recorded yet");
            let mut state = lock(&self.state);
            for spending in unrecorded.days() {
                state.unrecorded.add(spending);
            }
        }
        self.progress
            .send_modify(|progress| progress.tried = additions);
        written.is_ok()
    }

    fn is_limited(&self) -> bool {
        let state = lock(&self.state);
        let budgets = state.requested.as_ref().unwrap_or(&self.configured);
        !budgets.is_unlimited()
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        // The task that records sees that there is nothing left to do.
        self.added.notify_one();
    }
}

async fn record(spending: Weak<Spending>, added: Arc<Notify>) {
    let mut is_loaded = false;
    while let Some(spending) = spending.upgrade() {
        is_loaded = spending.load(is_loaded).await;
        let done = is_loaded && spending.record().await;
        let hurried = spending.is_limited();
        drop(spending);
        if !done {
            sleep(RETRY).await;
        } else {
            added.notified().await;
            if !hurried {
                sleep(UNHURRIED).await;
            }
        }
    }
}
