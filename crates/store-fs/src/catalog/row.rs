//! A row of the list, in memory and on disk.

use chrono::DateTime;
use core_model::{ConversationId, ExecutionStatus, Extent, Row, Seq, UtcTime};

/// By their numbers on disk: only ever add at the end.
pub(crate) const STATUSES: [ExecutionStatus; 8] = [
    ExecutionStatus::Idle,
    ExecutionStatus::Running,
    ExecutionStatus::Paused,
    ExecutionStatus::WaitingForConfirmation,
    ExecutionStatus::Finished,
    ExecutionStatus::Error,
    ExecutionStatus::Stuck,
    ExecutionStatus::Deleting,
];
/// Bytes before the JSON of an entry of `.infos`.
pub(crate) const CRC: usize = 4;

/// Where `.infos` has what lists show of a conversation, and how long it is; 0 long: nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) len: u32,
}

/// A row without its id. Times are microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compact {
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) len: u64,
    pub(crate) bytes: u64,
    /// Its number in [`STATUSES`].
    pub(crate) status: u8,
}

impl Compact {
    pub(crate) fn row(&self, id: ConversationId) -> Row {
        Row {
            id,
            created_at: time(self.created),
            updated_at: time(self.updated),
            status: self.status(),
            extent: Extent {
                len: Seq(self.len),
                version: self.bytes,
            },
            bytes: self.bytes,
        }
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        STATUSES[usize::from(self.status) % STATUSES.len()]
    }
}

impl From<&Row> for Compact {
    fn from(row: &Row) -> Self {
        let status = STATUSES.iter().position(|status| *status == row.status);
        Self {
            created: row.created_at.0.timestamp_micros(),
            updated: row.updated_at.0.timestamp_micros(),
            len: row.extent.len.0,
            bytes: row.bytes,
            status: status.unwrap_or_default() as u8,
        }
    }
}

impl Place {
    /// What it takes up, its checksum included.
    pub(super) fn bytes(self) -> u64 {
        match self.len {
            0 => 0,
            len => u64::from(len) + CRC as u64,
        }
    }
}

fn time(micros: i64) -> UtcTime {
    UtcTime(DateTime::from_timestamp_micros(micros).unwrap_or_default())
}
