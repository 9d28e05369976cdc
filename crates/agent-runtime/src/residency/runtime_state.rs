use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use core_model::Store;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    RuntimeConfig, residency::startup_recovery::StartupRecovery, run_slot::RunSlots,
    spending::Spending, vault::Vault,
};

/// What all conversations of a runtime share. Knows none of them.
pub(crate) struct RuntimeState {
    pub(crate) config: RuntimeConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Vault,
    pub(crate) slots: RunSlots,
    pub(crate) tokio: Handle,
    /// Actors, so that a stop can wait for them.
    pub(crate) actors: TaskTracker,
    pub(crate) recovery: StartupRecovery,
    /// What all conversations spend, and may spend together.
    pub(crate) spending: Arc<Spending>,
    started: Instant,
    /// Milliseconds after `started` of the last command.
    last_command: AtomicU64,
    stopping: CancellationToken,
}

impl RuntimeState {
    /// Its tasks live on the tokio runtime that calls this.
    pub(crate) fn new(config: RuntimeConfig, store: Arc<dyn Store>) -> Self {
        Self {
            vault: Vault::new(Arc::clone(&config.secret_key)),
            slots: RunSlots::new(config.max_concurrent_runs),
            tokio: Handle::current(),
            actors: TaskTracker::new(),
            recovery: StartupRecovery::default(),
            spending: Spending::start(Arc::clone(&store), config.shared_budgets.clone()),
            started: Instant::now(),
            last_command: AtomicU64::new(0),
            stopping: CancellationToken::new(),
            store,
            config,
        }
    }

    /// Notes that a client asked for something to be done.
    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_command.store(millis, Ordering::Relaxed);
    }

    /// Since a client last asked for something to be done.
    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last_command.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// From here on nothing new is begun.
    pub(crate) fn begin_to_stop(&self) {
        self.stopping.cancel();
    }

    /// Waits for [`Self::begin_to_stop`].
    pub(crate) async fn until_stopping(&self) {
        self.stopping.cancelled().await;
    }
}
