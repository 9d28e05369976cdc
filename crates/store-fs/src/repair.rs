//! Repairs what can be repaired, and keeps what was there.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path};

use chrono::Utc;
use core_model::StoreError;
use serde::Serialize;

use crate::{
    OpenError, Report,
    disk::RealDisk,
    error::io_at,
    layout,
    lock::FolderLock,
    meta::{read_metadata, write_metadata},
    notices::Notices,
    recovery,
    regular_file::{self, Links},
    verify::{IndexState, verify},
};

/// What [`repair`] did, or would do.
///
/// ```
#[doc = include_str!("example.txt")]
/// std::fs::remove_file(folder.join("events.idx"))?;
/// let done = store_fs::repair(&folder, true)?;
/// assert_eq!(done.steps, ["make the index"]);
/// assert!(done.after.is_some_and(|report| report.is_fine()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// What was found before.
    pub before: Report,
    /// One sentence each.
    pub steps: Vec<String>,
    /// What is found after; none for a dry run.
    pub after: Option<Report>,
}

/// Why nothing was repaired.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FsStore, OpenError, Options, RepairError, repair};
///
/// let server = FsStore::open(&root, Options::default())?;
/// let refused = repair(&folder, true);
/// assert!(matches!(refused, Err(RepairError::Open(OpenError::Locked { .. }))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// A server has the conversations folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Repairs a conversation's log and index, or, without `apply`, says what it would do. A torn last line is
/// moved to a file of its own; an index that does not fit is kept under another name and rebuilt, with
/// what it still knows. Lines that are not the events that were written stay where they are, keep their
/// seq, and are not served.
///
/// # Errors
/// [`OpenError::Locked`] while a server has the folder; a [`StoreError`] for what cannot be read or
/// written.
///
/// ```
#[doc = include_str!("example.txt")]
/// let planned = store_fs::repair(&folder, false)?;
/// planned.steps.iter().for_each(|step| println!("would {step}"));
/// # assert!(planned.steps.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn repair(folder: &Path, apply: bool) -> Result<Repair, RepairError> {
    let whole = folder.canonicalize().map_err(io_at(folder))?;
    let lock = match (apply, whole.parent()) {
        (true, Some(root)) => Some(FolderLock::take(root)?),
        (true, None) | (false, _) => None,
    };
    let before = verify(&whole, |_| {})?;
    let mut steps = Vec::new();
    if let Some(torn) = &before.torn {
        steps.push(format!(
            "move the unfinished last line ({} bytes at byte {}) to a file of its own",
            torn.bytes, torn.offset
        ));
    }
    let remake = !matches!(before.index, IndexState::Right | IndexState::Missing);
    if remake {
        steps.push("keep the index under another name and rebuild it".to_owned());
    } else if before.index == IndexState::Missing {
        steps.push("make the index".to_owned());
    }
    if !apply || steps.is_empty() {
        let after = apply.then(|| before.clone());
        return Ok(Repair {
            before,
            steps,
            after,
        });
    }
    apply_steps(&whole, &before, remake)?;
    drop(lock);
    let after = Some(verify(&whole, |_| {})?);
    Ok(Repair {
        before,
        steps,
        after,
    })
}

/// Keeps a copy that is its owner's alone.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = regular_file::open(from, Links::Follow)?;
    let mut to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut from, &mut to).map(drop)
}

fn apply_steps(folder: &Path, before: &Report, remake: bool) -> Result<(), StoreError> {
    let index = folder.join(layout::INDEX);
    if remake {
        let time = Utc::now().format("%Y%m%dT%H%M%S%.6fZ");
        let kept = folder.join(format!("{}.before-{time}", layout::INDEX));
        copy(&index, &kept).map_err(io_at(&index))?;
    }
    let opened = recovery::open(&RealDisk, before.id, folder, &Notices::default())?;
    if let Some(refused) = opened.refused {
        return Err(io_at(folder)(refused.error));
    }
    if let IndexState::Wrong { .. } = before.index {
        let (file, size) = (opened.file.as_ref(), opened.extent.bytes);
        let old = Some(&opened.index);
        recovery::rebuild(&RealDisk, before.id, folder, file, size, old).map_err(io_at(&index))?;
    }
    if let (Some(torn), None) = (opened.torn, &before.metadata) {
        let mut metadata = read_metadata(&RealDisk, folder, before.id)?;
        metadata.torn.push(torn);
        write_metadata(&RealDisk, folder, &metadata)?;
    }
    Ok(())
}
