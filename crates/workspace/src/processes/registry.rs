use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{
    control_group::{self, ControlGroup},
    folder_locks::FolderLocks,
    owner::Owner,
    policy::{Policy, inherited},
    spawner::Spawner,
    tree::ProcessTree,
};

/// What a server's conversations start processes with, and what it needs to end all of them. Clones
/// share one state.
#[derive(Clone)]
pub struct Processes(Arc<Shared>);

struct Shared {
    environment: Vec<(OsString, OsString)>,
    owned_folder: Option<PathBuf>,
    owner: OnceLock<Owner>,
    uses_control_groups: bool,
    /// Where the groups of sessions are made; `None` where that is not possible.
    control_groups: OnceLock<Option<PathBuf>>,
    /// The living sessions and those that have ended but are not reaped, by their leader's process id.
    sessions: Mutex<BTreeMap<i32, Arc<ProcessTree>>>,
    adoption: OnceLock<Adoption>,
    spawner: Spawner,
    folder_locks: FolderLocks,
}

/// How this process came to adopt orphans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adoption {
    /// Whether all that is adopted was started from here: the first process of a container gets the
    /// orphans of others as well, and so does one that had children before it became a server.
    pub(super) all_are_ours: bool,
}

impl Processes {
    /// Takes what processes inherit from this process's environment as it is now. `owned_folder` is a
    /// folder that only one server uses at a time, by its lock, and that exists before the first process
    /// is started: with it, a server knows what an earlier one over the same folder left.
    #[must_use]
    pub fn new(policy: &Policy, owned_folder: Option<&Path>) -> Self {
        Self(Arc::new(Shared {
            environment: inherited(std::env::vars_os(), &policy.environment),
            owned_folder: owned_folder.map(Path::to_owned),
            owner: OnceLock::new(),
            uses_control_groups: policy.control_groups,
            control_groups: OnceLock::new(),
            sessions: Mutex::default(),
            adoption: OnceLock::new(),
            spawner: Spawner::default(),
            folder_locks: FolderLocks::default(),
        }))
    }

    /// The whole environment of a process that a conversation starts.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.environment.iter().map(|(name, value)| (name, value))
    }

    /// Kills what is left of all sessions at once.
    pub(super) fn kill_sessions(&self) {
        let trees: Vec<_> = self.sessions().values().cloned().collect();
        for tree in trees {
            tree.kill_all();
        }
    }

    /// Determined when it is first needed: the folder may be made by then.
    pub(super) fn owner(&self) -> Owner {
        let shared = &self.0;
        *shared
            .owner
            .get_or_init(|| Owner::of(shared.owned_folder.as_deref()))
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<ProcessTree>>> {
        // a panic elsewhere leaves the map whole
        let sessions = &self.0.sessions;
        sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn folder_locks(&self) -> &FolderLocks {
        &self.0.folder_locks
    }

    pub(super) fn spawner(&self) -> &Spawner {
        &self.0.spawner
    }

    /// Set in a program that adopts orphans.
    pub(super) fn adoption(&self) -> Option<Adoption> {
        self.0.adoption.get().copied()
    }

    pub(super) fn set_adoption(&self, adoption: Adoption) {
        self.0.adoption.get_or_init(|| adoption);
    }

    /// A control group for the session that is known by `tag`, where the system allows one.
    pub(super) fn control_group(&self, tag: &str) -> Option<ControlGroup> {
        let parent = self.0.control_groups.get_or_init(|| {
            let folder = control_group::own_folder().filter(|_| self.0.uses_control_groups);
            if folder.is_none() {
                tracing::debug!("shells run without control groups: none can be made");
            }
            folder
        });
        let made = ControlGroup::create(parent.as_ref()?, tag);
        made.inspect_err(|error| tracing::debug!(%error, "a shell runs without a control group"))
            .ok()
    }
}

impl Default for Processes {
    fn default() -> Self {
        Self::new(&Policy::default(), None)
    }
}

/// Without the environment, which may hold what is not for others to read.
impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").finish_non_exhaustive()
    }
}
