//! A new conversation that begins as a copy of another one.

use std::collections::{BTreeMap, HashSet};

use core_model::{
    ConversationId, ConversationInfo, ConversationState, Draft, Event, EventBody, EventId,
    EventTime, ExecutionStatus, LogReader, Metadata, NewRecord, Record, Seq, Snapshot, StoreError,
    UtcTime,
    port::{Prefix, StagedConversation},
    usage::StatsSnapshot,
};
use serde_json::{Value, json};

use crate::{
    Runtime, RuntimeError,
    branch::{Branches, read_on},
    kept_files,
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
    /// settings are the same. The copy is idle. It is there as a whole once this returns, and not before.
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
    if runtime.state().is_stopping() {
        return Err(RuntimeError::Stopping);
    }
    let original = runtime.open(id).await?.live;
    let now = original.now();
    let log = original.log.as_ref();
    let path = match &fork.from {
        None => None,
        Some(event) => {
            let path = Branches::read(log, now.extent.len).await?.to(event);
            Some(path.ok_or_else(|| RuntimeError::UnknownEvent(event.clone()))?)
        }
    };
    let metadata = metadata_of(&now.metadata, &now.state, &fork);
    let prefix = path.is_none().then(|| Prefix {
        of: now.metadata.key(),
        extent: now.extent,
    });
    let store = &runtime.state().store;
    let staged = store.stage(metadata.id, prefix).await.map_err(refused)?;
    let mut copy = Copy {
        state: ConversationState::new(&metadata),
        metadata,
        staged,
    };
    match &path {
        // The same lines lead to the same state.
        None => copy.state = ConversationState::clone(&now.state),
        Some(path) => copy.fill(log, now.extent.len, path, &fork).await?,
    }
    let title = path
        .is_none()
        .then(|| now.metadata.title.as_ref())
        .flatten();
    copy.finish(title, &fork).await?;
    let id = copy.publish().await?;
    // Those of the original may be ahead of what is copied. What a crash prevents is done before the first turn.
    let live = runtime.open(id).await?.live;
    kept_files::restore(&live).await;
    runtime.info(id).await
}

fn refused(error: StoreError) -> RuntimeError {
    if let StoreError::Exists(id) = error {
        return RuntimeError::IdTaken(id);
    }
    error.into()
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
    metadata
}

/// The conversation that is being made. Nobody sees it before it is published; dropped before, it leaves nothing.
struct Copy {
    staged: Box<dyn StagedConversation>,
    metadata: Metadata,
    state: ConversationState,
}

impl Copy {
    /// Copies the events on `path`. State updates are on none; of them only what was spent is copied, if it is
    /// to be kept.
    async fn fill(
        &mut self,
        log: &dyn LogReader,
        len: Seq,
        path: &HashSet<EventId>,
        fork: &Fork,
    ) -> Result<(), RuntimeError> {
        let is_copied = |event: &Event| {
            if let EventBody::ConversationStateUpdateEvent(update) = &event.body {
                fork.keep_metrics && matches!(update.key.as_str(), "stats" | "spent_before")
            } else {
                path.contains(&event.id)
            }
        };
        let mut next = Seq(0);
        while next < len {
            let mut copied = Vec::new();
            for record in read_on(log, &mut next, len).await? {
                let Ok(event) = record.event() else { continue };
                if is_copied(&event) {
                    self.state.apply(&event);
                    copied.push(new_record(record));
                }
            }
            self.staged.append(copied).await?;
        }
        Ok(())
    }

    /// Appends what makes it a conversation of its own: idle, without open calls, and with its own title, tags and
    /// costs. `title`: the one that the copied events tell of.
    async fn finish(&mut self, title: Option<&String>, fork: &Fork) -> Result<(), RuntimeError> {
        let mut last = Vec::new();
        if !self.state.pending.is_empty() {
            // HEAD stays where it is, and what was not answered is not called.
            let head = self.state.leaf_event_id.as_ref().map(|event| &event.0);
            last.push(Draft::state("leaf_event_id", json!(head)));
        }
        if let Some(goal) = self.state.goal.as_ref().filter(|goal| goal.active) {
            // Nobody works towards it here; it can be resumed.
            last.push(Draft::state("goal", json!(goal.interrupted())));
        }
        if !self.state.queued.is_empty() {
            // They are for the original.
            last.push(Draft::state("queued_messages", json!([])));
        }
        if self.state.waiting.is_some() {
            last.push(Draft::state("waiting", Value::Null));
        }
        if self.state.execution_status != ExecutionStatus::Idle {
            let idle = ExecutionStatus::Idle.as_str();
            last.push(Draft::state("execution_status", idle));
        }
        if title.is_some() && title != fork.title.as_ref() {
            last.push(Draft::state("title", json!(fork.title)));
        }
        if fork
            .tags
            .as_ref()
            .is_some_and(|tags| *tags != self.state.tags)
        {
            last.push(Draft::state("tags", json!(fork.tags)));
        }
        let mut records = Vec::new();
        for draft in last {
            records.push(self.applied(draft)?);
        }
        if !fork.keep_metrics {
            if !self.state.stats.usage_to_metrics.is_empty() {
                let nothing = json!(StatsSnapshot::default());
                records.push(self.applied(Draft::state("stats", nothing))?);
            }
            // Beside costs also calls and time, which no total in the log says.
            let spent = json!(self.state.spent_in_all());
            records.push(self.applied(Draft::state("spent_before", spent))?);
        }
        Ok(self.staged.append(records).await?)
    }

    fn applied(&mut self, draft: Draft) -> Result<NewRecord, RuntimeError> {
        let time = EventTime::now_after(self.state.last_timestamp);
        let event = draft.at(time, self.state.leaf_event_id.clone());
        self.state.apply(&event);
        let encoded = NewRecord::encode(&event);
        encoded.map_err(|error| RuntimeError::Internal(error.to_string()))
    }

    async fn publish(mut self) -> Result<ConversationId, RuntimeError> {
        let summary = summary(&self.state, &self.metadata);
        self.metadata.snapshot = Some(Snapshot {
            extent: self.staged.extent(),
            state: self.state,
        });
        let published = self.staged.publish(&self.metadata, summary).await;
        published.map_err(refused)?;
        Ok(self.metadata.id)
    }
}

fn new_record(record: Record) -> NewRecord {
    NewRecord {
        head: record.head,
        bytes: record.bytes,
    }
}
