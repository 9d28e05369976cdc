//! The processes that tools start: what they inherit, how they are found, signalled and ended.
//!
//! | module | holds |
//! |---|---|
//! | [`shell`], [`spawner`] | starting a shell, and its end |
//! | [`family`] | which processes belong to a shell |
//! | [`orphans`] | processes that lost their shell |
//! | [`leftovers`], [`owner`] | processes that an earlier server left |
//! | [`control_group`] | Linux control groups |
//! | [`signal`] | the only place that sends signals |
//! | [`table`] | what `/proc` tells of processes |
//! | [`environment`] | what processes inherit |
//! | [`ignored`] | signals that this process ignores |

mod control_group;
mod environment;
mod family;
mod ignored;
mod leftovers;
mod orphans;
mod owner;
mod shell;
mod signal;
mod spawner;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

pub use self::{
    environment::{NeverPassed, check_name, is_passed},
    ignored::is_ignored,
    signal::{OwnProcess, Signal, send},
};
pub(crate) use self::{family::Family, shell::ShellProcess};

use self::{control_group::ControlGroup, orphans::Adoption, owner::Owner, spawner::Spawner};

/// What tools need to start processes, and to end all that they started. Clones are one.
#[derive(Clone)]
pub struct ToolProcesses(Arc<Shared>);

struct Shared {
    environment: Vec<(OsString, OsString)>,
    owned_folder: Option<PathBuf>,
    owner: OnceLock<Owner>,
    with_control_groups: bool,
    /// Where groups of shells are made; `None` where that cannot be.
    control_groups: OnceLock<Option<PathBuf>>,
    /// The living shells and those that have ended but are not reaped, by process id.
    shells: Mutex<BTreeMap<i32, Arc<Family>>>,
    adoption: OnceLock<Adoption>,
    spawner: Spawner,
}

/// How tools start processes.
#[derive(Clone, Debug, Default)]
pub struct ToolProcessSettings {
    /// Variables of the server that processes inherit beside the usual ones; a `*` at the end stands
    /// for any rest of a name.
    pub environment: Vec<String>,
    /// A folder that only one server uses at a time, by its lock; it is there before the first process
    /// is started. With it, a server knows what an earlier one over the same folder left.
    pub owned_folder: Option<PathBuf>,
}

impl ToolProcesses {
    /// Takes what processes inherit from this process's environment as it is now.
    #[must_use]
    pub fn new(settings: &ToolProcessSettings) -> Self {
        Self::with(settings, true)
    }

    #[cfg(test)]
    pub(crate) fn without_control_groups() -> Self {
        Self::with(&ToolProcessSettings::default(), false)
    }

    fn with(settings: &ToolProcessSettings, with_control_groups: bool) -> Self {
        Self(Arc::new(Shared {
            environment: environment::inherited(std::env::vars_os(), &settings.environment),
            owned_folder: settings.owned_folder.clone(),
            owner: OnceLock::new(),
            with_control_groups,
            control_groups: OnceLock::new(),
            shells: Mutex::default(),
            adoption: OnceLock::new(),
            spawner: Spawner::default(),
        }))
    }

    /// What a process that a conversation starts has in its environment, and no more.
    pub fn environment(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.environment.iter().map(|(name, value)| (name, value))
    }

    /// Ends what is left of all shells at once: for the end of a server that does not wait.
    pub fn end_all(&self) {
        let families: Vec<_> = self.shells().values().cloned().collect();
        for family in families {
            family.kill_all();
        }
        self.end_orphans();
    }

    /// Looked for when it is first needed: the folder may be made by then.
    fn owner(&self) -> Owner {
        let shared = &self.0;
        *shared
            .owner
            .get_or_init(|| Owner::of(shared.owned_folder.as_deref()))
    }

    fn shells(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<Family>>> {
        // a panic elsewhere leaves the map whole
        self.0.shells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A control group for the shell that is known by `tag`, where the system lets us make one.
    fn control_group(&self, tag: &str) -> Option<ControlGroup> {
        let parent = self.0.control_groups.get_or_init(|| {
            let folder = control_group::own_folder().filter(|_| self.0.with_control_groups);
            if folder.is_none() {
                tracing::debug!("shells run without control groups: there are none to be had");
            }
            folder
        });
        let made = ControlGroup::create(parent.as_ref()?, tag);
        made.inspect_err(|error| tracing::debug!(%error, "a shell runs without a control group"))
            .ok()
    }
}

impl Default for ToolProcesses {
    fn default() -> Self {
        Self::new(&ToolProcessSettings::default())
    }
}

/// Without the environment, which may hold what is nobody's business.
impl fmt::Debug for ToolProcesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolProcesses").finish_non_exhaustive()
    }
}

impl PartialEq for ToolProcesses {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ToolProcesses {}
