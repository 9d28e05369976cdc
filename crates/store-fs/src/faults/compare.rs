//! What is found, beside what was acknowledged.

use std::path::Path;

use bytes::Bytes;
use core_model::{
    Catalog, ConversationId, ConversationOrder, Limit, LogReader, Record, Row, Seq, StoreError,
    port::ListQuery,
};

use super::world::{Presence, ROOT, World, key_of};
use crate::{
    AppendError, FsLog, Report, check, disk::Disk, layout, verify::IndexState, verify::verify_on,
};

impl World {
    /// Opens everything and compares it with what was acknowledged.
    pub(super) fn check(&mut self) {
        self.lift_faults();
        if self.is_dead() {
            self.reopen(false);
        }
        for id in check::check(&self.store.0).unwrap() {
            self.note(id);
        }
        let ids: Vec<ConversationId> = self.expected.keys().copied().collect();
        for id in ids {
            self.check_one(id);
        }
        let listed: Vec<Row> = self.store.0.context.catalog.list(&everything()).rows;
        let mut folders: Vec<ConversationId> = self
            .disk
            .names(Path::new(ROOT))
            .unwrap()
            .iter()
            .filter_map(|name| layout::conversation(name.to_str()?))
            .collect();
        folders.sort_unstable();
        let mut ids: Vec<ConversationId> = listed.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, folders, "the list is what is there");
        for row in listed {
            let lines = self.expected[&row.id].lines.len() as u64;
            if !self.logs.contains_key(&row.id) {
                assert_eq!(row.extent.len, Seq(lines));
            }
        }
        self.requests.check(&self.store.0);
    }

    fn check_one(&mut self, id: ConversationId) {
        let folder = layout::folder(Path::new(ROOT), id);
        let there = self.disk.exists(&folder);
        let expected = self.expected.get_mut(&id).unwrap();
        match expected.presence {
            Presence::There => assert!(there, "an acknowledged conversation is gone"),
            Presence::Gone => assert!(!there, "a deleted conversation is back"),
            Presence::Unsure if there => expected.presence = Presence::There,
            Presence::Unsure => expected.presence = Presence::Gone,
        }
        if !there {
            self.check_deleted(id);
            return;
        }
        let mut found = self.store.0.metadata(id).unwrap();
        found.torn.clear();
        let expected = self.expected.get_mut(&id).unwrap();
        assert!(
            expected.metadata.contains(&found),
            "the metadata are old or new: {found:?}"
        );
        let log = self.log(id).unwrap();
        self.settle(id, &log);
        let report = self.verify(id);
        assert!(
            matches!(report.index, IndexState::Right) && report.torn.is_none(),
            "{report:?}"
        );
        let damaged = self.expected[&id]
            .lines
            .iter()
            .filter(|line| line.is_none());
        assert_eq!(report.damaged.len(), damaged.count(), "{report:?}");
        assert_eq!(report.metadata, None);
    }

    /// A conversation that is gone waits with all its events, unless it was taken out.
    fn check_deleted(&mut self, id: ConversationId) {
        let Some(deliveries) = self.store.0.deliveries.get() else {
            return;
        };
        let waits = deliveries.outbox.list().unwrap();
        let waits = waits.iter().any(|one| one.conversation == key_of(id));
        let expected = self.expected.get_mut(&id).unwrap();
        if !waits {
            let empty = expected.lines.is_empty();
            assert!(empty || expected.discarded, "acknowledged events are gone");
            return;
        }
        let (mut found, log) = self.store.0.open_deleted(key_of(id)).unwrap();
        found.torn.clear();
        assert!(expected.metadata.contains(&found), "{found:?}");
        self.settle(id, &log);
        let refused = log.append_blocking(&self.records(1), None).unwrap_err();
        let gone = matches!(refused, AppendError::Store(StoreError::NotFound(_)));
        assert!(gone, "{refused}");
    }

    pub(super) fn verify(&self, id: ConversationId) -> Report {
        let folder = layout::folder(Path::new(ROOT), id);
        verify_on(self.disk.as_ref(), id, &folder, |_| {}).unwrap()
    }

    /// All records of a log.
    pub(super) fn read(&self, log: &FsLog) -> Result<Vec<Record>, StoreError> {
        let mut records: Vec<Record> = Vec::new();
        loop {
            let from = records.last().map_or(Seq(0), |last| last.seq.after(1));
            let page = self.runtime.block_on(log.read(from, Limit::records(7)))?;
            if page.is_empty() {
                return Ok(records);
            }
            records.extend(page);
        }
    }

    /// Compares a log that was opened just now: what was acknowledged, then some of what was tried.
    pub(super) fn settle(&mut self, id: ConversationId, log: &FsLog) {
        let can_fail = self.can_fail();
        let records = match self.read(log) {
            Ok(records) => records,
            Err(error) if can_fail => {
                assert!(self.is_dead(), "acknowledged events can be read: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let expected = self.expected.get_mut(&id).unwrap();
        let mut found = vec![None; log.len().index()];
        for record in records {
            found[record.seq.index()] = Some(record.bytes);
        }
        let known = expected.lines.len();
        assert!(
            found.starts_with(&expected.lines),
            "acknowledged lines of {id}: {:#?}\nfound: {:#?}",
            expected.lines,
            found
        );
        for line in found[known..].iter().flatten() {
            let at = expected.tried.iter().position(|tried| tried == line);
            let at = at.expect("a line that nobody wrote, or twice");
            expected.tried.remove(at);
        }
        expected.lines = found;
    }

    /// What is visible is what was acknowledged.
    pub(super) fn check_visible(&mut self, id: ConversationId, log: &FsLog) {
        let records = self.read(log);
        if self.is_dead() {
            return;
        }
        let expected = &self.expected[&id];
        assert_eq!(log.len().index(), expected.lines.len());
        let found: Vec<Bytes> = records
            .expect("reads continue")
            .into_iter()
            .map(|record| record.bytes)
            .collect();
        let lines: Vec<Bytes> = expected.lines.iter().flatten().cloned().collect();
        assert_eq!(found, lines);
    }

    pub(super) fn check_poisoned(&self, log: &FsLog) {
        if self.machine.stays_broken() && log.0.is_poisoned() {
            let why = self.store.health().ready.expect_err("a log is poisoned");
            // It names the first one.
            assert!(why.contains("takes no more events: "), "{why}");
        }
    }
}

fn everything() -> ListQuery {
    ListQuery {
        status: None,
        first: None,
        limit: usize::MAX,
        order: ConversationOrder::Created,
    }
}
