use std::collections::BTreeMap;

use core_model::{
    ConversationOrder, ExecutionStatus, Metadata,
    budget::{BudgetScope, Spent},
    port::ListQuery,
    shared_budget::{PeriodBudget, SharedBudgets},
};

use crate::{Runtime, RuntimeError};

/// Metadata in memory at a time.
const CHUNK: usize = 256;

/// What the conversations of API keys, and all of the server, may spend and have spent.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedBudgetsUse {
    /// Whether a request set the limits, in place of those of the configuration.
    pub by_request: bool,
    pub server: BudgetUse,
    /// Those keys that have a budget, by their names.
    pub keys: BTreeMap<String, BudgetUse>,
}

/// Limits, and what was spent in their period so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BudgetUse {
    pub budget: PeriodBudget,
    pub spent: Spent,
}

/// What became of conversations that the budget of a key or of the server had paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    pub resumed: usize,
    /// Those for which there was no run slot.
    pub left_paused: usize,
}

impl Runtime {
    /// The budgets of the server and of its API keys.
    pub async fn shared_budgets(&self) -> SharedBudgetsUse {
        let spending = &self.state().spending;
        let (budgets, by_request) = spending.budgets().await;
        let mut used = SharedBudgetsUse {
            by_request,
            server: BudgetUse::default(),
            keys: BTreeMap::new(),
        };
        for scoped in spending.all_scopes(&budgets) {
            let of = |budget| BudgetUse {
                budget,
                spent: scoped.spent,
            };
            match scoped.key {
                Some(name) => {
                    let budget = budgets.keys.get(&name).copied().unwrap_or_default();
                    used.keys.insert(name, of(budget));
                }
                None => used.server = of(budgets.server),
            }
        }
        used
    }

    /// Replaces the budgets of the server and of its API keys, durably; None: those of the configuration
    /// hold again. Running turns heed them before their next call.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] for a limit that is no number or negative, or a store error.
    pub async fn set_shared_budgets(
        &self,
        budgets: Option<SharedBudgets>,
    ) -> Result<(), RuntimeError> {
        if let Some(limit) = budgets.as_ref().and_then(SharedBudgets::fault) {
            let why = format!("`{limit}` is a number of at least 0");
            return Err(RuntimeError::Invalid(why));
        }
        self.state().spending.set_budgets(budgets).await
    }

    /// Continues the conversations that the budget of a key or of the server paused and would not pause
    /// again at once, as long as there are run slots.
    ///
    /// # Errors
    /// When the store cannot list them.
    pub async fn resume_paused_by_shared_budgets(&self) -> Result<Resumed, RuntimeError> {
        let store = &self.state().store;
        let paused = ListQuery {
            status: Some(ExecutionStatus::Paused),
            first: None,
            limit: usize::MAX,
            order: ConversationOrder::Updated,
        };
        let paused = store.list(&paused).await?.rows;
        let ids: Vec<_> = paused.iter().map(|row| row.id).collect();
        let mut done = Resumed::default();
        for ids in ids.chunks(CHUNK) {
            for metadata in store.metadata_of(ids).await?.into_iter().flatten() {
                if is_paused_by_shared(&metadata) && self.is_allowed(&metadata).await {
                    self.resume(&metadata, &mut done).await;
                }
            }
        }
        Ok(done)
    }

    async fn is_allowed(&self, metadata: &Metadata) -> bool {
        let key = metadata.settings.api_key_name.as_deref();
        let scopes = self.state().spending.scopes(key).await;
        scopes.iter().all(|scoped| scoped.reached().is_none())
    }

    async fn resume(&self, metadata: &Metadata, done: &mut Resumed) {
        let resumed = match self.open(metadata.id).await {
            Ok(conversation) => conversation.go_on().await,
            Err(error) => Err(error),
        };
        match resumed {
            Ok(()) => done.resumed += 1,
            Err(RuntimeError::RunLimit { .. }) => done.left_paused += 1,
            // Deleted or continued by somebody else since.
            Err(RuntimeError::NotFound(_) | RuntimeError::AlreadyRunning) => {}
            Err(error) => {
                done.left_paused += 1;
                tracing::warn!(conversation.id = %metadata.id, %error, "could not resume a run");
            }
        }
    }
}

fn is_paused_by_shared(metadata: &Metadata) -> bool {
    let state = metadata.snapshot.as_ref().map(|snapshot| &snapshot.state);
    let reached = state.and_then(|state| state.paused_by.as_ref());
    reached.is_some_and(|reached| match reached.scope {
        BudgetScope::Key | BudgetScope::Server => true,
        BudgetScope::Conversation | BudgetScope::Turn => false,
    })
}
