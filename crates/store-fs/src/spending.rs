//! `.spending`: what conversations have spent and may spend. A line has what was spent on a day by one API
//! key's conversations in all, or the limits; the last one of each counts. Lines are added, and once they
//! take much room, the file is replaced by one with those that count.

#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use core_model::{
    StoreError,
    port::SpendingRecord,
    shared_budget::{DaySpending, SharedBudgets, SpendingByDay},
};
use serde::{Deserialize, Serialize};

use crate::{
    append_file::AppendFile,
    disk::Disk,
    error::{io_at, lock},
    meta::replace,
};

/// Bytes beyond those that count after which the file is replaced.
const GARBAGE: u64 = 256 * 1024;

pub(crate) struct SpendingFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<Option<Loaded>>,
}

struct Loaded {
    record: SpendingRecord,
    file: AppendFile,
    /// How many of the file's bytes count, when it was last replaced or read.
    useful: u64,
    /// Since a write failed, the file may lack what it was given before.
    unsure: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Day(DaySpending),
    Budgets { budgets: Option<SharedBudgets> },
}

impl SpendingFile {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self {
            disk,
            path,
            state: Mutex::default(),
        }
    }

    /// As [`core_model::port::SpendingRecords::spending`]. Blocks, as do the others.
    pub(crate) fn read(&self) -> Result<SpendingRecord, StoreError> {
        let mut state = lock(&self.state);
        if state.is_none() && !self.disk.exists(&self.path) {
            return Ok(SpendingRecord::default());
        }
        let loaded = self.loaded(&mut state).map_err(io_at(&self.path))?;
        Ok(loaded.record.clone())
    }

    pub(crate) fn add(&self, added: Vec<DaySpending>) -> Result<(), StoreError> {
        self.change(|record| {
            let totals = added.into_iter().map(|added| record.by_day.add(added));
            totals.map(Line::Day).collect()
        })
    }

    pub(crate) fn set_budgets(&self, budgets: Option<SharedBudgets>) -> Result<(), StoreError> {
        self.change(|record| {
            record.budgets.clone_from(&budgets);
            vec![Line::Budgets { budgets }]
        })
    }

    /// Changes the record once the lines that say so are durable.
    fn change(
        &self,
        change: impl FnOnce(&mut SpendingRecord) -> Vec<Line>,
    ) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        let written = self.loaded(&mut state).and_then(|loaded| {
            if loaded.unsure {
                self.shorten(loaded)?;
            }
            let mut changed = loaded.record.clone();
            let lines = encode(&change(&mut changed))?;
            let written = loaded.file.append_durably(&lines);
            if written.is_ok() {
                loaded.record = changed;
            } else {
                loaded.unsure = true;
            }
            written
        });
        let long = |loaded: &&mut Loaded| loaded.file.end() > 2 * loaded.useful + GARBAGE;
        if let Some(loaded) = state.as_mut().filter(long)
            && let Err(error) = self.shorten(loaded)
        {
            tracing::warn!(path = %self.path.display(), %error, "the file stays long");
        }
        written.map_err(io_at(&self.path))
    }

    fn loaded<'a>(
        &self,
        state: &'a mut MutexGuard<'_, Option<Loaded>>,
    ) -> io::Result<&'a mut Loaded> {
        let loaded = match state.take() {
            Some(loaded) => loaded,
            None => self.load()?,
        };
        Ok(state.insert(loaded))
    }

    fn load(&self) -> io::Result<Loaded> {
        if !self.disk.exists(&self.path) {
            replace(self.disk.as_ref(), &self.path, b"")?;
        }
        let mut record = SpendingRecord::default();
        let file = AppendFile::open_lines(self.disk.as_ref(), &self.path, |text, offset| {
            match serde_json::from_slice(text) {
                Ok(Line::Day(total)) => record.by_day.set(total),
                Ok(Line::Budgets { budgets }) => record.budgets = budgets,
                Err(error) => {
                    tracing::warn!(
                        path = %self.path.display(), offset, %error,
                        "a line that does not say what was spent is skipped"
                    );
                }
            }
        })?;
        let useful = lines_of(&record)?.len() as u64;
        Ok(Loaded {
            record,
            file,
            useful,
            unsure: false,
        })
    }

    /// Replaces the file with one of the lines that count.
    fn shorten(&self, loaded: &mut Loaded) -> io::Result<()> {
        // Until it is done: the open file may not be the one of that name any more.
        loaded.unsure = true;
        replace(self.disk.as_ref(), &self.path, &lines_of(&loaded.record)?)?;
        *loaded = self.load()?;
        Ok(())
    }
}

fn lines_of(record: &SpendingRecord) -> io::Result<Vec<u8>> {
    let SpendingRecord { by_day, budgets } = record;
    let mut lines: Vec<Line> = days(by_day).collect();
    if budgets.is_some() {
        let budgets = budgets.clone();
        lines.push(Line::Budgets { budgets });
    }
    encode(&lines)
}

fn days(by_day: &SpendingByDay) -> impl Iterator<Item = Line> {
    by_day.days().map(Line::Day)
}

fn encode(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}
