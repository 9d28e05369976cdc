use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use core_model::Store;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    RuntimeConfig, RuntimeError,
    residency::{conversation_cache::ConversationCache, idle_tools::IdleTools},
    startup_recovery::StartupRecovery,
    vault::Vault,
};

/// What every conversation of a runtime shares.
pub(crate) struct RuntimeState {
    pub(crate) config: RuntimeConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Vault,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) tokio: Handle,
    /// Actors, so that a stop can wait for them.
    pub(crate) actors: TaskTracker,
    /// How far this has taken charge of what is stored.
    pub(crate) recovery: StartupRecovery,
    pub(crate) idle_tools: IdleTools,
    pub(crate) cache: ConversationCache,
    started: Instant,
    /// Milliseconds after `started` of the last command.
    last_command: AtomicU64,
    stopping: CancellationToken,
}

impl RuntimeState {
    /// With no conversations yet. Its tasks live on the tokio runtime that calls this.
    pub(crate) fn new(config: RuntimeConfig, store: Arc<dyn Store>) -> Self {
        Self {
            vault: Vault::new(Arc::clone(&config.secret_key)),
            slots: Arc::new(Semaphore::new(config.max_concurrent_runs)),
            tokio: Handle::current(),
            actors: TaskTracker::new(),
            recovery: StartupRecovery::new(store.closed_in_order()),
            idle_tools: IdleTools::new(config.max_idle_shells),
            cache: ConversationCache::new(config.max_idle_conversations),
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

    pub(crate) fn take_slot(&self) -> Result<OwnedSemaphorePermit, RuntimeError> {
        let limit = self.config.max_concurrent_runs;
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        slot.map_err(|_none_left| RuntimeError::RunLimit {
            limit,
            message_saved: false,
        })
    }
}

/// Takes a lock whose holder may have panicked: what these guard is never left half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
