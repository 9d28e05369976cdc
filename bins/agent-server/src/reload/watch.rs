use std::path::{Path, PathBuf};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::warn;

use super::sources::Sources;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Config,
    Program,
    Sources,
}

/// Reports changes for as long as it lives.
pub(super) struct Watch {
    changes: UnboundedReceiver<Change>,
    _watcher: RecommendedWatcher,
}

/// Which paths mean what.
pub(super) struct Watched {
    pub(super) config: PathBuf,
    pub(super) program: PathBuf,
    pub(super) sources: Option<Sources>,
}

impl Watched {
    fn change_at(&self, path: &Path) -> Option<Change> {
        if path == self.config {
            Some(Change::Config)
        } else if path == self.program {
            Some(Change::Program)
        } else {
            let sources = self.sources.as_ref()?;
            sources.contains(path).then_some(Change::Sources)
        }
    }
}

impl Watch {
    /// # Errors
    /// When the system gives no way to watch.
    pub(super) fn start(watched: Watched) -> notify::Result<Self> {
        // A file that is replaced is another file: its folder is what stays.
        let files =
            [&watched.config, &watched.program].map(|file| file.parent().map(PathBuf::from));
        let sources = watched.sources.as_ref().map(Sources::watched);
        let (sender, changes) = unbounded_channel();
        let mut watcher =
            notify::recommended_watcher(move |event| report(event, &watched, &sender))?;
        for folder in files.into_iter().flatten() {
            watch(&mut watcher, &folder, RecursiveMode::NonRecursive);
        }
        for path in sources.into_iter().flatten() {
            watch(&mut watcher, &path, RecursiveMode::Recursive);
        }
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// # Cancel safety
    /// Loses no change.
    pub(super) async fn next(&mut self) -> Option<Change> {
        self.changes.recv().await
    }
}

/// What cannot be watched costs a convenience, not the server.
fn watch(watcher: &mut RecommendedWatcher, path: &Path, mode: RecursiveMode) {
    if let Err(error) = watcher.watch(path, mode) {
        warn!("{} is not watched: {error}", path.display());
    }
}

fn report(event: notify::Result<Event>, watched: &Watched, changes: &UnboundedSender<Change>) {
    match event {
        // Reading is not a change, and cargo reads all sources.
        Ok(event) if !matches!(event.kind, EventKind::Access(_)) => {
            for change in event
                .paths
                .iter()
                .filter_map(|path| watched.change_at(path))
            {
                // Nobody listens when the supervisor ends.
                changes.send(change).ok();
            }
        }
        Ok(_) => {}
        Err(error) => warn!("watching: {error}"),
    }
}
