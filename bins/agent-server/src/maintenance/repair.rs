use std::path::PathBuf;

use clap::Args;
use store_fs::RepairError;

use super::{MaintenanceError, folder, report::Checked, verify};
use crate::{console, flags::Flags};

#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The conversation's id, with dashes or without, or its first 6 or more digits [default: all]
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Do it; without this, only show what would be done
    #[arg(long)]
    pub apply: bool,
    /// JSON configuration file that names the conversations folder, as for `serve`
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
}

/// The command `repair`. Whether nothing is damaged, or nothing is damaged any more.
///
/// # Errors
/// When it did not do its work.
pub fn run(args: &RepairArgs, before: &Flags) -> Result<bool, MaintenanceError> {
    let settings = folder::settings(args.config.as_deref(), before)?;
    let root = &settings.conversations_path;
    let (mut steps, mut fine) = (0, true);
    for id in verify::chosen(root, args.id.as_deref())? {
        let repaired = match store_fs::repair(&root.join(id.to_string()), args.apply) {
            Ok(repaired) => repaired,
            Err(RepairError::Open(error)) => return Err(error.into()),
            Err(RepairError::Store(error)) => {
                console::error_line(format_args!("{id}: {error}"));
                fine = false;
                continue;
            }
        };
        for step in &repaired.steps {
            let would = if args.apply { "" } else { "would " };
            console::line(format_args!("{id}: {would}{step}"));
        }
        steps += repaired.steps.len();
        let now = Checked::from(repaired.after.unwrap_or(repaired.before));
        if !now.is_fine() {
            fine = false;
            let left = now.damaged.len();
            if args.apply && left > 0 {
                let lines = match left {
                    1 => "1 line is not the event that was written; it stays, and is".to_owned(),
                    lines => format!(
                        "{lines} lines are not the events that were written; they stay, and are"
                    ),
                };
                console::line(format_args!("{id}: {lines} not served"));
            }
        }
    }
    match (steps, args.apply) {
        (0, _) => console::line("nothing to repair"),
        (_, false) => console::line("nothing was changed; --apply does it"),
        (_, true) => {}
    }
    Ok(fine)
}
