//! Random calls, and after each of them what a plain model says.

use std::collections::BTreeMap;

use core_model::{
    ConversationId, ExecutionStatus, Extent, HeadFilter, Metadata, NewRecord, Seq, Store,
    StoreError,
    port::{Change, Claim, FeedEntry, ListQuery},
};
use proptest::{prelude::*, test_runner::TestCaseError};
use tokio::runtime::Builder;
use uuid::Uuid;

use super::{
    Subject,
    fixture::{metadata, moment, records, summary},
    steps::{as_read, claim, feed_from, log_of},
};
use crate::Tested;

/// What is done to one of a few conversations.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Claim(u8),
    Append(u8, u8, ExecutionStatus),
    SetTitle(u8, u8),
    Release(u8),
    /// By the writer whose claim was lost.
    AppendLate(u8),
    Delete(u8),
    Begin(u8, u8),
    Finish(u8),
    Forget(u8),
    Reopen,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let statuses = prop::sample::select(vec![
        ExecutionStatus::Idle,
        ExecutionStatus::Running,
        ExecutionStatus::Finished,
        ExecutionStatus::Stuck,
    ]);
    let which = || 0..4_u8;
    prop_oneof![
        3 => which().prop_map(Step::Create),
        4 => which().prop_map(Step::Claim),
        9 => (which(), 0..6_u8, statuses).prop_map(|(of, count, status)| Step::Append(of, count, status)),
        2 => (which(), any::<u8>()).prop_map(|(of, title)| Step::SetTitle(of, title)),
        1 => which().prop_map(Step::Release),
        1 => which().prop_map(Step::AppendLate),
        1 => which().prop_map(Step::Delete),
        1 => (0..3_u8, any::<u8>()).prop_map(|(key, request)| Step::Begin(key, request)),
        1 => (0..3_u8).prop_map(Step::Finish),
        1 => (0..3_u8).prop_map(Step::Forget),
        1 => Just(Step::Reopen),
        1 => Just(Step::Close),
    ]
}

#[derive(Default)]
struct Model {
    conversations: BTreeMap<ConversationId, Conversation>,
    feed: Vec<(ConversationId, u64, Change)>,
    receipts: BTreeMap<u8, (u8, bool)>,
    made: u64,
}

struct Conversation {
    metadata: Metadata,
    /// Tells it from others of its id: when it was made.
    made: u64,
    records: Vec<NewRecord>,
    status: ExecutionStatus,
    updated: u64,
}

/// The store, the model, and what is held of the store.
struct World {
    subject: Option<Tested>,
    model: Model,
    claims: BTreeMap<u8, Claim>,
    /// Claims that were lost.
    late: BTreeMap<u8, Claim>,
    /// Every extent that a conversation ever had.
    extents: BTreeMap<(ConversationId, u64), Vec<Extent>>,
}

fn id(of: u8) -> ConversationId {
    ConversationId(Uuid::from_u128(u128::from(of) + 1))
}

impl World {
    fn new() -> Self {
        Self {
            subject: Some(Tested::empty()),
            model: Model::default(),
            claims: BTreeMap::new(),
            late: BTreeMap::new(),
            extents: BTreeMap::new(),
        }
    }

    fn store(&self) -> &dyn Store {
        self.subject.as_ref().unwrap().store().as_ref()
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Create(of) => self.create(of).await?,
            Step::Claim(of) if self.model.conversations.contains_key(&id(of)) => {
                let claim = claim(self.store(), id(of)).await;
                self.lose(of);
                self.claims.insert(of, claim);
            }
            Step::Claim(of) => {
                let refused = self.store().claim(id(of)).await.map(drop);
                prop_assert!(matches!(refused, Err(StoreError::NotFound(_))));
            }
            Step::Append(of, count, status) => self.append(of, u64::from(count), status).await?,
            Step::SetTitle(of, title) => {
                if let (Some(claim), Some(found)) = (
                    self.claims.get_mut(&of),
                    self.model.conversations.get_mut(&id(of)),
                ) {
                    found.metadata.title = Some(title.to_string());
                    claim.log.set_metadata(&found.metadata).await.unwrap();
                }
            }
            Step::Release(of) => drop(self.claims.remove(&of)),
            Step::AppendLate(of) => {
                if let Some(claim) = self.late.get_mut(&of) {
                    let summary = summary(ExecutionStatus::Error, 1);
                    let refused = claim.log.append(records(0..2), summary).await;
                    prop_assert!(matches!(refused, Err(StoreError::Fenced)));
                }
            }
            Step::Delete(of) => {
                let deleted = self.store().delete(id(of)).await;
                let found = self.model.conversations.remove(&id(of));
                prop_assert_eq!(deleted.is_ok(), found.is_some());
                if let Some(found) = found {
                    self.lose(of);
                    self.model.feed.push((id(of), found.made, Change::Deleted));
                }
            }
            Step::Begin(key, request) => {
                let receipt = self.store().begin([key; 32], [request; 32]).await.unwrap();
                let known = self.model.receipts.get(&key).copied();
                prop_assert_eq!(receipt.begun, known.is_some());
                let (request, answered) = known.unwrap_or((request, false));
                prop_assert_eq!(receipt.request, [request; 32]);
                prop_assert_eq!(receipt.answer.is_some(), answered);
                self.model.receipts.insert(key, (request, answered));
            }
            Step::Finish(key) => {
                if let Some(known) = self.model.receipts.get_mut(&key) {
                    known.1 = true;
                    let answer = vec![key].into();
                    self.store().finish([key; 32], answer).await.unwrap();
                }
            }
            Step::Forget(key) => {
                self.model.receipts.remove(&key);
                self.store().forget([key; 32]).await.unwrap();
            }
            Step::Reopen => {
                self.claims.clear();
                self.late.clear();
                self.subject = self.subject.take().map(Subject::reopen);
            }
            Step::Close => {
                self.store().close().await.unwrap();
                self.late.append(&mut self.claims);
            }
        }
        Ok(())
    }

    async fn create(&mut self, of: u8) -> Result<(), TestCaseError> {
        let made = self.model.made;
        self.model.made += 1;
        let mut metadata = metadata(made);
        metadata.id = id(of);
        let created = self.store().create(&metadata).await;
        if self.model.conversations.contains_key(&id(of)) {
            prop_assert!(matches!(created, Err(StoreError::Exists(_))));
            return Ok(());
        }
        prop_assert!(created.is_ok());
        let conversation = Conversation {
            metadata,
            made,
            records: Vec::new(),
            status: ExecutionStatus::Idle,
            updated: made,
        };
        self.model.conversations.insert(id(of), conversation);
        self.model.feed.push((id(of), made, Change::Created));
        self.extents.insert((id(of), made), vec![Extent::default()]);
        Ok(())
    }

    async fn append(
        &mut self,
        of: u8,
        count: u64,
        status: ExecutionStatus,
    ) -> Result<(), TestCaseError> {
        let Some(claim) = self.claims.get_mut(&of) else {
            return Ok(());
        };
        let found = self.model.conversations.get_mut(&id(of)).unwrap();
        let from = found.records.len() as u64;
        let more = records(from..from + count);
        found.records.extend(more.clone());
        found.status = status;
        found.updated = from + count;
        let summary = summary(status, found.updated);
        let extent = claim.log.append(more, summary).await.unwrap();
        prop_assert_eq!(extent.len, Seq(from + count));
        if count > 0 {
            let (from, to) = (Seq(from), extent.len);
            let change = Change::Appended { from, to };
            self.model.feed.push((id(of), found.made, change));
            let extents = self.extents.entry((id(of), found.made));
            extents.or_default().push(extent);
        }
        Ok(())
    }

    /// The claim of a conversation, if there is one, is lost.
    fn lose(&mut self, of: u8) {
        if let Some(claim) = self.claims.remove(&of) {
            self.late.insert(of, claim);
        }
    }

    async fn compare(&self) -> Result<(), TestCaseError> {
        let store = self.store();
        let query = ListQuery {
            status: None,
            first: None,
            limit: 100,
            order: core_model::ConversationOrder::Created,
        };
        let listed = store.list(&query).await.unwrap().rows;
        let mut made: Vec<_> = self.model.conversations.iter().collect();
        made.sort_by_key(|(_, found)| found.made);
        let ids: Vec<ConversationId> = made.iter().map(|(id, _)| **id).collect();
        prop_assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
        for (row, (id, found)) in listed.iter().zip(made) {
            prop_assert_eq!(store.row(*id).await.unwrap(), Some(*row));
            prop_assert_eq!(store.metadata(*id).await.unwrap(), found.metadata.clone());
            prop_assert_eq!(log_of(store, *id).await, as_read(&found.records));
            prop_assert_eq!(row.status, found.status);
            prop_assert_eq!(row.updated_at, moment(found.updated));
            let log = store.open(*id).await.unwrap();
            prop_assert_eq!(log.visible(), row.extent);
            let all = log.count(&HeadFilter::default()).await.unwrap();
            prop_assert_eq!(all, found.records.len() as u64);
            if let Some(last) = found.records.last() {
                let last = log.find(&last.head.id).await.unwrap();
                prop_assert_eq!(last, Some(Seq(all - 1)));
            }
            let extents = &self.extents[&(*id, found.made)];
            prop_assert!(extents.iter().all(|extent| log.had(*extent)));
        }
        for status in [ExecutionStatus::Idle, ExecutionStatus::Running] {
            let of_status = self.model.conversations.values();
            let count = of_status.filter(|found| found.status == status).count();
            prop_assert_eq!(store.count(Some(status)).await.unwrap(), count as u64);
        }
        for of in 0..4 {
            let holder = store.holder(id(of)).await.unwrap();
            prop_assert_eq!(holder.is_some(), self.claims.contains_key(&of));
        }
        let told = feed_from(store, 0).await;
        let told = told
            .iter()
            .map(|entry: &FeedEntry| (entry.conversation, entry.created_at, entry.change));
        let expected = self.model.feed.iter();
        let expected = expected.map(|(id, made, change)| (*id, moment(*made), *change));
        prop_assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: Tested::CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_does_what_a_plain_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in &steps {
                world.take(step).await?;
                world.compare().await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
