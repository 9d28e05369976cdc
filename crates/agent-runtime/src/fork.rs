//! A new conversation that begins as a copy of another one.

use std::collections::{BTreeMap, HashSet};

use core_model::{
    ConversationId, ConversationInfo, ConversationState, Draft, Event, EventBody, EventId,
    EventTime, ExecutionStatus, Extent, LogReader, Metadata, NewRecord, Record, Seq, Snapshot,
    StoreError, UtcTime,
    port::{Claim, Claimed},
};
use serde_json::json;

use crate::{
    Runtime, RuntimeError,
    branch::{Branches, read_on},
    residency::published::summary,
};

/// How a conversation is copied.
#[derive(Clone, Debug, Default)]
pub struct Fork {
    /// Chosen by the client, or else random.
    pub id: Option<ConversationId>,
    pub title: Option<String>,
    /// None: those of the original.
    pub tags: Option<BTreeMap<String, String>>,
    /// The name of the API key that the copy belongs to.
    pub api_key_name: Option<String>,
    /// Whether the copy has spent what the original had.
    pub keep_metrics: bool,
    /// The last event that is copied, with those that lead to it. None: all.
    pub from: Option<EventId>,
}

impl Runtime {
    /// Copies a conversation: its events keep their ids and times, its agent, its workspace and its
    /// settings are the same. The copy is idle.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], [`RuntimeError::UnknownEvent`], [`RuntimeError::IdTaken`], or a store
    /// error.
    ///
    /// # Cancel safety
    /// A dropped call is carried out all the same.
    pub async fn fork(
        &self,
        id: ConversationId,
        fork: Fork,
    ) -> Result<ConversationInfo, RuntimeError> {
        let runtime = self.clone();
        self.run_detached(async move { copy(&runtime, id, fork).await })
            .await
    }
}

async fn copy(
    runtime: &Runtime,
    id: ConversationId,
    fork: Fork,
) -> Result<ConversationInfo, RuntimeError> {
    let original = runtime.open(id).await?.live;
    let now = original.now();
    let log = original.log.as_ref();
    let chosen = match &fork.from {
        None => Chosen::All,
        Some(event) => {
            let path = Branches::read(log, now.extent.len).await?.to(event);
            Chosen::Only(path.ok_or_else(|| RuntimeError::UnknownEvent(event.clone()))?)
        }
    };
    let metadata = metadata_of(&now.metadata, &now.state, &fork);
    let store = &runtime.state().store;
    match store.create(&metadata).await {
        Ok(()) => {}
        Err(StoreError::Exists(id)) => return Err(RuntimeError::IdTaken(id)),
        Err(error) => return Err(error.into()),
    }
    let copied = match store.claim(metadata.id).await? {
        Claimed::Mine(claim) => {
            let mut target = Copy::new(claim, metadata.clone());
            target.fill(log, now.extent.len, &chosen, &fork).await
        }
        Claimed::Theirs(holder) => Err(RuntimeError::OwnedElsewhere {
            holder: Some(holder),
        }),
    };
    if let Err(error) = copied {
        // Half a copy is none.
        if let Err(error) = runtime.delete(metadata.id).await {
            tracing::warn!(conversation.id = %metadata.id, %error, "half a copy stays");
        }
        return Err(error);
    }
    runtime.info(metadata.id).await
}

/// Those of the copy: what the original's events have changed meanwhile holds from the start.
fn metadata_of(original: &Metadata, state: &ConversationState, fork: &Fork) -> Metadata {
    let mut metadata = original.clone();
    metadata.id = fork.id.unwrap_or_else(ConversationId::random);
    metadata.created_at = UtcTime::now();
    metadata.title.clone_from(&fork.title);
    metadata.forked_from_conversation_id = Some(original.id);
    metadata.forked_from_event_id.clone_from(&fork.from);
    metadata.resume = false;
    metadata.torn = Vec::new();
    let settings = &mut metadata.settings;
    settings.confirmation_policy = state.confirmation_policy;
    settings
        .security_analyzer
        .clone_from(&state.security_analyzer);
    settings.budgets = state.budgets;
    settings.api_key_name.clone_from(&fork.api_key_name);
    settings.tags = fork.tags.clone().unwrap_or_else(|| state.tags.clone());
    metadata.snapshot = None;
    metadata.snapshot = Some(Snapshot {
        extent: Extent::default(),
        state: ConversationState::new(&metadata),
    });
    metadata
}

/// Which events are copied.
enum Chosen {
    All,
    Only(HashSet<EventId>),
}

impl Chosen {
    fn has(&self, event: &Event, fork: &Fork) -> bool {
        match (&event.body, self) {
            (EventBody::ConversationStateUpdateEvent(update), Self::All) => {
                let own = match update.key.as_str() {
                    "tags" => fork.tags.is_some(),
                    "title" => true,
                    "stats" | "spent_before" => !fork.keep_metrics,
                    _ => false,
                };
                !own
            }
            (EventBody::ConversationStateUpdateEvent(update), Self::Only(_)) => {
                fork.keep_metrics && matches!(update.key.as_str(), "stats" | "spent_before")
            }
            (_, Self::All) => true,
            (_, Self::Only(path)) => path.contains(&event.id),
        }
    }
}

/// The log that is being written.
struct Copy {
    claim: Claim,
    metadata: Metadata,
    state: ConversationState,
}

impl Copy {
    fn new(claim: Claim, metadata: Metadata) -> Self {
        Self {
            claim,
            state: ConversationState::new(&metadata),
            metadata,
        }
    }

    async fn fill(
        &mut self,
        log: &dyn LogReader,
        len: Seq,
        chosen: &Chosen,
        fork: &Fork,
    ) -> Result<(), RuntimeError> {
        let mut next = Seq(0);
        while next < len {
            let mut copied = Vec::new();
            for record in read_on(log, &mut next, len).await? {
                // What this build cannot read belongs to the whole all the same.
                let Ok(event) = record.event() else {
                    if matches!(chosen, Chosen::All) {
                        copied.push(new_record(record));
                    }
                    continue;
                };
                if chosen.has(&event, fork) {
                    self.state.apply(&event);
                    copied.push(new_record(record));
                }
            }
            self.append(copied).await?;
        }
        let mut last = Vec::new();
        if !self.state.pending.is_empty() {
            // HEAD stays where it is, and what was not answered is not called.
            let head = self.state.leaf_event_id.as_ref().map(|event| &event.0);
            last.push(Draft::state("leaf_event_id", json!(head)));
        }
        if self.state.execution_status != ExecutionStatus::Idle {
            let idle = ExecutionStatus::Idle.as_str();
            last.push(Draft::state("execution_status", idle));
        }
        if !fork.keep_metrics {
            last.push(Draft::state("spent_before", json!(self.state.spent())));
        }
        let mut records = Vec::new();
        for draft in last {
            let time = EventTime::now_after(self.state.last_timestamp);
            let event = draft.at(time, self.state.leaf_event_id.clone());
            self.state.apply(&event);
            let encoded = NewRecord::encode(&event);
            records.push(encoded.map_err(|error| RuntimeError::Internal(error.to_string()))?);
        }
        self.append(records).await
    }

    async fn append(&mut self, records: Vec<NewRecord>) -> Result<(), RuntimeError> {
        if records.is_empty() {
            return Ok(());
        }
        let summary = summary(&self.state, &self.metadata);
        self.claim.log.append(records, summary).await?;
        Ok(())
    }
}

fn new_record(record: Record) -> NewRecord {
    NewRecord {
        head: record.head,
        bytes: record.bytes,
    }
}
