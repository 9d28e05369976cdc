use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use core_model::ConversationId;

use crate::config::Limits;

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SlotFor {
    /// To follow a conversation. Take one only for a conversation that exists: anybody can make up ids.
    Conversation(ConversationId),
    /// To follow all conversations.
    AllConversations,
    /// To be a socket that has not presented a valid key.
    Unauthenticated,
}

/// How many slots are taken. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct FollowerSlots(Arc<Mutex<HashMap<SlotFor, usize>>>);

/// The slot of one socket or event stream; dropping it frees it.
pub(crate) struct FollowerSlot {
    slots: FollowerSlots,
    taken_for: SlotFor,
}

impl SlotFor {
    fn limit(self, limits: &Limits) -> usize {
        match self {
            Self::Conversation(_) | Self::AllConversations => limits.sockets_per_conversation,
            Self::Unauthenticated => limits.unauthenticated_sockets,
        }
    }
}

impl FollowerSlots {
    /// None when all are taken.
    pub(crate) fn take(&self, taken_for: SlotFor, limits: &Limits) -> Option<FollowerSlot> {
        let mut counts = self.lock();
        let count = counts.entry(taken_for).or_default();
        (*count < taken_for.limit(limits)).then(|| {
            *count += 1;
            FollowerSlot {
                slots: self.clone(),
                taken_for,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SlotFor, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FollowerSlot {
    fn drop(&mut self) {
        let mut counts = self.slots.lock();
        if let Some(count) = counts.get_mut(&self.taken_for) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.taken_for);
            }
        }
    }
}
