use std::{sync::Arc, time::Instant};

use agent_runtime::Runtime;

use crate::{
    access::AccessRules,
    config::ApiConfig,
    error::ApiError,
    follow::FollowerSlots,
    key_locks::KeyLocks,
    operation::{Operation, OperationTable},
    reply::DocumentCache,
};

/// What all workers share.
pub(crate) struct ApiState {
    pub(crate) runtime: Runtime,
    pub(crate) config: ApiConfig,
    pub(crate) access: AccessRules,
    pub(crate) operations: OperationTable,
    pub(crate) started: Instant,
    pub(crate) slots: FollowerSlots,
    pub(crate) key_locks: KeyLocks,
    /// The OpenAPI document for each prefix.
    pub(crate) documents: DocumentCache,
}

impl ApiState {
    /// # Errors
    /// When a setting is not well formed.
    pub(crate) fn new(
        runtime: Runtime,
        config: ApiConfig,
        operations: &'static [&'static [Operation]],
    ) -> Result<Arc<Self>, ApiError> {
        config.check()?;
        Ok(Arc::new(Self {
            runtime,
            access: AccessRules::new(&config)?,
            operations: OperationTable::new(operations, config.surface),
            started: Instant::now(),
            slots: FollowerSlots::default(),
            key_locks: KeyLocks::default(),
            documents: DocumentCache::default(),
            config,
        }))
    }
}
