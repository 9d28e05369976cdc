use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use core_model::{
    ConversationId, ConversationKey, Metadata, Row, StoreError, UtcTime,
    port::{Change, FeedEntry, Holder},
};
use tokio::sync::watch;

use crate::{
    conversation::{Conversation, Held},
    conversations::Conversations,
    log::Log,
};

/// All that changes together, so that each call finds one moment of it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) conversations: Conversations,
    /// Servers that are alive, by their numbers.
    servers: HashMap<u64, Holder>,
    pub(crate) feed: Vec<FeedEntry>,
    /// Whether conversations that are deleted wait for followers.
    pub(crate) keeps_deleted: bool,
    /// Those that do.
    pub(crate) deleted: BTreeMap<ConversationKey, Deleted>,
    /// The last server's number, and the last claim's epoch.
    counter: u64,
}

/// A deleted conversation that waits for followers.
pub(crate) struct Deleted {
    pub(crate) deleted_at: UtcTime,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) log: Arc<Log>,
}

impl State {
    pub(crate) fn add_server(&mut self, holder: Holder) -> u64 {
        self.counter += 1;
        self.servers.insert(self.counter, holder);
        self.counter
    }

    /// Takes a server for dead.
    pub(crate) fn end_server(&mut self, number: u64) {
        if self.servers.remove(&number).is_some() {
            self.release(number);
        }
    }

    /// Gives back all claims of a server.
    pub(crate) fn release(&mut self, number: u64) {
        for conversation in self.conversations.all_mut() {
            if conversation
                .held
                .as_ref()
                .is_some_and(|held| held.server == number)
            {
                conversation.held = None;
            }
        }
    }

    pub(crate) fn is_alive(&self, number: u64) -> bool {
        self.servers.contains_key(&number)
    }

    /// The server that has a conversation.
    pub(crate) fn holder(&self, id: ConversationId) -> Option<(u64, &Holder)> {
        let held = self.conversations.get(id)?.held.as_ref()?;
        let holder = self.servers.get(&held.server)?;
        Some((held.server, holder))
    }

    /// Refuses what only the server that has a conversation may do, if that is another one.
    pub(crate) fn check_holder(&self, id: ConversationId, number: u64) -> Result<(), Holder> {
        let other = self.holder(id).filter(|(holder, _)| *holder != number);
        other.map_or(Ok(()), |(_, holder)| Err(holder.clone()))
    }

    /// Has a conversation held by a server from now on, and by nobody else: the epoch and the signal.
    pub(crate) fn hold(
        &mut self,
        id: ConversationId,
        server: u64,
    ) -> Result<(u64, watch::Receiver<bool>), StoreError> {
        let conversation = self.conversations.get_mut(id);
        let conversation = conversation.ok_or(StoreError::NotFound(id))?;
        self.counter += 1;
        let (lost, signal) = watch::channel(false);
        conversation.held = Some(Held {
            server,
            epoch: self.counter,
            lost,
        });
        Ok((self.counter, signal))
    }

    /// Whether a conversation is there, or waits.
    pub(crate) fn has(&self, key: &ConversationKey) -> bool {
        let found = self.conversations.get(key.id);
        found.is_some_and(|found| found.row.created_at == key.created_at)
            || self.deleted.contains_key(key)
    }

    /// Has a deleted conversation wait for followers.
    pub(crate) fn keep(&mut self, conversation: Conversation) {
        let Conversation { metadata, log, .. } = conversation;
        let key = metadata.key();
        let deleted_at = UtcTime::now();
        let deleted = Deleted {
            deleted_at,
            metadata,
            log,
        };
        self.deleted.insert(key, deleted);
    }

    /// Adds an entry to the feed: its length now.
    pub(crate) fn announce(&mut self, row: &Row, change: Change) -> u64 {
        let position = self.feed.len() as u64;
        self.feed.push(FeedEntry {
            position,
            conversation: row.id,
            created_at: row.created_at,
            change,
        });
        position + 1
    }
}
