//! Linux control groups (version 2): what a process starts stays in its group, whatever it does to
//! its session and its environment, and the kernel kills a whole group in one step.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

/// The start of the name of each session's group; its tag follows.
pub(super) const PREFIX: &str = "agent-terminal-";

/// A group can be removed once the last of its processes is gone, which takes the kernel a moment.
const REMOVE_TRIES: usize = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(2);
/// A machine has some hundreds of groups; more than this are not searched.
const MOST_GROUPS: usize = 20_000;

/// The group of one session.
#[derive(Debug)]
pub(super) struct ControlGroup(PathBuf);

impl ControlGroup {
    /// Makes a group below `parent`.
    ///
    /// # Errors
    /// When this user has no permission.
    pub(super) fn create(parent: &Path, tag: &str) -> io::Result<Self> {
        let folder = parent.join(format!("{PREFIX}{tag}"));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// A process that writes `0` to this file enters the group.
    ///
    /// # Errors
    /// When this user has no permission.
    pub(super) fn procs_file(&self) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .open(self.0.join("cgroup.procs"))
    }

    /// The processes in it and in groups that they made below it.
    pub(super) fn members(&self) -> Vec<i32> {
        let mut members = Vec::new();
        for folder in self.subgroups() {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            members.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        members
    }

    /// Kills all of them at once. False where the kernel does not know how (before 5.14).
    pub(super) fn kill_members(&self) -> bool {
        fs::write(self.0.join("cgroup.kill"), "1").is_ok()
    }

    /// Removes the group, whose processes have ended.
    pub(super) fn remove(&self) {
        for _ in 0..REMOVE_TRIES {
            for folder in self.subgroups().iter().rev() {
                fs::remove_dir(folder).ok();
            }
            if !self.0.exists() {
                return;
            }
            sleep(REMOVE_PAUSE);
        }
        tracing::debug!(group = %self.0.display(), "the control group cannot be removed");
    }

    /// Removes the group if it has no processes.
    pub(super) fn remove_if_empty(&self) {
        // otherwise the kernel refuses
        fs::remove_dir(&self.0).ok();
    }

    /// The group and those below it, parents first.
    fn subgroups(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.0.clone()];
        walk(&self.0, &mut folders);
        folders
    }
}

/// All groups of sessions on this machine that can be seen, with their tags.
pub(super) fn of_sessions() -> Vec<(String, ControlGroup)> {
    let Some((mount, _)) = mounted() else {
        return Vec::new();
    };
    let mut folders = Vec::new();
    walk(&mount, &mut folders);
    folders
        .into_iter()
        .filter_map(|folder| {
            let tag = folder.file_name()?.to_str()?.strip_prefix(PREFIX)?;
            Some((tag.to_owned(), ControlGroup(folder)))
        })
        .collect()
}

/// The group that this process is in; the groups of sessions are made below it.
pub(super) fn own_folder() -> Option<PathBuf> {
    let (mount, root) = mounted()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = Path::new(own).strip_prefix(&root).ok()?;
    let folder = mount.join(below);
    folder.join("cgroup.procs").exists().then_some(folder)
}

/// Where the hierarchy is mounted, and which of its groups is visible there.
fn mounted() -> Option<(PathBuf, PathBuf)> {
    mount_point(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// See proc_pid_mountinfo(5).
fn mount_point(mountinfo: &str) -> Option<(PathBuf, PathBuf)> {
    mountinfo.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        if kind.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = place.split(' ').skip(3);
        let root = fields.next()?.to_owned();
        // a space is written as an octal number
        let mount = fields.next()?.replace("\\040", " ");
        Some((mount.into(), root.into()))
    })
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if found.len() < MOST_GROUPS && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
            walk(&entry.path(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_among_others() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 /a /sys/fs/my\\040groups rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            mount_point(hybrid),
            Some(("/sys/fs/my groups".into(), "/a".into()))
        );
        assert_eq!(mount_point("1 2 0:3 / / rw - ext4 /dev/root rw\n"), None);
    }
}
