//! Deliveries that people ask for once more, sent beside the order.

use std::collections::{HashSet, VecDeque};

use core_model::{
    ConversationKey,
    port::{Attempt, DeadLetter, DeliveriesError, DeliverySubject},
};
use tokio::sync::oneshot;

use crate::{endpoint::Endpoint, history::History, job::Task};

/// Redeliveries at a time.
const MAX_UNDER_WAY: usize = 4;

pub(super) struct Redelivery {
    pub(super) of: ConversationKey,
    pub(super) id: String,
    pub(super) task: Task,
    pub(super) reply: Reply,
}

type Reply = oneshot::Sender<Result<Attempt, DeliveriesError>>;

#[derive(Default)]
pub(super) struct Redeliveries {
    waiting: VecDeque<Redelivery>,
    under_way: HashSet<ConversationKey>,
}

impl Redeliveries {
    /// Sends this once more as soon as it can be; without anything to send, answers that there is no such
    /// delivery.
    pub(super) fn push(&mut self, id: String, what: Option<(ConversationKey, Task)>, reply: Reply) {
        let Some((of, task)) = what else {
            reply.send(Err(DeliveriesError::NoDelivery(id))).ok();
            return;
        };
        self.waiting.push_back(Redelivery {
            of,
            id,
            task,
            reply,
        });
    }

    /// The next one that can be sent, which is under way from now on: one request at a time for a
    /// conversation, its next delivery (`is_busy`) included.
    pub(super) fn start(
        &mut self,
        is_busy: impl Fn(&ConversationKey) -> bool,
    ) -> Option<Redelivery> {
        if self.under_way.len() >= MAX_UNDER_WAY {
            return None;
        }
        let free = |of: &ConversationKey| !is_busy(of) && !self.under_way.contains(of);
        let nth = self.waiting.iter().position(|next| free(&next.of))?;
        let next = self.waiting.remove(nth)?;
        self.under_way.insert(next.of);
        Some(next)
    }

    pub(super) fn is_under_way(&self, of: &ConversationKey) -> bool {
        self.under_way.contains(of)
    }

    pub(super) fn finished(&mut self, of: &ConversationKey) {
        self.under_way.remove(of);
    }
}

/// What a dead letter or a recent delivery was about, and how it is sent again.
pub(super) async fn what_to_send(
    id: &str,
    dead_letters: &VecDeque<DeadLetter>,
    history: &History,
    endpoint: &Endpoint,
) -> Option<(ConversationKey, Task)> {
    let again = |first, last| Task::Again {
        id: id.to_owned(),
        first,
        last,
    };
    if let Some(letter) = dead_letters.iter().find(|letter| letter.id == id) {
        return Some((
            letter.conversation,
            again(letter.first_seq, letter.last_seq),
        ));
    }
    let (of, delivery) = history.find(id)?;
    let task = match (delivery.subject, delivery.first_seq, delivery.last_seq) {
        (DeliverySubject::Events, Some(first), Some(last)) => again(first, last),
        (DeliverySubject::Conversation, ..) => Task::Conversation {
            id: id.to_owned(),
            deleting: matches!(endpoint.row(&of).await, Ok(None)),
        },
        (DeliverySubject::Events | DeliverySubject::Test, ..) => return None,
    };
    Some((of, task))
}
