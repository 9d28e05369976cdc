//! Places for sockets and event streams: how many may be open for the same thing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use core_model::ConversationId;

use crate::configure::{Limits, Shared};

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PlaceFor {
    /// To follow a conversation. Take one only for a conversation that exists: names cost nothing.
    Conversation(ConversationId),
    /// To follow all conversations.
    AllConversations,
    /// To be a socket until a key is proven.
    Unauthenticated,
}

/// How many places are taken.
#[derive(Default)]
pub(crate) struct SocketCounts(Mutex<HashMap<PlaceFor, usize>>);

/// The place of one socket or event stream; it comes free when this is dropped.
pub(crate) struct SocketPlace {
    shared: Arc<Shared>,
    on: PlaceFor,
}

impl PlaceFor {
    fn limit(self, limits: &Limits) -> usize {
        match self {
            Self::Conversation(_) | Self::AllConversations => limits.sockets_per_conversation,
            Self::Unauthenticated => limits.unauthenticated_sockets,
        }
    }
}

impl SocketCounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<PlaceFor, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketPlace {
    /// None when all are taken.
    pub(crate) fn take(shared: &Arc<Shared>, on: PlaceFor) -> Option<Self> {
        let limit = on.limit(&shared.config.limits);
        let mut counts = shared.sockets.lock();
        let count = counts.entry(on).or_default();
        (*count < limit).then(|| {
            *count += 1;
            Self {
                shared: Arc::clone(shared),
                on,
            }
        })
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        let mut counts = self.shared.sockets.lock();
        if let Some(count) = counts.get_mut(&self.on) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.on);
            }
        }
    }
}
