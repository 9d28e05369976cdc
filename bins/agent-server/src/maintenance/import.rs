use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use agent_runtime::Vault;
use clap::Args;
use core_model::{Agent, ConversationId, StoreError, Workspace, WorkspaceKind};
use serde_json::Value;
use store_fs::{FsStore, Options, StoredConversation};
use transcript::import::{ImportError, ImportOptions, Outcome, ReferenceConversation, find};

use super::{MaintenanceError, fernet::Fernet, folder, progress::Progress};
use crate::{
    config::Settings,
    console::{counted, one_line},
    flags::Flags,
    log_output, secret_key,
};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A conversation's folder, or a folder of such folders
    ///
    /// May be the conversations folder itself, when that server kept its conversations in it.
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Only say what would be imported; needs no server to be stopped
    #[arg(long)]
    pub dry_run: bool,
    /// Give every imported agent the model that is configured here (LLM_MODEL, LLM_API_KEY, …)
    #[arg(long)]
    pub model_from_config: bool,
    /// JSON configuration file that names the conversations folder, as for `serve`
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
}

/// The command `import`. Whether everything was imported.
///
/// # Errors
/// When it did not do its work.
pub fn run(args: &ImportArgs, before: &Flags) -> Result<bool, MaintenanceError> {
    let settings = folder::settings(args.config.as_deref(), before)?;
    let mut folders = Vec::new();
    for path in &args.paths {
        folders.extend(find(path)?);
    }
    // For the warnings of the store and of the secret key.
    let _log = log_output::to_stderr("warn").ok();
    let target = if args.dry_run {
        Target::DryRun(settings.conversations_path.clone(), HashSet::new())
    } else {
        let options = Options::default();
        Target::Store {
            store: FsStore::open(&settings.conversations_path, options)?,
            root: settings.conversations_path.clone(),
        }
    };
    // Only now that the folder is ours: no other process makes another key.
    let vault = Vault::new(secret_key::source(&settings)?.0);
    let fernet = Fernet::new(&settings);
    let options = ImportOptions {
        open: &|token| fernet.open(token),
        seal: &|settings| {
            if args.dry_run {
                return Ok(());
            }
            vault.seal_all(settings).map_err(|error| error.to_string())
        },
        agent: value_of(&Agent::with_usual_tools(settings.llm.clone())),
        llm: args.model_from_config.then(|| value_of(&settings.llm)),
        workspace: default_workspace(&settings),
    };
    let mut import = Import {
        target,
        progress: Progress::items("importing", folders.len() as u64),
        alone: folders.len() == 1,
        tally: Tally::default(),
    };
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = tokio.block_on(import.all(&folders, &options));
    let Import {
        tally, progress, ..
    } = import;
    drop(progress);
    tally.print(args.dry_run);
    outcome?;
    Ok(tally.is_clean())
}

enum Target {
    Store {
        store: FsStore,
        /// The conversations folder.
        root: PathBuf,
    },
    /// The conversations folder, and what would be in it by now.
    DryRun(PathBuf, HashSet<ConversationId>),
}

struct Import {
    target: Target,
    progress: Progress,
    /// Whether there is one conversation only.
    alone: bool,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    conversations: u64,
    events: u64,
    skipped: u64,
    failed: u64,
    left_out: u64,
}

impl Import {
    /// One after the other; only a failure that the next one would have too ends it early.
    async fn all(
        &mut self,
        folders: &[PathBuf],
        options: &ImportOptions<'_>,
    ) -> Result<(), MaintenanceError> {
        for (done, folder) in folders.iter().enumerate() {
            match self.one(folder, options).await {
                Ok(()) => {}
                Err(error @ (ImportError::Io { .. } | ImportError::NotAConversation { .. })) => {
                    self.tally.failed += 1;
                    self.say(&format!("not imported  {error}"), &[]);
                }
                Err(ImportError::Store(StoreError::Exists(id))) => self.skip(id),
                Err(error @ (ImportError::Store(_) | ImportError::Seal(_))) => {
                    return Err(error.into());
                }
            }
            self.progress.at(done as u64 + 1);
        }
        Ok(())
    }

    async fn one(&mut self, folder: &Path, options: &ImportOptions<'_>) -> Result<(), ImportError> {
        let reference = ReferenceConversation::open(folder, options)?;
        let (id, events) = (reference.id(), reference.len() as u64);
        let title = reference.title().unwrap_or("(no title)").to_owned();
        // One bar at a time: of many conversations, each is a step of the other one.
        let progress = if self.alone {
            Progress::items("importing", events)
        } else {
            Progress::none()
        };
        let report_progress = |read: usize| progress.at(read as u64);
        let (verb, outcome) = match &mut self.target {
            Target::Store { store, root } => {
                let keep = keep_tool_files(root.join(id.to_string()));
                (
                    "imported",
                    reference.import(store, keep, report_progress).await?,
                )
            }
            Target::DryRun(root, seen) => {
                if !seen.insert(id) || is_taken(root, id) {
                    return Err(StoreError::Exists(id).into());
                }
                ("would import", reference.check(report_progress).await?)
            }
        };
        drop(progress);
        self.tally.conversations += 1;
        self.tally.events += outcome.events;
        self.tally.left_out += outcome.left_out.len() as u64;
        let line = format!(
            "{verb}  {}  {}  {}",
            outcome.id,
            counted(outcome.events, "event"),
            one_line(&title)
        );
        self.say(&line, &remarks(&outcome));
        Ok(())
    }

    fn skip(&mut self, id: ConversationId) {
        self.tally.skipped += 1;
        self.say(
            &format!("skipped  {id}  exists already, and stays as it is"),
            &[],
        );
    }

    fn say(&self, line: &str, remarks: &[String]) {
        self.progress.suspend(|| {
            let mut text = format!("{line}\n");
            for remark in remarks {
                text.push_str(&format!("  {remark}\n"));
            }
            // The reader may have read enough; the import continues.
            io::stdout().write_all(text.as_bytes()).ok();
        });
    }
}

impl Tally {
    fn print(&self, dry_run: bool) {
        let verb = if dry_run {
            "would be imported"
        } else {
            "imported"
        };
        let mut text = format!(
            "{} with {} {verb}",
            counted(self.conversations, "conversation"),
            counted(self.events, "event")
        );
        for (count, what) in [(self.skipped, "skipped"), (self.failed, "not imported")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        if self.left_out > 0 {
            text.push_str(&format!(", {} left out", counted(self.left_out, "file")));
        }
        text.push('\n');
        io::stdout().write_all(text.as_bytes()).ok();
    }

    fn is_clean(&self) -> bool {
        self.skipped == 0 && self.failed == 0 && self.left_out == 0
    }
}

fn remarks(outcome: &Outcome) -> Vec<String> {
    let notices = outcome
        .notices
        .iter()
        .map(|notice| format!("note: {notice}"));
    let left_out = outcome.left_out.iter().map(|(path, reason)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!("left out: {name}: {reason}")
    });
    notices
        .chain(left_out)
        .map(|line| one_line(&line))
        .collect()
}

/// An import that was cut short does not take its id: it continues.
fn is_taken(root: &Path, id: ConversationId) -> bool {
    let stored = StoredConversation {
        id,
        folder: root.join(id.to_string()),
    };
    match stored.metadata() {
        Ok(metadata) => metadata.snapshot.is_some(),
        Err(_) => stored.folder.exists(),
    }
}

fn default_workspace(settings: &Settings) -> Workspace {
    Workspace {
        working_dir: settings.workspace_path.display().to_string(),
        kind: WorkspaceKind::LocalWorkspace,
    }
}

/// Settings of ours can all be written as JSON.
fn value_of(settings: &impl serde::Serialize) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// Stores each file that an import finds in a conversation's folder, in place of what an import that was
/// cut short left there.
fn keep_tool_files(
    folder: PathBuf,
) -> impl FnMut(&Path, &mut dyn Read) -> io::Result<()> + Send + 'static {
    move |name, content| {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        io::copy(content, &mut file).map(drop)
    }
}
