use agent_runtime::{AllFilter, AllStart, Conversation, Start};
use core_model::{ConversationId, Seq};

use crate::{
    follow::{CloseReason, FollowerSlot, FrameSource, SlotFor},
    state::ApiState,
};

/// What a socket follows.
pub(super) enum Subscription {
    Events(ConversationId, Start),
    Session(ConversationId, Option<Start>),
    All(AllStart, AllFilter),
}

/// A subscription that was opened.
pub(super) struct Subscribed {
    /// To which messages of the client go.
    pub(super) conversation: Option<Conversation>,
    pub(super) source: FrameSource,
    pub(super) slot: FollowerSlot,
}

impl Subscription {
    pub(super) fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Events(id, _) | Self::Session(id, _) => Some(*id),
            Self::All(..) => None,
        }
    }

    /// # Errors
    /// Why there is nothing to follow.
    pub(super) async fn open(&self, state: &ApiState) -> Result<Subscribed, CloseReason> {
        Ok(match self {
            Self::Events(id, start) => {
                let (conversation, slot) = open_conversation(state, *id).await?;
                let follower = conversation.follow(start).await?;
                Subscribed {
                    conversation: Some(conversation),
                    source: FrameSource::Events(follower),
                    slot,
                }
            }
            Self::Session(id, replay) => {
                let (conversation, slot) = open_conversation(state, *id).await?;
                let end = Start::From(Seq(u64::MAX));
                let follower = conversation.follow(replay.as_ref().unwrap_or(&end)).await?;
                let source = FrameSource::Session {
                    follower,
                    replays: replay.is_some(),
                };
                Subscribed {
                    conversation: Some(conversation),
                    source,
                    slot,
                }
            }
            Self::All(start, filter) => {
                let slot = take_slot(state, SlotFor::AllConversations)?;
                let follower = state.runtime.follow_all(*start, filter.clone()).await?;
                Subscribed {
                    conversation: None,
                    source: FrameSource::all(follower),
                    slot,
                }
            }
        })
    }
}

/// A conversation that exists, and a slot on it.
async fn open_conversation(
    state: &ApiState,
    id: ConversationId,
) -> Result<(Conversation, FollowerSlot), CloseReason> {
    let conversation = state.runtime.open(id).await?;
    Ok((conversation, take_slot(state, SlotFor::Conversation(id))?))
}

fn take_slot(state: &ApiState, slot_for: SlotFor) -> Result<FollowerSlot, CloseReason> {
    let slot = state.slots.take(slot_for, &state.config.limits);
    slot.ok_or(CloseReason::TooManyFollowers)
}
