use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use core_model::ConversationId;
use store_fs::Report;

use super::{
    MaintenanceError, folder,
    progress::Progress,
    report::{Checked, DamagedLine, IndexState, TornEnd, json, table},
};
use crate::flags::Flags;

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The conversation's id, with dashes or without, or its first 6 or more digits [default: all]
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// For programs: one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
    /// JSON configuration file that names the conversations folder, as for `serve`
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
}

/// The command `verify`. Whether nothing is damaged.
///
/// # Errors
/// When it did not do its work.
pub fn run(args: &VerifyArgs, before: &Flags) -> Result<bool, MaintenanceError> {
    let settings = folder::settings(args.config.as_deref(), before)?;
    let root = &settings.conversations_path;
    let ids = chosen(root, args.id.as_deref())?;
    let progress = Progress::items("conversations checked", ids.len() as u64);
    let mut checked = Vec::with_capacity(ids.len());
    for id in ids {
        checked.push(check(root, id));
        progress.at(checked.len() as u64);
    }
    drop(progress);
    let text = if args.json {
        json(&checked)
    } else {
        table(&checked)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(checked.iter().all(Checked::is_fine))
}

/// The conversation that is meant, or all of them.
pub(super) fn chosen(
    root: &Path,
    id: Option<&str>,
) -> Result<Vec<ConversationId>, MaintenanceError> {
    match id {
        Some(text) => Ok(vec![folder::conversation(root, text)?]),
        None => folder::conversations(root),
    }
}

pub(super) fn check(root: &Path, id: ConversationId) -> Checked {
    match store_fs::verify(&root.join(id.to_string()), |_bytes| {}) {
        Ok(report) => report.into(),
        Err(error) => Checked {
            id,
            events: 0,
            bytes: 0,
            damaged: Vec::new(),
            torn: None,
            index: IndexState::Fine,
            unreadable: Some(error.to_string()),
        },
    }
}

impl From<Report> for Checked {
    fn from(report: Report) -> Self {
        let damaged = report.damaged.into_iter().map(|damage| DamagedLine {
            seq: damage.seq,
            offset: damage.offset,
            reason: damage.reason,
        });
        Self {
            id: report.id,
            events: report.lines,
            bytes: report.bytes,
            damaged: damaged.collect(),
            torn: report.torn.map(|torn| TornEnd {
                offset: torn.offset,
                bytes: torn.bytes,
            }),
            index: match report.index {
                store_fs::IndexState::Right => IndexState::Fine,
                store_fs::IndexState::Missing => IndexState::Missing,
                store_fs::IndexState::Short { .. } | store_fs::IndexState::Long { .. } => {
                    IndexState::Stale
                }
                store_fs::IndexState::Wrong { .. } => IndexState::Wrong,
            },
            unreadable: report.metadata,
        }
    }
}
