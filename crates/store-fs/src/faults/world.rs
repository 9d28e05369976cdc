//! A store on a simulated disk, and what it has acknowledged: that has to be there after whatever
//! happens, and nothing else but what was tried and not acknowledged.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use chrono::DateTime;
use core_model::{
    Claims, ConversationId, ConversationKey, EventTime, ExecutionStatus, Head, Metadata, NewRecord,
    Seq, Source, StoreError, Summary, UtcTime,
    port::{Claim, Claimed},
};
use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{
    disk::{Machine, SimDisk},
    receipts::Requests,
};
use crate::{AppendError, FsLog, FsStore, Options, deletion::Deletion, disk::Disk};

pub(super) const ROOT: &str = "/store";
pub(super) const DELIVERIES: &str = "/webhooks";

pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) disk: Arc<SimDisk>,
    pub(super) store: FsStore,
    pub(super) expected: BTreeMap<ConversationId, Expected>,
    pub(super) requests: Requests,
    pub(super) logs: HashMap<ConversationId, FsLog>,
    pub(super) runtime: Runtime,
    made: u64,
    /// Whether deleted conversations wait in an outbox.
    keeps: bool,
}

/// What is known of one conversation from outside.
pub(super) struct Expected {
    pub(super) presence: Presence,
    /// What its metadata may be: the last acknowledged, and what was tried since.
    pub(super) metadata: Vec<Metadata>,
    /// The acknowledged lines, and those once seen; none where a line is damaged.
    pub(super) lines: Vec<Option<Bytes>>,
    /// Those that were tried and not acknowledged.
    pub(super) tried: Vec<Bytes>,
    /// Whether it was tried to take it out of the outbox.
    pub(super) discarded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    There,
    Gone,
    /// It was tried to make or to delete it.
    Unsure,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let machine = Machine::new(seed, &[Path::new(ROOT)]);
        let disk = machine.boot();
        Self {
            store: open(&disk).unwrap(),
            machine,
            disk,
            expected: BTreeMap::new(),
            requests: Requests::default(),
            logs: HashMap::new(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            made: 0,
            keeps: false,
        }
    }

    /// One whose deleted conversations wait in an outbox.
    pub(super) fn with_outbox(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.keeps = true;
        world
            .store
            .keep_deliveries_in(Path::new(DELIVERIES))
            .unwrap();
        world
    }

    /// The conversation with this number, if so many were tried to be made.
    pub(super) fn id(&self, number: usize) -> Option<ConversationId> {
        let count = self.expected.len();
        self.expected.keys().nth(number % count.max(1)).copied()
    }

    pub(super) fn create(&mut self) -> Result<ConversationId, StoreError> {
        self.made += 1;
        let id = ConversationId(Uuid::from_u128(u128::from(self.made)));
        let metadata = metadata(id, 0);
        let can_fail = self.can_fail();
        let made = self.store.0.create(&metadata);
        self.may_fail(&made, can_fail);
        let expected = Expected {
            presence: presence(&made, Presence::There),
            metadata: vec![metadata],
            lines: Vec::new(),
            tried: Vec::new(),
            discarded: false,
        };
        self.expected.insert(id, expected);
        made.map(|()| id)
    }

    pub(super) fn set_metadata(&mut self, id: ConversationId) {
        self.made += 1;
        let metadata = metadata(id, self.made);
        let can_fail = self.can_fail() || !self.is_there(id);
        let set = self.store.0.set_metadata_if(&metadata, || Ok(()));
        self.may_fail(&set, can_fail);
        let expected = self.expected.get_mut(&id).unwrap();
        if set.is_ok() {
            expected.presence = Presence::There;
            expected.metadata.clear();
        }
        expected.metadata.push(metadata);
    }

    pub(super) fn delete(&mut self, id: ConversationId) {
        let there = self.is_there(id);
        let can_fail = self.can_fail() || !there;
        self.logs.remove(&id);
        let deleted = self.store.0.delete(id, &Deletion::default());
        self.may_fail(&deleted, can_fail);
        let expected = self.expected.get_mut(&id).unwrap();
        let gone = matches!(deleted, Ok(()) | Err(StoreError::NotFound(_)));
        if gone {
            assert!(expected.presence != Presence::There || deleted.is_ok());
            expected.presence = Presence::Gone;
        } else if expected.presence == Presence::There {
            expected.presence = Presence::Unsure;
        }
    }

    /// Takes a deleted conversation out of the outbox.
    pub(super) fn discard(&mut self, id: ConversationId) {
        let Some(deliveries) = self.store.0.deliveries.get() else {
            return;
        };
        if self.expected[&id].presence == Presence::Gone {
            self.expected.get_mut(&id).unwrap().discarded = true;
            let can_fail = self.can_fail();
            let discarded = deliveries.outbox.discard(key_of(id));
            self.may_fail(&discarded, can_fail);
        }
    }

    pub(super) fn log(&mut self, id: ConversationId) -> Option<FsLog> {
        if let Some(log) = self.logs.get(&id) {
            return Some(log.clone());
        }
        let can_fail = self.can_fail() || !self.is_there(id);
        let opened = self.store.0.open_log(id);
        self.may_fail(&opened, can_fail);
        let log = opened.ok()?;
        self.settle(id, &log);
        self.logs.insert(id, log.clone());
        Some(log)
    }

    /// Appends so many events, and checks what became of them.
    pub(super) fn append(&mut self, id: ConversationId, count: usize, expect: bool) -> bool {
        let Some(log) = self.log(id) else {
            return false;
        };
        let records = self.records(count);
        let can_fail = self.can_fail();
        let len = self.expected[&id].lines.len() as u64;
        let appended = if expect {
            self.append_by_right(id, records.clone())
        } else {
            log.append_blocking(&records, None)
        };
        self.may_fail(&appended, can_fail);
        self.appended(id, records, &appended);
        if let Ok(found) = appended {
            assert_eq!(found.0, len + count as u64);
        } else if !self.is_dead() && self.is_there(id) {
            self.check_poisoned(&log);
        }
        self.check_visible(id, &log);
        appended.is_ok()
    }

    pub(super) fn append_to_wrong_end(&mut self, id: ConversationId) {
        let Some(log) = self.log(id) else { return };
        let records = self.records(1);
        let len = self.expected[&id].lines.len() as u64;
        let can_fail = self.can_fail();
        let refused = log.append_blocking(&records, Some(Seq(len + 1)));
        match refused {
            Err(AppendError::Conflict { expected, found }) => {
                assert_eq!((expected.0, found.0), (len + 1, len));
            }
            Err(AppendError::Store(StoreError::Poisoned(_))) => assert!(can_fail),
            Err(AppendError::Store(StoreError::NotFound(_))) => assert!(!self.is_there(id)),
            other => panic!("{other:?}"),
        }
    }

    /// Appends from several threads at once, to one log each.
    pub(super) fn append_together(&mut self, ids: &[ConversationId], batches: usize) {
        let can_fail = self.can_fail();
        let mut work = Vec::new();
        for id in ids {
            if let Some(log) = self.log(*id) {
                let batches = (0..batches).map(|at| self.records(1 + at % 3));
                let batches: Vec<_> = batches.collect();
                work.push((*id, log, batches));
            }
        }
        let results: Vec<Vec<_>> = thread::scope(|scope| {
            let threads: Vec<_> = work
                .iter()
                .map(|(_, log, batches)| {
                    scope.spawn(move || {
                        let one = |batch: &Vec<NewRecord>| log.append_blocking(batch, None);
                        batches.iter().map(one).collect::<Vec<_>>()
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        // By where they ended, so that the lines of one log come in their order.
        let mut ended = Vec::new();
        for ((id, _, batches), results) in work.iter().zip(results) {
            for (records, result) in batches.iter().zip(results) {
                self.may_fail(&result, can_fail);
                ended.push((*id, records.clone(), result));
            }
        }
        ended.sort_by_key(|(_, _, result)| result.as_ref().map_or(u64::MAX, |len| len.0));
        for (id, records, result) in ended {
            self.appended(id, records, &result);
            if let Ok(len) = result {
                assert_eq!(self.expected[&id].lines.len() as u64, len.0);
            }
        }
        for (id, log, _) in &work {
            self.check_visible(*id, log);
        }
    }

    /// Has the list tell of the whole log, as the runtime does with what a crash left.
    pub(super) fn note(&mut self, id: ConversationId) {
        if let Some(log) = self.log(id)
            && self.is_there(id)
        {
            drop(log);
            self.append_by_right(id, Vec::new()).ok();
        }
    }

    /// Appends as the runtime does: by right of a claim, with what the list is to show.
    fn append_by_right(
        &self,
        id: ConversationId,
        records: Vec<NewRecord>,
    ) -> Result<Seq, AppendError> {
        let summary = Summary {
            status: ExecutionStatus::Idle,
            updated_at: UtcTime::now(),
        };
        self.runtime.block_on(async {
            let mut claim = self.claim(id).await?;
            Ok(claim.log.append(records, summary).await?.len)
        })
    }

    async fn claim(&self, id: ConversationId) -> Result<Claim, StoreError> {
        match self.store.claim(id).await? {
            Claimed::Mine(claim) => Ok(claim),
            Claimed::Theirs(holder) => panic!("{holder:?} has it"),
        }
    }

    pub(super) fn close_logs(&mut self) {
        self.logs.clear();
    }

    pub(super) fn lift_faults(&mut self) {
        self.machine
            .plan(|plan| *plan = super::plan::Plan::default());
    }

    /// With nothing wrong any more, every log takes events again, without being opened again.
    pub(super) fn restore(&mut self) {
        self.lift_faults();
        if self.is_dead() {
            self.reopen(false);
        }
        let ids: Vec<ConversationId> = self.expected.keys().copied().collect();
        for id in ids
            .into_iter()
            .filter(|id| self.is_there(*id))
            .collect::<Vec<_>>()
        {
            assert!(self.append(id, 1, true));
        }
    }

    /// Opens the store again, after the process was killed, if it was not closed cleanly.
    pub(super) fn reopen(&mut self, in_order: bool) {
        if in_order {
            self.logs.clear();
            // Nothing may come after the close.
            let empty = Machine::new(0, &[Path::new(ROOT)]);
            self.store = open(&empty.boot()).unwrap();
        }
        self.disk = self.machine.boot();
        self.logs.clear();
        let can_fail = self.can_fail();
        self.store = match self.open() {
            Ok(store) => store,
            Err(error) => {
                assert!(can_fail, "{error}");
                self.lift_faults();
                self.disk = self.machine.boot();
                self.open().unwrap()
            }
        };
    }

    /// All that was not synced is lost.
    pub(super) fn check_after_power_cut(&mut self) {
        self.machine.cut_power_and_drop_all();
        self.reopen(false);
        self.check();
    }

    fn open(&self) -> std::io::Result<FsStore> {
        let store = open(&self.disk)?;
        if self.keeps {
            store.keep_deliveries_in(Path::new(DELIVERIES))?;
        }
        Ok(store)
    }

    fn appended(
        &mut self,
        id: ConversationId,
        records: Vec<NewRecord>,
        result: &Result<Seq, AppendError>,
    ) {
        let expected = self.expected.get_mut(&id).unwrap();
        let lines = records.into_iter().map(|record| record.bytes);
        match result {
            Ok(_) => {
                expected.presence = Presence::There;
                expected.lines.extend(lines.map(Some));
            }
            Err(_) => expected.tried.extend(lines),
        }
    }

    pub(super) fn records(&mut self, count: usize) -> Vec<NewRecord> {
        let from = self.made;
        self.made += count as u64;
        (from..self.made).map(record).collect()
    }

    pub(super) fn is_there(&self, id: ConversationId) -> bool {
        self.expected[&id].presence == Presence::There
    }

    pub(super) fn can_fail(&self) -> bool {
        self.machine.can_fail(&self.disk)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.disk.names(Path::new("/")).is_err()
    }

    fn may_fail<T, E: std::fmt::Display>(&self, result: &Result<T, E>, can_fail: bool) {
        if let Err(error) = result {
            assert!(can_fail, "nothing was wrong with the disk: {error}");
        }
    }
}

pub(super) fn open(disk: &Arc<SimDisk>) -> std::io::Result<FsStore> {
    let disk = Arc::clone(disk);
    FsStore::open_on(
        disk,
        Path::new(ROOT),
        Options::default(),
        Duration::ZERO,
        None,
    )
}

/// An event of 150 to 700 bytes.
pub(crate) fn record(number: u64) -> NewRecord {
    let time = DateTime::from_timestamp_micros(1_700_000_000_000_000 + number as i64).unwrap();
    let head = Head {
        id: Uuid::from_u128(u128::from(number))
            .to_string()
            .as_str()
            .into(),
        kind: "PauseEvent".into(),
        source: Source::User,
        timestamp: EventTime::from(time),
    };
    let line = json!({
        "id": head.id, "timestamp": head.timestamp, "source": "user", "kind": head.kind,
        "text": "x".repeat((number * 97 % 550) as usize),
    });
    NewRecord {
        head,
        bytes: line.to_string().into(),
    }
}

/// All metadata here have the same time.
pub(super) fn key_of(id: ConversationId) -> ConversationKey {
    let created_at = metadata(id, 0).created_at;
    ConversationKey { id, created_at }
}

fn presence(result: &Result<(), StoreError>, done: Presence) -> Presence {
    match result {
        Ok(()) => done,
        Err(_) => Presence::Unsure,
    }
}

/// Metadata whose fields all tell the version.
fn metadata(id: ConversationId, version: u64) -> Metadata {
    serde_json::from_value(json!({
        "format": 1, "id": id, "created_at": "2026-11-22T19:31:36.469689Z",
        "title": version.to_string(), "agent": {"kind": "Agent", "version": version},
        "workspace": {"working_dir": "workspace/project", "kind": "LocalWorkspace"},
        "max_iterations": version, "stuck_detection": true,
        "confirmation_policy": {"kind": "NeverConfirm"}, "security_analyzer": null,
        "hook_config": null, "tags": {"version": version.to_string()}, "secrets": {},
        "client_tools": [], "tool_module_qualnames": {}, "user_id": null, "autotitle": true,
        "parent_conversation_id": null, "forked_from_conversation_id": null,
        "forked_from_event_id": null, "snapshot": null,
    }))
    .unwrap()
}
